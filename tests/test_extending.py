"""A new tool, format or provider is one new file: shown on a copy of the code that has one more of each."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from utils.settings import ROOT

LOADER = '''
"""Notes of a program of old."""
from utils.loaders import Format, Loaded, Page

FORMATS = (Format("application/x-old-notes", ("old",), magic=__import__("re").compile(b"OLDNOTES")),)


def load(path, media_type, options):
    return Loaded(None, iter([Page(None, path.read_text()[8:])]))
'''

PROVIDER = '''
"""Says the same always."""
from langchain_core.language_models.fake_chat_models import FakeListChatModel

NAME = "parrot"
NEEDS = "nothing"


def configured(settings):
    return True


def rank(settings):
    return 9


def default_model(settings):
    return "parrot"


def build(settings, options):
    return FakeListChatModel(responses=["你好"])
'''


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    for package in ("models", "services", "utils"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    example = re.search(r"```python\n(.*?)```", (ROOT / "docs/extending.md").read_text(), re.DOTALL)
    assert example
    (folder / "services/tools/get_weather.py").write_text(example[1])
    (folder / "utils/loaders/old_notes.py").write_text(LOADER)
    (folder / "models/providers/parrot.py").write_text(PROVIDER)
    return folder


def run(folder: Path, code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_tool_of_the_documentation_is_found_and_runs(copy: Path) -> None:
    code = """
import asyncio
from services.tools import all_tools
tool = {tool.name: tool for tool in all_tools()}["get_weather"]
print(asyncio.run(tool.run(tool.args(city="北京"), None)).text)
"""
    assert run(copy, code) == "北京: 25 °C"


def test_a_new_format_is_recognised_and_read(copy: Path) -> None:
    (copy / "a.old").write_text("OLDNOTES旧笔记")
    code = """
from pathlib import Path
from utils.file_util import detect
from utils.loaders import LoadOptions, load
kind = detect(Path("a.old"), "a.old")
print(kind, [page.text for page in load(Path("a.old"), kind, LoadOptions(ocr=None)).pages])
"""
    assert run(copy, code) == "application/x-old-notes ['旧笔记']"


def test_a_new_provider_can_be_named(copy: Path) -> None:
    code = """
from models.llm_factory import chat_model
from utils.settings import Settings
print(chat_model(Settings(LLM_PROVIDER="parrot")).invoke("?").content)
"""
    assert run(copy, code) == "你好"
