"""A new tool, format or provider is one new file: shown on a copy of the code with the examples of docs/extending.md."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from utils.settings import ROOT

EXAMPLE = re.compile(r"`((?:models|services|utils)/[\w/]+\.py)`:\n\n```python\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    for package in ("models", "services", "utils"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in EXAMPLE.findall((ROOT / "docs/extending.md").read_text()):
        (folder / path).write_text(text)
    return folder


def run(folder: Path, code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_new_tool_is_found_and_runs(copy: Path) -> None:
    code = """
import asyncio
from services.tools import all_tools
tool = {tool.name: tool for tool in all_tools()}["get_weather"]
print(asyncio.run(tool.run(tool.args(city="北京"), None)).text)
"""
    assert run(copy, code) == "北京: 25 °C"


def test_a_new_format_is_recognised_and_read(copy: Path) -> None:
    (copy / "a.old").write_text("OLDNOTES旧笔记\f第二页")
    code = """
from pathlib import Path
from utils.file_util import detect
from utils.loaders import LoadOptions, load
kind = detect(Path("a.old"), "a.old")
print(kind, [(page.number, page.text) for page in load(Path("a.old"), kind, LoadOptions(ocr=None)).pages])
"""
    assert run(copy, code) == "application/x-old-notes [(1, '旧笔记'), (2, '第二页')]"


def test_a_new_provider_can_be_named(copy: Path) -> None:
    code = """
from models.llm_factory import chat_model, default_model_name
from utils.settings import Settings
settings = Settings(_env_file=None, LLM_PROVIDER="example", LLM_API_KEY="sk-1")
print(default_model_name(settings), chat_model(settings).openai_api_base)
"""
    assert run(copy, code) == "example-large https://api.example.com/v1"


def test_a_new_wire_format_renders_a_turn(copy: Path) -> None:
    code = """
from models.events import Chunk, Failed, Started
from services.protocols import plain
from utils.errors import UpstreamTimeout
batches = [[("m:0", Started("s", "m")), ("m:1", Chunk("从前"))], [], [("m:2", Failed(UpstreamTimeout(upstream="qwen")))]]
print(b"".join(plain.stream(batches, "zh")).decode())
"""
    assert run(copy, code) == "从前\n上游服务未及时响应：qwen。"
