"""Every error that a client can see, as one tree.

ChatError
├── BadRequest                400
│   └── InvalidJson                invalid_json
├── Unauthorized              401
├── Forbidden                 403
├── NotFound                  404
├── ModelNotFound             404  model_not_found
├── MethodNotAllowed          405
├── Conflict                  409
│   ├── TurnInProgress             turn_in_progress
│   ├── DocumentNotReady           document_not_ready
│   └── DocumentCancelled          cancelled: reading a document was ended on request
├── TooLarge                  413
├── UnsupportedType           415
├── RangeNotSatisfiable       416
├── InvalidField              422
│   ├── DocumentUnreadable         document_unreadable
│   ├── UrlNotAllowed              url_not_allowed
│   ├── OptionNotSupported         unsupported_parameter
│   └── RequestRefused             request_refused: the model itself cannot do what is asked
├── UpgradeRequired           426
├── RateLimited               429
├── UpstreamError             502  a model, or a tool's upstream, failed
│   ├── UpstreamRejected           it answered 401, 403 or 404: settings are wrong
│   ├── UpstreamBadRequest         it answered 400, 413 or 422: it cannot do what it was asked
│   └── UpstreamUnreachable
├── Unavailable               503
│   ├── StoreUnavailable           Redis, SQL or the vector store is away
│   ├── UpstreamBusy               an upstream said 429 or 503
│   └── ProviderNotConfigured
└── UpstreamTimeout           504

A vendor's exception is translated into one of these at the border where it occurs. A message never holds a key, a path, a
stack trace or an upstream's body: what helps the operator goes to the log.
"""

from typing import Any, ClassVar, Literal, Self, cast

from utils.field_faults import fault

Language = Literal["en", "zh"]


