"""A local model in the settings: what is wrong is told at the start, also where Transformers is not installed."""

import sys
from pathlib import Path

import numpy as np
import pytest

from models.llm_factory import default_model_name, provider_name
from services.summaries import central_sentences, document_summary
from utils.settings import Settings, load_settings

TEXT = "员工每年有十天年假，请提前三天申请。" * 3


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a model, as far as anybody sees who does not load it; its packages seem to be installed."""
    for name in ("torch", "transformers"):
        if name not in sys.modules:
            (tmp_path / "packages" / name).mkdir(parents=True)
            (tmp_path / "packages" / name / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    (tmp_path / "qwen").mkdir()
    (tmp_path / "qwen" / "config.json").write_text("{}")
    return tmp_path / "qwen"


def fault(path: Path) -> str:
    with pytest.raises(SystemExit) as stopped:
        load_settings(LOCAL_MODEL_PATH=path)
    return str(stopped.value)


def test_it_is_named_after_its_folder(folder: Path) -> None:
    settings = Settings(_env_file=None, LOCAL_MODEL_PATH=folder)
    assert (provider_name(settings), default_model_name(settings)) == ("transformers", "qwen")


@pytest.mark.parametrize("name", ["nowhere", "qwen/config.json", "."])
def test_a_folder_without_a_model_is_told_at_the_start(folder: Path, name: str) -> None:
    assert "LOCAL_MODEL_PATH" in (message := fault(folder.parent / name)) and "config.json" in message


@pytest.mark.parametrize("missing", [["torch"], ["transformers"], ["torch", "transformers"]])
def test_missing_packages_are_told_at_the_start(folder: Path, monkeypatch: pytest.MonkeyPatch, missing: list[str]) -> None:
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)  # as Python marks what cannot be imported
    message = fault(folder)
    assert f"{' and '.join(missing)} must be installed, see requirements-local.txt" in message


def test_llm_provider_needs_the_folder() -> None:
    with pytest.raises(SystemExit, match="transformers needs LOCAL_MODEL_PATH"):
        provider_name(Settings(_env_file=None, LLM_PROVIDER="transformers"))


def test_documents_are_summarised_without_it(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    def embed(texts: object) -> np.ndarray:
        return np.ones((1, 1), np.float32)

    settings = Settings(_env_file=None, LOCAL_MODEL_PATH=folder)
    with caplog.at_level("INFO"):
        assert document_summary(TEXT, settings, embed) == central_sentences(TEXT, embed)
    assert not caplog.records, "it was not even tried"
