"""`config.py`: read as data, never imported; and the example that operators copy."""

import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from utils import presets


class ConfigFile(PydanticBaseSettingsSource):
    """The upper-case names of a `config.py`, if there is one."""

    def __init__(self, settings: type[BaseSettings], path: Path) -> None:
        super().__init__(settings)
        self.path = path

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError  # the whole file is read at once, in __call__

    def __call__(self) -> dict[str, Any]:
        if not self.path.is_file():
            return {}
        return {name: value for name, value in runpy.run_path(str(self.path)).items() if name.isupper()}


def example(fields: Mapping[str, FieldInfo], sections: Sequence[str]) -> str:
    """The text of `config.py.example`: each setting with its description and its default, by sections."""
    lines = [
        "# Copy this file to config.py and set what you need. Environment variables and .env, with the same names,",
        "# win over it. 复制为 config.py 后按需修改；同名的环境变量和 .env 优先。",
    ]
    for section in sections:
        lines += ["", f"# --- {section} ---"]
        for name, field in fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict) and extra["section"] == section:
                lines += ["", f"# {field.description}", f"# {name} = {_literal(field.default)}"]
    return "\n".join(lines) + "\n"


def _literal(value: Any) -> str:
    if value is presets.EXAMPLES:
        return presets.literal(value)
    if isinstance(value, tuple) and value and all(isinstance(pair, tuple) for pair in value):
        value = dict(value)
    elif isinstance(value, SecretStr):
        value = value.get_secret_value()
    elif isinstance(value, Path):
        value = "" if value == Path() else str(value)
    return repr(value).replace("'", '"')
