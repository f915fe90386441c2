"""Whole examples of objects, put together from those that stand beside their fields."""

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]
PREFIX = "#/components/schemas/"
FALLBACKS: dict[str, Any] = {"string": "", "boolean": False, "integer": 0, "number": 0, "object": {}, "null": None}


class Examples:
    """`definitions` are JSON Schemas by the names under which they refer to each other."""

    def __init__(self, definitions: dict[str, Schema]) -> None:
        self.definitions = definitions

    def of(self, schema: Schema) -> list[Any]:
        """The examples of a schema, or of each of its alternatives, or one that is made of those of its parts."""
        if "$ref" in schema:
            return self.of(self.definitions[schema["$ref"].removeprefix(PREFIX)])
        given: list[Any] = schema.get("examples", [])
        alternatives = schema.get("oneOf") or schema.get("anyOf") or ()
        return given or [self.of(alternative)[0] for alternative in alternatives] or [self._made(schema)]

    def _made(self, schema: Schema) -> Any:
        if "const" in schema:
            return schema["const"]
        if schema.get("default") is not None:
            return schema["default"]
        if values := schema.get("enum"):
            return values[0]
        if "properties" in schema:
            needed = schema.get("required", [])
            shown = {name: part for name, part in schema["properties"].items() if name in needed or _has_example(part)}
            return {name: self.of(part)[0] for name, part in shown.items()}
        if schema.get("type") == "array":
            return self.of(schema["items"])[:1]
        return FALLBACKS[schema.get("type", "object")]


def example_of(model: type[BaseModel]) -> Any:
    """An example of a model."""
    schema = model.model_json_schema(ref_template=PREFIX + "{model}")
    return Examples(schema.get("$defs", {})).of(schema)[0]


def _has_example(schema: Schema) -> bool:
    """Whether a field that may be missing is shown: only where it says itself what stands in it."""
    return "examples" in schema or any("examples" in alternative for alternative in schema.get("anyOf", ()))
