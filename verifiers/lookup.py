"""Finding verifiers: shipped and registered names, entry points, modules and files.

A reference is a registered name, a name of the entry-point group ``grpo_kit.verifiers``, ``package.module:function``
or ``path/file.py:function``, tried in this order.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from grpo_kit.runtime import modules

from .base import Verifier, VerifierError
from .register import REGISTRY, from_function

ENTRY_POINT_GROUP = "grpo_kit.verifiers"

# Which module registers which shipped name. Loaded on first use, so that a process that scores with `number` does not
# pay for what `math` or `reward_model` import.
SHIPPED = {
    "choice": "choice",
    "code": "code",
    "compose": "compose",
    "countdown": "countdown",
    "exact": "text",
    "format": "format",
    "ifeval": "ifeval",
    "json_schema": "json_schema",
    "judge": "judge",
    "language": "language",
    "length": "length",
    "math": "math",
    "number": "number",
    "overlong": "length",
    "reasoning_gym": "reasoning_gym",
    "regex": "text",
    "repetition": "repetition",
    "reward_model": "reward_model",
}


def get_verifier(reference: str) -> Verifier:
    """Find a verifier by name, ``package.module:function`` or ``path/file.py:function``.

    Raises:
        VerifierError: nothing is there; an error inside the user's own module is raised as it is.
    """
    if ":" not in reference:
        found = named_verifier(reference)
        if found is not None:
            return found
        close = difflib.get_close_matches(reference, verifier_names(), 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise VerifierError(
            f"there is no verifier named {reference!r}; there are {', '.join(verifier_names())}, and your own are "
            f"named as path/to/file.py:function or package.module:function.{hint}"
        )
    source, _, attribute = reference.rpartition(":")
    return _describe(load_module(source), source, attribute)


def named_verifier(name: str) -> Verifier | None:
    """A verifier by its bare name (registered, shipped or an entry point), or None."""
    if name not in REGISTRY and name in SHIPPED:
        importlib.import_module(f"grpo_kit.verifiers.{SHIPPED[name]}")
    if name in REGISTRY:
        return REGISTRY[name]
    for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP, name=name):
        loaded = entry.load()
        return loaded if isinstance(loaded, Verifier) else _registered(loaded) or from_function(loaded, name=name)
    return None


def verifier_names() -> list[str]:
    """Every name that can be used without a path, in order."""
    entries = {entry.name for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)}
    return sorted({*REGISTRY, *(name for name in SHIPPED if _is_there(name)), *entries})


def _is_there(name: str) -> bool:
    return importlib.util.find_spec(f"grpo_kit.verifiers.{SHIPPED[name]}") is not None


def load_module(source: str) -> ModuleType:
    """Import a module by name or load a file; an error inside it is raised as it is.

    Raises:
        VerifierError: there is no such module or file.
    """
    return modules.load_module(source, "verifier", VerifierError)


def _describe(module: ModuleType, source: str, attribute: str) -> Verifier:
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if isinstance(found, Verifier):
        return found
    if not callable(found):
        own = [k for k, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module.__name__]
        close = difflib.get_close_matches(attribute, own, 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise VerifierError(f"{source} has no function {attribute!r}; it has: {', '.join(own) or 'none'}.{hint}")
    return _registered(found) or from_function(found)


def _registered(function: Callable[..., Any]) -> Verifier | None:
    return next((made for made in REGISTRY.values() if made.source is function), None)


@dataclass(frozen=True)
class Address:
    """How another process finds a verifier: a bare name, or a module or file and a name in it."""

    name: str
    source: str = ""
    attribute: str = ""

    def resolve(self) -> Verifier:
        """Find the verifier again. Raises what `get_verifier` raises."""
        if not self.source:
            return get_verifier(self.name)
        module = load_module(self.source)
        if self.name in REGISTRY:
            return REGISTRY[self.name]
        return _describe(module, self.source, self.attribute)


def address_of(verifier: Verifier, reference: str = "") -> Address:
    """The address under which a worker process will find ``verifier``.

    Raises:
        VerifierError: it was made inside a function or typed into a prompt, where no other process can find it.
    """
    source, _, attribute = reference.rpartition(":")
    if source:
        return Address(verifier.name, str(Path(source).resolve()) if source.endswith(".py") else source, attribute)
    function = inspect.unwrap(verifier.source or verifier.function)
    module = getattr(function, "__module__", "") or ""
    qualname = getattr(function, "__qualname__", "<lambda>")
    if module.startswith("grpo_kit.verifiers") or verifier.name not in REGISTRY:
        return Address(verifier.name)  # shipped, or an entry point
    file = getattr(sys.modules.get(module), "__file__", None)
    if "<" in qualname or file is None:
        raise VerifierError(
            f"verifier {verifier.name!r} ({verifier.origin}) cannot be found by a worker process, because it is not a "
            "function at the top of a file or module: move it there, or score in process with workers=0"
        )
    if module == "__main__" or module.startswith(modules.FILE_MODULE):
        return Address(verifier.name, str(Path(file).resolve()), qualname)
    return Address(verifier.name, module, qualname)
