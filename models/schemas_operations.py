"""What operators look at, and errors."""

from typing import Literal

from pydantic import BaseModel, Field

from models.schemas import example


class CheckView(BaseModel):
    model_config = example(status="ok")

    status: Literal["ok", "down", "offline"]
    detail: str | None = None


class ChecksView(BaseModel):
    redis: CheckView
    database: CheckView
    vector_store: CheckView
    llm: CheckView = Field(description="offline: no model is configured, answers quote documents.")


class HealthView(BaseModel):
    status: Literal["ok", "degraded", "down"] = Field(
        description="degraded: no document search; down: no turn could be served."
    )
    checks: ChecksView
    version: str = Field(examples=["0.1.0"])


class LiveView(BaseModel):
    status: Literal["ok"]


class FieldErrorView(BaseModel):
    model_config = example(field="message", message="Field required")

    field: str = Field(description="The path to the field, with dots; `body` where it is the whole.")
    message: str = Field(description="In the language of Accept-Language too.")


class ProblemView(BaseModel):
    """RFC 9457, `application/problem+json`."""

    model_config = example(
        type="about:blank",
        title="Invalid field",
        status=422,
        detail="A field of the request is invalid.",
        code="invalid_field",
        request_id="8e3ddb55992d9608",
        errors=[{"field": "message", "message": "Field required"}],
    )

    type: str
    title: str
    status: int
    detail: str = Field(description="A sentence for people, in the language of Accept-Language.")
    code: str = Field(description="Stable; for programs.")
    request_id: str
    filename: str | None = Field(None, description="The uploaded file that is at fault.", examples=["员工手册.pdf"])
    errors: list[FieldErrorView] | None = Field(None, description="Which fields are at fault.")
