"""The setting MODEL_PRESETS."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from utils.settings import ROOT, Settings


def test_in_the_environment_it_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "MODEL_PRESETS", '[{"type": "glm4", "title": "智谱", "url": "http://h/v1", "model": "m", "key": "sk-1"}]'
    )
    (preset,) = Settings(_env_file=None).MODEL_PRESETS
    assert (preset.title, preset.key.get_secret_value()) == ("智谱", "sk-1")


def test_the_examples_are_off() -> None:
    presets = Settings(_env_file=None).MODEL_PRESETS
    assert [preset.type for preset in presets] == ["codegeex", "glm4"]
    assert not any(preset.url or preset.key.get_secret_value() for preset in presets)


def test_the_example_file_shows_them_as_python() -> None:
    found = re.search(r"# MODEL_PRESETS = (\[.*?\n# \])", (ROOT / "config.py.example").read_text(), re.DOTALL)
    assert found is not None
    rows = eval(found[1].replace("\n#", "\n"))
    assert Settings(_env_file=None, MODEL_PRESETS=rows) == Settings(_env_file=None)


@pytest.mark.parametrize(
    "value",
    [
        '[{"type": "geheim"',
        '"geheim"',
        [{"type": "custom", "title": "", "url": "", "model": "geheim"}],
        [{"type": "a/b", "title": "", "url": "", "model": "geheim"}],
        [{"type": "a", "title": "", "url": "geheim", "model": "m"}],
        [{"type": "a", "title": "", "url": "", "model": "", "key": "geheim"}],
        [{"type": "a", "title": "", "url": "", "model": "m", "key": ["geheim"]}],
        [{"type": "a", "title": "", "url": "", "model": "geheim"}] * 2,
    ],
)
def test_a_fault_is_told_without_its_value(value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(_env_file=None, MODEL_PRESETS=value)
    assert "MODEL_PRESETS" in str(caught.value) and "geheim" not in str(caught.value)


def test_a_short_secret_is_a_fault() -> None:
    with pytest.raises(ValidationError):
        Settings(_env_file=None, SECRET_KEY="short")