class ChatError(Exception):
    """An error with an HTTP status, a stable code and a message in both languages.

    `params` fill the placeholders of the message, a `filename` among them says of which of several files it speaks;
    `retry_after` is in seconds; `errors` lists field errors as `{"field": "…", "message": "…", "zh": "…"}`.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    en: ClassVar[str] = "Something went wrong on the server."
    zh: ClassVar[str] = "服务器内部出错。"
    usual_retry_after: ClassVar[float | None] = None

    def __init__(
        self, *, retry_after: float | None = None, errors: list[dict[str, Any]] | None = None, **params: object
    ) -> None:
        self.retry_after = self.usual_retry_after if retry_after is None else retry_after
        self.errors = errors or []
        self.params = params
        super().__init__(self.message("en"))

    def message(self, language: Language) -> str:
        """The sentence a person reads, in `language`."""
        sentence = self._sentence(language)
        if self.filename is None:
            return sentence
        return f"{self.filename}：{sentence}" if language == "zh" else f"{self.filename}: {sentence}"

    def _sentence(self, language: Language) -> str:
        return (self.zh if language == "zh" else self.en).format(**self.params)

    @property
    def filename(self) -> str | None:
        """The uploaded file that is at fault, where that is known."""
        return cast(str | None, self.params.get("filename"))

    def of_file(self, filename: str) -> Self:
        """This error, which tells that it is about this file."""
        self.params["filename"] = filename
        return self

    def faults(self, language: Language) -> list[dict[str, str]]:
        """The field errors as clients are told them."""
        return [
            {"field": str(one["field"]), "message": str((language == "zh" and one.get("zh")) or one["message"])}
            for one in self.errors
        ]

    def as_dict(self) -> dict[str, Any]:
        """What `of` needs to make the error again in another process."""
        return {"code": self.code, "retry_after": self.retry_after, "errors": self.errors, "params": self.params}

    @staticmethod
    def of(values: dict[str, Any]) -> "ChatError":
        """The error of which `as_dict` made `values`."""
        kind = _kinds().get(values["code"], ChatError)
        error = kind.__new__(kind)
        ChatError.__init__(error, retry_after=values["retry_after"], errors=values["errors"], **values["params"])
        return error


def _kinds(root: type[ChatError] = ChatError) -> dict[str, type[ChatError]]:
    """Every kind of error by its code."""
    found = {root.code: root}
    for kind in root.__subclasses__():
        found |= {code: error for code, error in _kinds(kind).items() if code not in found}
    return found


class BadRequest(ChatError):
    status = 400
    code = "bad_request"
    title = "Bad request"
    en = "The request cannot be understood."
    zh = "无法理解该请求。"


class InvalidJson(BadRequest):
    code = "invalid_json"
    en = "The body is not valid JSON."
    zh = "请求体不是有效的 JSON。"


class Unauthorized(ChatError):
    status = 401
    code = "unauthorized"
    title = "Unauthorized"
    en = "A valid key is needed."
    zh = "需要有效的密钥。"


class Forbidden(ChatError):
    status = 403
    code = "forbidden"
    title = "Forbidden"
    en = "You may not do this."
    zh = "您无权执行此操作。"


class NotFound(ChatError):
    """`what` names the kind of thing: session, document, address."""

    status = 404
    code = "not_found"
    title = "Not found"
    en = "There is no such {what}."
    zh = "找不到该{what}。"

    CHINESE: ClassVar[dict[str, str]] = {
        "session": "会话",
        "document": "文档",
        "knowledge base": "知识库",
        "address": "地址",
        "message": "消息",
    }

    def _sentence(self, language: Language) -> str:
        what = str(self.params["what"])
        return self.zh.format(what=self.CHINESE.get(what, what)) if language == "zh" else self.en.format(what=what)


class ModelNotFound(ChatError):
    """`model` is the name that was asked for."""

    status = 404
    code = "model_not_found"
    title = "Model not found"
    en = "The model {model} does not exist."
    zh = "模型 {model} 不存在。"

    def __init__(self, *, model: str) -> None:
        super().__init__(errors=[fault("model", "names no model", "没有这个模型")], model=model)


class MethodNotAllowed(ChatError):
    status = 405
    code = "method_not_allowed"
    title = "Method not allowed"
    en = "This address does not take {method}."
    zh = "此地址不支持 {method} 方法。"


class Conflict(ChatError):
    status = 409
    code = "conflict"
    title = "Conflict"
    en = "The request conflicts with the present state."
    zh = "请求与当前状态冲突。"


class TurnInProgress(Conflict):
    code = "turn_in_progress"
    title = "A turn is in progress"
    en = "Another answer is being generated in this session. Wait for it or stop it."
    zh = "该会话正在生成另一条回答，请等待其完成或先停止它。"


class DocumentCancelled(Conflict):
    code = "cancelled"
    title = "Cancelled"
    en = "Reading the document was cancelled. It can be retried."
    zh = "文档的读取已取消，可以重试。"


class DocumentNotReady(Conflict):
    code = "document_not_ready"
    title = "The document is not ready"
    en = "The document is still being read. Wait until it is ready."
    zh = "文档尚在读取中，请等待其就绪。"


class TooLarge(ChatError):
    status = 413
    code = "too_large"
    title = "Too large"
    en = "Larger than the {limit} bytes that are allowed."
    zh = "超过允许的 {limit} 字节。"


class UnsupportedType(ChatError):
    """`type` is what was found: a media type or the ending of a name."""

    status = 415
    code = "unsupported_type"
    title = "Unsupported type"
    en = "Files or bodies of the type {type} are not accepted."
    zh = "不支持 {type} 类型的文件或请求体。"


class RangeNotSatisfiable(ChatError):
    """`size` is that of the file, in bytes."""

    status = 416
    code = "range_not_satisfiable"
    title = "Range not satisfiable"
    en = "The file has {size} bytes, and none where they were asked for."
    zh = "文件共 {size} 字节，所请求的范围不在其中。"


class InvalidField(ChatError):
    status = 422
    code = "invalid_field"
    title = "Invalid field"
    en = "A field of the request is invalid."
    zh = "请求中的某个字段无效。"

    @classmethod
    def at(cls, field: str, en: str, zh: str) -> "InvalidField":
        """The error of one field: what is wrong with it, in both languages."""
        return InvalidField(errors=[fault(field, en, zh)])


class DocumentUnreadable(InvalidField):
    """`reason` is a key of `REASONS`: why no text could be had from the file."""

    code = "document_unreadable"
    title = "Document unreadable"
    en = "The document cannot be read: {reason}."
    zh = "无法读取该文档：{reason}。"

    REASONS: ClassVar[dict[str, tuple[str, str]]] = {
        "damaged": ("the file is damaged", "文件已损坏"),
        "encrypted": ("it needs a password", "文件需要密码"),
        "empty": ("it holds no text", "文件中没有文字"),
        "too_complex": ("reading it takes more time or memory than allowed", "读取所需的时间或内存超过限制"),
        "too_many_pages": ("it has more pages than allowed", "页数超过限制"),
        "too_large": ("it grows larger than allowed when it is unpacked", "解压后超过限制"),
    }

    def __init__(self, reason: str = "damaged") -> None:
        super().__init__(reason=reason)

    @property
    def reason(self) -> str:
        return str(self.params["reason"])

    def _sentence(self, language: Language) -> str:
        en, zh = self.REASONS[self.reason]
        return self.zh.format(reason=zh) if language == "zh" else self.en.format(reason=en)


class UrlNotAllowed(InvalidField):
    code = "url_not_allowed"
    title = "URL not allowed"
    en = "This address may not be visited."
    zh = "不允许访问该地址。"


class OptionNotSupported(InvalidField):
    """`option` is a field of the request that would change the answer, and that `model` cannot follow."""

    code = "unsupported_parameter"
    title = "Option not supported"
    en = "{model} does not support {option} with this value."
    zh = "{model} 不支持参数 {option} 的这个取值。"

    def __init__(self, *, option: str, model: str) -> None:
        super().__init__(errors=[fault(option, "is not supported", "不支持")], option=option, model=model)


class RequestRefused(InvalidField):
    """`param` and `reason` are identifiers by which the model's server said what it did not take and why, or empty."""

    code = "request_refused"
    title = "Refused by the model"
    en = "{model} cannot process this request{detail}: it may be too long, or an option, picture or tool may not suit it."
    zh = "{model} 无法处理该请求{detail}：内容可能过长，或者某个参数、图片或工具不适用。"

    def __init__(self, *, model: str, param: str = "", reason: str = "") -> None:
        detail = ", ".join(part for part in (param, reason) if part)
        errors = [fault(param, reason or "was refused by the model", reason or "被模型拒绝")] if param else None
        super().__init__(errors=errors, model=model, detail=f" ({detail})" if detail else "")
        self.reason = reason


