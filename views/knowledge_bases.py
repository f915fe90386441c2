"""Knowledge bases: collections of documents, and the sessions that they are attached to."""

from typing import Any

from flask import Response, jsonify
from pydantic import Field

from models.schemas import SessionPath, Upload
from models.schemas_documents import QueryBody
from models.schemas_knowledge_bases import (
    AttachQuery,
    BasePath,
    BasesQuery,
    ChangeBaseBody,
    CreateBaseBody,
    SessionBasePath,
)
from views.common import RawForm, language, owner, services, session
from views.document_texts import results
from views.native import TEXT_FILE


class FilesForm(RawForm):
    file: list[Upload] = Field(description="One or more documents.", min_length=1, examples=[[TEXT_FILE]])


def create(body: CreateBaseBody) -> tuple[dict[str, Any], int]:
    """Makes an empty knowledge base."""
    return services().knowledge_bases.create(owner(), body.name, body.description).as_dict(), 201


def list_all(query: BasesQuery) -> dict[str, Any]:
    """The knowledge bases, oldest first."""
    found, cursor = services().knowledge_bases.page(owner(), query.limit, query.cursor)
    return {"knowledge_bases": [base.as_dict() for base in found], "next_cursor": cursor}


def show(path: BasePath) -> dict[str, Any]:
    """A knowledge base."""
    return services().knowledge_bases.find(owner(), path.knowledge_base_id).as_dict()


def change(path: BasePath, body: ChangeBaseBody) -> dict[str, Any]:
    """Gives a knowledge base another name or description."""
    values = body.model_dump(exclude_none=True)
    return services().knowledge_bases.change(owner(), path.knowledge_base_id, **values).as_dict()


def delete(path: BasePath) -> dict[str, Any]:
    """Deletes a knowledge base with its documents and their vectors; no session has it any more."""
    deleted = services().knowledge_bases.delete(owner(), path.knowledge_base_id)
    return {"id": path.knowledge_base_id, "deleted": deleted}


def upload(path: BasePath, form: FilesForm) -> tuple[Response, int]:
    """Takes files in, all or none; they are read in the background. What the base has already is not read again."""
    uploads = [(file.stream, file.filename or "") for file in form.file]
    accepted = services().knowledge_bases.accept(owner(), path.knowledge_base_id, uploads)
    return jsonify({"documents": [document.as_item(language()) for document in accepted]}), 202


def list_documents(path: BasePath, query: BasesQuery) -> dict[str, Any]:
    """The documents of a knowledge base, oldest first."""
    bases = services().knowledge_bases
    found, cursor = bases.page_of_documents(owner(), path.knowledge_base_id, query.limit, query.cursor)
    return {"documents": [document.as_item(language()) for document in found], "next_cursor": cursor}


def search(path: BasePath, body: QueryBody) -> dict[str, Any]:
    """Finds passages in a knowledge base."""
    found = services().knowledge_bases.search(owner(), path.knowledge_base_id, body.query, body.k)
    return results(found, body.neighbours)


def list_attached(path: SessionPath) -> dict[str, Any]:
    """The knowledge bases that a session searches together with its own documents."""
    found = services().knowledge_bases.attached(session(path.session_id))
    return {"knowledge_bases": [base.as_dict() for base in found]}


def attach(path: SessionBasePath, query: AttachQuery) -> dict[str, Any]:
    """Lets a session search a knowledge base; the session is made if it is missing."""
    bases = services().knowledge_bases
    return bases.attach(session(path.session_id), path.knowledge_base_id, temporary=query.temporary).as_dict()


def detach(path: SessionBasePath) -> dict[str, Any]:
    """Takes a knowledge base away from a session; the base itself stays."""
    services().knowledge_bases.detach(session(path.session_id), path.knowledge_base_id)
    return {"session_id": path.session_id, "id": path.knowledge_base_id, "detached": True}
