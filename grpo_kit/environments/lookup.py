"""Finding environments and tools: shipped and registered names, entry points, modules and files.

A reference is a registered name, a name of the entry-point group ``grpo_kit.environments``, ``package.module:Name`` or
``path/file.py:Name``, tried in this order. What stands there is a class, or a typed function, which is a tool.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.runtime.modules import FILE_MODULE, load_module
from grpo_kit.runtime.suggest import did_you_mean
from grpo_kit.scoring.places import file_here, file_text

from .base import Environment
from .classes import Part
from .formats import Format
from .register import REGISTRY, assemble, of_class, of_function
from .shipped import SHIPPED

ENTRY_POINT_GROUP = "grpo_kit.environments"


@dataclass(frozen=True)
class EnvironmentSpec:
    """Which environment a recipe means, in a form that another process can find it by (plain values alone).

    Attributes:
        name: of an environment; or else ``tools``, names of tools.
        format: how tools are called; not ``auto``, which the chat template decides (`formats.format_of_template`).
    """

    name: str | None = None
    tools: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    format: Format = "json"
    turns: int | None = None
    timeout: float | None = None

    def find(self) -> Environment:
        """Raises UserError where it is not there or its options are not its own."""
        if self.name is not None:
            return get_environment(
                self.name, format=self.format, turns=self.turns, timeout=self.timeout, options=self.options
            )
        return tools_environment(self.tools, format=self.format, turns=self.turns, timeout=self.timeout)

    def located(self) -> EnvironmentSpec:
        """The same for a process in another folder, which has registered nothing.

        Raises:
            UserError: it was made inside a function or typed into a prompt, where no other process can find it.
        """
        name = None if self.name is None else located(self.name)
        tools = tuple(located(reference) for reference in self.tools)
        return EnvironmentSpec(name, tools, self.options, self.format, self.turns, self.timeout)


@dataclass(frozen=True)
class Address:
    """How a worker process finds an environment. spec: `EnvironmentSpec.located`."""

    spec: EnvironmentSpec

    @property
    def name(self) -> str:
        return self.spec.name or ", ".join(self.spec.tools)

    @property
    def _references(self) -> tuple[str, ...]:
        return self.spec.tools if self.spec.name is None else (self.spec.name,)

    def resolve(self) -> Environment:
        return self.spec.find()

    def texts(self) -> dict[str, str]:
        """The files that it stands in, by their paths: for a machine without this one's disk."""
        sources = (reference.rpartition(":")[0] for reference in self._references)
        return {source: text for source in sources if (text := file_text(source)) is not None}

    def here(self, texts: Mapping[str, str], folder: Path) -> Address:
        """The same on another machine, files written into a folder where they are not there already."""
        paths = {s: file_here(s, text, folder / str(number)) for number, (s, text) in enumerate(texts.items())}

        def moved(reference: str) -> str:
            source, _, name = reference.rpartition(":")
            return f"{paths[source]}:{name}" if source in paths else reference

        tools, name = tuple(map(moved, self.spec.tools)), self.spec.name
        return Address(replace(self.spec, name=None if name is None else moved(name), tools=tools))


def get_environment(
    reference: str,
    *,
    format: Format = "json",
    turns: int | None = None,
    timeout: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> Environment:
    """Find an environment by name, ``package.module:Name`` or ``path/file.py:Name``; a tool's name gives one with that tool.

    Args:
        format: how its tools are called, if it has any.
        turns, timeout: in place of what it says itself.
        options: keywords of its class, checked here.

    Raises:
        UserError: nothing is there, or it is no environment; an error inside the user's own module is raised as it is.
    """
    return assemble([get_part(reference)], format=format, turns=turns, timeout=timeout, options=options)


def tools_environment(
    references: Sequence[str], *, format: Format = "json", turns: int | None = None, timeout: float | None = None
) -> Environment:
    """The environment in which a policy may call these tools, and ends the episode by a turn that calls none.

    Args:
        references: functions, or classes whose methods are marked with ``@tool``.

    Raises:
        UserError: one is not there or is no tool, or one shadows another.
    """
    parts = [get_part(reference) for reference in references]
    if not parts:
        raise UserError("environment.tools names no tool")
    for part, reference in zip(parts, references, strict=True):
        if not part.tools:
            raise UserError(f"environment.tools: {reference} has no tools; use it as environment.name")
    return assemble(parts, format=format, turns=turns, timeout=timeout)


def get_part(reference: str) -> Part:
    """What stands under a reference. Raises UserError as `get_environment` does."""
    if ":" not in reference:
        found = named_part(reference)
        if found is not None:
            return found
        raise UserError(
            f"there is no environment or tool named {reference!r}; there are {', '.join(environment_names())}, and your own "
            f"are named as path/to/file.py:Name or package.module:Name.{did_you_mean(reference, environment_names())}"
        )
    source, _, attribute = reference.rpartition(":")
    return _describe(load_module(source, "environment"), source, attribute)


def named_part(name: str) -> Part | None:
    """What is called by a bare name (registered, shipped or an entry point), or None."""
    if name in REGISTRY:
        return REGISTRY[name]
    if name in SHIPPED:
        module = importlib.import_module(f"grpo_kit.environments.shipped.{SHIPPED[name]}")
        return REGISTRY[name] if name in REGISTRY else _part_of(getattr(module, name))
    for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP, name=name):
        return _part_of(entry.load())
    return None


def environment_names() -> list[str]:
    """Every name that can be used without a path, in order."""
    entries = {entry.name for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)}
    return sorted({*REGISTRY, *SHIPPED, *entries})


def located(reference: str) -> str:
    """A reference under which another process finds the same. Raises UserError where it cannot."""
    source, _, attribute = reference.rpartition(":")
    if source:
        return f"{Path(source).resolve()}:{attribute}" if source.endswith(".py") else reference
    part = named_part(reference)
    if part is None or reference in SHIPPED or reference not in REGISTRY:
        return reference  # shipped, an entry point, or the error of who looks for it
    made = part.source
    module, qualname = getattr(made, "__module__", ""), getattr(made, "__qualname__", "<locals>")
    file = part.origin.rpartition(":")[0]
    if "<" in qualname or not Path(file).is_file():
        raise UserError(
            f"environment {part.name!r} ({part.origin}) cannot be found by a worker process, because it is not a class at the "
            "top of a file or module: move it there"
        )
    if module == "__main__" or module.startswith(FILE_MODULE):
        return f"{Path(file).resolve()}:{qualname}"
    return f"{module}:{qualname}"


def _describe(module: ModuleType, source: str, attribute: str) -> Part:
    found: Any = module
    for name in attribute.split("."):
        found = getattr(found, name, None)
    if not callable(found):
        own = [k for k, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module.__name__]
        raise UserError(
            f"{source} has no class or function {attribute!r}; it has: {', '.join(own) or 'none'}."
            f"{did_you_mean(attribute, own)}"
        )
    return _part_of(found)


def _part_of(found: Any) -> Part:
    if inspect.isclass(found):
        # Of the class itself: one that inherits from a registered one is another environment.
        registered = vars(found).get("__grpo_kit_environment__")
        return registered if registered is not None else of_class(found)
    registered = getattr(found, "__grpo_kit_environment__", None)
    return registered if registered is not None else of_function(found)
