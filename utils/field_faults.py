"""What is wrong with a field, in both languages. English is what pydantic says, or a validator of ours."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails, PydanticCustomError

_NUMBER, _WHOLE, _OBJECT, _TEXT = "须为数字", "须为整数", "须为 JSON 对象", "须为字符串"

CHINESE: dict[str, str] = {  # by pydantic's names of kinds of errors, with what their `ctx` has
    "missing": "缺少该字段",
    "extra_forbidden": "不支持该字段",
    "json_invalid": "不是有效的 JSON",
    "json_type": "须为 JSON 文本",
    "none_required": "须为 null",
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "dict_type": _OBJECT,
    "list_type": "须为数组",
    "too_short": "至少需要 {min_length} 项，实际为 {actual_length} 项",
    "too_long": "最多 {max_length} 项",
    "string_type": _TEXT,
    "string_unicode": "不是有效的 Unicode 文本",
    "string_too_short": "至少需要 {min_length} 个字符",
    "string_too_long": "最多 {max_length} 个字符",
    "string_pattern_mismatch": "格式不正确，须匹配 {pattern}",
    "bool_type": "须为 true 或 false",
    "bool_parsing": "须为 true 或 false",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "整数过大",
    "int_from_float": "须为整数，不能有小数",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "须为有限的数字",
    "greater_than": "须大于 {gt}",
    "greater_than_equal": "须大于或等于 {ge}",
    "less_than": "须小于 {lt}",
    "less_than_equal": "须小于或等于 {le}",
    "literal_error": "只能是 {expected}",
    "union_tag_invalid": "{discriminator} 只能是 {expected_tags}",
    "union_tag_not_found": "缺少 {discriminator}",
}
OWN: dict[str, tuple[str, str]] = {  # kinds of errors of our own validators
    "blank": ("must not be blank", "不能为空白"),
    "no_file": ("must be a file", "须为文件"),
    "before_first": ("must not be less than first", "不能小于 first"),
    "unsendable_key": ("must be printable ASCII without spaces", "须为可打印的 ASCII 字符，且不含空格"),
}
AND, OR = ", ", " or "


def own(kind: str) -> PydanticCustomError:
    """The error that a validator raises for one of the kinds in OWN."""
    return PydanticCustomError(kind, OWN[kind][0])


def fault(field: str, en: str, zh: str) -> dict[str, Any]:
    """A field error as `ChatError.errors` has them; `ChatError.faults` chooses the language."""
    return {"field": field, "message": en, "zh": zh}


def described(error: ErrorDetails) -> dict[str, Any]:
    """What pydantic found wrong with a field, without what was sent. A kind that is not known here stays English."""
    field, kind, context = ".".join(map(str, error["loc"])) or "body", error["type"], error.get("ctx", {})
    message = error["msg"]
    if kind in ("too_short", "too_long") and isinstance(error.get("input"), str):  # a text that a validator has cleaned
        kind, message = f"string_{kind}", _characters(kind, context)
    chinese = OWN[kind][1] if kind in OWN else CHINESE.get(kind)
    if chinese is None:
        return {"field": field, "message": message}
    return fault(field, message, chinese.format_map({name: _shown(value) for name, value in context.items()}))


def _characters(kind: str, context: Mapping[str, Any]) -> str:
    least = kind == "too_short"
    number = context["min_length" if least else "max_length"]
    return f"String should have at {'least' if least else 'most'} {number} character{'s' if number != 1 else ''}"


def _shown(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.replace(OR, "、").replace(AND, "、") if isinstance(value, str) and value.startswith("'") else str(value)
