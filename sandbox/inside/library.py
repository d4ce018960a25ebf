"""What both sides have of the standard library, each its own: the name by which the other one finds it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from typing import Any

# Of an exception of that kind, whatever it is.
MEMBERS: dict[str, type[BaseException]] = {"code": SystemExit, "value": StopIteration}


def name_of(value: Any) -> tuple[str, str] | None:
    """Module and name of a built-in or a function or a class of the library; None for what is not found by them."""
    module = getattr(getattr(value, "__objclass__", value), "__module__", None)
    name = getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    return (module, name) if found(module, name) is value else None


def found(module: str, name: str) -> Any:
    """What has a name in a module of the library that is imported; else None."""
    owner: Any = sys.modules.get(module) if module.partition(".")[0] in sys.stdlib_module_names else None
    for part in name.split("."):
        owner = None if owner is None else getattr(owner, part, None)
    return owner


def is_path(value: Any) -> bool:
    pathlib = sys.modules.get("pathlib")
    return pathlib is not None and isinstance(value, pathlib.PurePath)


def names_of(kind: type) -> list[str]:
    """Of a class and its bases: by module and name (``json.decoder:JSONDecodeError``) if it is the library's, else by name."""
    known = {base: base.__module__.partition(".")[0] in sys.stdlib_module_names for base in kind.__mro__[:-1]}
    return [f"{base.__module__}:{base.__qualname__}" if known[base] else base.__name__ for base in known]


def combined(kinds: Iterable[type]) -> tuple[type, ...]:
    """Of the bases of a class, as it asks them, those from which one can be derived here: the first, and what goes with it."""
    bases: tuple[type, ...] = ()
    for kind in kinds:
        if not any(issubclass(base, kind) for base in bases):
            with contextlib.suppress(TypeError):  # of another layout, or another metaclass
                bases = type("", (*bases, kind), {}).__bases__ if bases else (kind,)
    return bases
