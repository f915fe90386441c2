"""Settings from the environment, `.env`, config.py and defaults."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from utils.config_file import example
from utils.settings import ROOT, Section, Settings, load_settings


def test_the_example_names_every_setting_with_its_default() -> None:
    text = (ROOT / "config.py.example").read_text()
    assert text == example(Settings.model_fields, get_args(Section))
    names = [line.split(" = ")[0].removeprefix("# ") for line in text.splitlines() if " = " in line]
    assert sorted(names) == sorted(Settings.model_fields)


def test_all_faults_are_told_at_once_and_without_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "geheim")
    monkeypatch.setenv("WORKERS", "0")
    with pytest.raises(SystemExit) as stopped:
        load_settings()
    message = str(stopped.value)
    assert "PORT" in message and "WORKERS" in message and "geheim" not in message


@pytest.mark.parametrize("url", ["oracle://u:geheim@db/chat", "chat.db", "geheim@db/chat"])
def test_a_database_of_another_kind_is_a_fault(url: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        load_settings(DATABASE_URL=url)
    assert "DATABASE_URL" in str(stopped.value) and "geheim" not in str(stopped.value)


def test_a_name_that_does_not_exist_is_a_fault() -> None:
    with pytest.raises(ValidationError):
        Settings(LLM_API_KEYS="x")  # type: ignore[call-arg]


def test_the_environment_wins_over_config_py_and_that_over_the_defaults(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "utils", tmp_path / "utils")
    (tmp_path / "config.py").write_text("LLM_MODEL = 'qwen-plus'\nPORT = 7000\nhelper = 1\n")
    (tmp_path / ".env").write_text("WORKERS=3\nTHREADS=\n")
    code = "from utils.settings import *; s = load_settings(); print(s.LLM_MODEL, s.PORT, s.WORKERS, s.THREADS)"
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PORT": "8000"}, capture_output=True, text=True
    )
    assert printed.stdout.split() == ["qwen-plus", "8000", "3", str(Settings().THREADS)], printed.stderr


def test_secrets_do_not_show() -> None:
    settings = Settings(LLM_API_KEY="sk-secret")  # type: ignore[arg-type]
    assert "sk-secret" not in repr(settings) and "sk-secret" not in settings.model_dump_json()


def test_the_url_may_end_in_chat_completions() -> None:
    assert Settings(LLM_API_URL="http://127.0.0.1/v1/chat/completions/").LLM_API_URL == "http://127.0.0.1/v1"


def test_lists_are_names_with_commas_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_FILE_TYPES", "pdf, .DOCX")
    assert Settings().ALLOWED_FILE_TYPES == ("pdf", "docx")


def test_redis_is_named_by_url_or_by_host_and_port() -> None:
    assert Settings().redis_url == ""
    assert Settings(REDIS_HOST="db", REDIS_PORT=7000).redis_url == "redis://db:7000/0"
    assert Settings(REDIS_URL="redis://x/1", REDIS_HOST="db").redis_url == "redis://x/1"
