"""Knowledge bases as clients manage them: made, filled, searched, attached to sessions, and deleted with all they have."""

import secrets
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from models import knowledge_bases
from models.database import Database
from models.documents import Document
from models.knowledge_bases import KnowledgeBase, ReadyBase
from models.passages import Passage
from models.turns import SessionKey
from services.document_service import DocumentService
from utils.errors import NotFound


class KnowledgeBaseService:
    """Its methods block. Another owner's base is one that does not exist."""

    def __init__(self, database: Database, documents: DocumentService) -> None:
        self.database, self.documents = database, documents

    def create(self, owner: str, name: str, description: str = "") -> KnowledgeBase:
        """Makes an empty base."""
        return knowledge_bases.create(self.database, owner, f"kb_{secrets.token_hex(12)}", name, description)

    def page(self, owner: str, limit: int, cursor: str | None = None) -> tuple[Sequence[KnowledgeBase], str | None]:
        """Bases, oldest first, and the cursor of what follows them. Raises InvalidField for a wrong cursor."""
        return knowledge_bases.page(self.database, owner, limit=limit, cursor=cursor)

    def find(self, owner: str, base_id: str) -> KnowledgeBase:
        """Raises NotFound."""
        return knowledge_bases.find(self.database, owner, base_id)

    def change(self, owner: str, base_id: str, **values: str) -> KnowledgeBase:
        """Gives a base another `name` or `description`. Raises NotFound."""
        return knowledge_bases.change(self.database, owner, base_id, **values)

    def accept(self, owner: str, base_id: str, uploads: Iterable[tuple[BinaryIO, str]]) -> Sequence[Document]:
        """Takes files into a base, all or none (see `DocumentService.accept_all`). Raises NotFound too."""
        return self.documents.accept_for_base(self.find(owner, base_id).id, uploads)

    def page_of_documents(
        self, owner: str, base_id: str, limit: int, cursor: str | None = None
    ) -> tuple[Sequence[Document], str | None]:
        """Documents of a base, oldest first, and the cursor of what follows. Raises NotFound and InvalidField."""
        return self.documents.page_of_base(self.find(owner, base_id).id, limit, cursor)

    def search(self, owner: str, base_id: str, query: str, k: int) -> Sequence[Passage]:
        """The best passages of a base. Raises NotFound."""
        base = self.find(owner, base_id)
        return self.documents.retrieval.search(query, [], k, bases=[ReadyBase(base.id, base.name, base.version)])

    def attach(self, key: SessionKey, base_id: str, *, temporary: bool = False) -> KnowledgeBase:
        """Lets a session search a base too; the session is made if it is missing. Raises NotFound."""
        ttl = self.documents.settings.MEMORY_TTL_SECONDS if temporary else None
        return knowledge_bases.attach(self.database, key, base_id, temporary_for=ttl)

    def detach(self, key: SessionKey, base_id: str) -> None:
        """Undoes that. Raises NotFound, for a base that is not attached too."""
        knowledge_bases.detach(self.database, key, base_id)

    def attached(self, key: SessionKey) -> Sequence[KnowledgeBase]:
        """The bases that a session searches, oldest first. Raises NotFound."""
        return knowledge_bases.attached(self.database, key)

    def delete(self, owner: str, base_id: str) -> dict[str, int]:
        """Deletes a base with its documents, whatever goes on in it; says how much that was. Raises NotFound.

        The row goes last, so that what breaks off can be done again.
        """
        gone = [*self.documents.delete_all(self.find(owner, base_id).id)]
        while not knowledge_bases.remove(self.database, base_id):
            gone += self.documents.delete_all(base_id)  # uploaded in the meantime
        return {"documents": len(gone), "passages": sum(document.chunk_count for document in gone)}

    def delete_all(self, owner: str) -> dict[str, int]:
        """Deletes all bases of an owner; says how much that was."""
        total = dict.fromkeys(("knowledge_bases", "documents", "passages"), 0)
        for base_id in knowledge_bases.ids(self.database, owner):
            try:
                deleted = self.delete(owner, base_id)
            except NotFound:  # somebody else deletes it
                continue
            total = {name: count + deleted.get(name, 1) for name, count in total.items()}
        return total