class UpgradeRequired(ChatError):
    status = 426
    code = "upgrade_required"
    title = "Upgrade required"
    en = "This address speaks WebSocket only."
    zh = "此地址仅支持 WebSocket。"


class RateLimited(ChatError):
    status = 429
    code = "rate_limited"
    title = "Too many requests"
    en = "Too many requests. Try again later."
    zh = "请求过于频繁，请稍后再试。"


class UpstreamError(ChatError):
    """`upstream` names the service: the language model, the web search."""

    status = 502
    code = "upstream_failed"
    title = "Upstream failed"
    en = "The upstream service failed: {upstream}."
    zh = "上游服务出错：{upstream}。"


class UpstreamRejected(UpstreamError):
    """`status` is the HTTP status of its answer."""

    code = "upstream_rejected"
    title = "Upstream refused"
    en = "{upstream} refused the request ({status}). Its key, its address or the name of the model may be wrong."
    zh = "{upstream} 拒绝了请求（{status}）。密钥、地址或模型名称可能有误。"


class UpstreamBadRequest(UpstreamError):
    """`status` is the HTTP status of its answer; `param` and `reason` are as in RequestRefused."""

    code = "upstream_bad_request"
    title = "Bad request to an upstream"
    en = "{upstream} cannot process what it was asked ({status})."
    zh = "{upstream} 无法处理该请求（{status}）。"

    def __init__(self, *, upstream: str, status: int, param: str = "", reason: str = "") -> None:
        super().__init__(upstream=upstream, status=status)
        self.param, self.reason = param, reason


class UpstreamUnreachable(UpstreamError):
    code = "upstream_unreachable"
    title = "Upstream unreachable"
    en = "The upstream service cannot be reached: {upstream}."
    zh = "无法连接上游服务：{upstream}。"


class Unavailable(ChatError):
    status = 503
    code = "unavailable"
    title = "Unavailable"
    en = "The service is not available at the moment. Try again later."
    zh = "服务暂时不可用，请稍后再试。"

    usual_retry_after = 5


class StoreUnavailable(Unavailable):
    """`store` is one of redis, database, vector_store, search_index."""

    code = "store_unavailable"
    en = "A store is not available at the moment: {store}. Try again later."
    zh = "存储服务暂时不可用：{store}，请稍后再试。"


class UpstreamBusy(Unavailable):
    code = "upstream_busy"
    title = "Upstream busy"
    en = "The upstream service is busy: {upstream}. Try again later."
    zh = "上游服务繁忙：{upstream}，请稍后再试。"


class ProviderNotConfigured(Unavailable):
    """`setting` is the name of the setting that is missing."""

    code = "provider_not_configured"
    title = "Not configured"
    en = "This needs a setting of the operator: {setting}."
    zh = "此功能需要管理员设置 {setting}。"

    def __init__(self, *, setting: str) -> None:
        super().__init__(retry_after=60, setting=setting)


class UpstreamTimeout(ChatError):
    status = 504
    code = "upstream_timeout"
    title = "Upstream timeout"
    en = "The upstream service did not answer in time: {upstream}."
    zh = "上游服务未及时响应：{upstream}。"
