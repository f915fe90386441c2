"""Finds plug-ins: a new tool, provider, loader or wire format is one new file in its folder, listed nowhere else."""

import importlib
import pkgutil
from functools import cache
from types import ModuleType


@cache
def modules_of(package: str) -> tuple[ModuleType, ...]:
    """The public modules directly inside `package` (a dotted name), imported, in the order of their names."""
    root = importlib.import_module(package)
    names = sorted(m.name for m in pkgutil.iter_modules(root.__path__) if not m.name.startswith("_"))
    return tuple(importlib.import_module(f"{package}.{name}") for name in names)
