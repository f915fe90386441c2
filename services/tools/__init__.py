"""The agent's tools: one file each, which holds a `TOOL`."""

from functools import cache

from models.tools import Tool
from utils.registry import modules_of


@cache
def all_tools() -> tuple[Tool, ...]:
    """Every tool there is, in the order of their names."""
    tools = {module.TOOL.name: module.TOOL for module in modules_of(__name__)}
    if len(tools) < len(modules_of(__name__)):
        raise ValueError("two tools have the same name")
    return tuple(tools[name] for name in sorted(tools))
