"""A recipe's text: which file it is, and what it says, with the line of every key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import yaml

from grpo_kit.errors import UserError
from grpo_kit.runtime.suggest import closest

ENDLESS = "a value is nested too deep, or holds itself (a YAML alias within what it names)"
KeyPath = tuple[str | int, ...]


def dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))


@dataclass
class Source:
    """Plain data and, for every key path in it, where it was written."""

    data: Any
    places: dict[KeyPath, str] = field(default_factory=dict)

    def place(self, path: KeyPath) -> str:
        while path not in self.places and path:
            path = path[:-1]
        return self.places.get(path, "recipe")

    def forget(self, section: KeyPath) -> None:
        """Drop the places of a value that is replaced, and of all within it."""
        self.places = {path: place for path, place in self.places.items() if path[: len(section)] != section}


def paths_of(data: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """The key path of a value, and of every value within it."""
    yield path
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inside:
        yield from paths_of(value, (*path, key))


# Folders among the shipped recipes that hold something else: bases, and evaluation tasks.
BASES, TASKS = "bases", "eval"


def recipes_root() -> Path:
    return Path(str(resources.files("grpo_kit.recipes")))


def shipped_recipes() -> list[str]:
    """Names of the recipes inside the package, such as ``grpo/gsm8k``: what can be trained."""
    return [name for name in _shipped_names() if name.partition("/")[0] not in (BASES, TASKS)]


def shipped_bases() -> list[str]:
    """Names of what shipped recipes have in common and extend, such as ``bases/gsm8k``; no recipes by themselves."""
    return [name for name in _shipped_names() if name.startswith(f"{BASES}/")]


def _shipped_names() -> list[str]:
    root = recipes_root()
    return sorted(p.relative_to(root).with_suffix("").as_posix() for p in root.rglob("*.yaml"))


def shipped_file(name: str) -> Path:
    """Where a shipped recipe or base is, by its name with or without ``recipes/`` and .yaml; it may not exist."""
    return recipes_root() / f"{short_name(name)}.yaml"


def short_name(name: str) -> str:
    return name.removeprefix("recipes/").removesuffix(".yaml")


def first_sentence(name: str) -> str:
    """What a shipped recipe says of itself: the first sentence of the comment at its head, however many lines it has."""
    text = (recipes_root() / f"{name}.yaml").read_text(encoding="utf-8")
    head = [line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), text.splitlines())]
    # A full stop within a name (2.5B, Dr. GRPO) ends nothing, and a colon at the end of a line leads to an example.
    found = re.match(r"(?:Dr\. |.)*?(?:\.(?=\s)|:(?=\n)|$)", "\n".join(head), re.DOTALL)
    return " ".join((found.group() if found else "").split()).removesuffix(":")


def find_recipe(name: str | Path, beside: Path | None = None) -> Path:
    """A file on disk, or a shipped recipe by name (``quickstart/addition``, with or without ``recipes/`` and .yaml).

    Args:
        beside: the folder that a path is relative to; None for the working directory.
    """
    path = (beside or Path()) / Path(name).expanduser()
    try:
        if path.is_file():
            return path
        if path.is_dir():
            raise UserError(f"{name} is a folder; give one of its recipe files")
    except (OSError, ValueError) as error:
        raise UserError(f"{name!s:.60} cannot be a recipe: {getattr(error, 'strerror', None) or error}") from error
    shipped = shipped_file(str(name))
    if shipped.is_file():
        return shipped
    known = {recipe: recipe for recipe in shipped_recipes()}
    if beside is not None:
        known |= {base: base for base in shipped_bases()}
        near = (str(Path(name).with_name(p.name)) for p in islice(path.parent.glob("*.yaml"), 1000))
        known |= {short_name(file): file for file in near}
    if beside is None and re.fullmatch(r"[\w.*]+=.*", str(name)):
        raise UserError(
            f"{name!s:.60} is in the place of the recipe: name that first, then what is changed of it. (A run that is "
            "resumed has its own, RUN/config.yaml; `grpo-kit recipes ls` lists the shipped ones.)"
        )
    meant = closest(short_name(str(name)), known)
    hint = f" Did you mean {known[meant]}?" if meant else ""
    where = name if beside is None else path
    raise UserError(f"no recipe at {where} and none shipped under that name; `grpo-kit recipes ls` lists them.{hint}")


def read_recipe(path: Path) -> str:
    """The text of a recipe. Raises UserError if it cannot be read, is no text, or is longer than any recipe."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_TEXT + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or f"it is no UTF-8 text ({error})"
        raise UserError(f"{path} cannot be read as a recipe: {reason}") from error
    if len(text) > MAX_TEXT:
        raise UserError(f"{path}: more than {MAX_TEXT} characters are no recipe")
    return text


def parse_yaml(text: str, name: str) -> Source:
    """Parse YAML, keeping the line of every key; a key written twice is an error."""
    if len(text) > MAX_TEXT:
        raise UserError(f"{name}: {len(text)} characters are no recipe; at most {MAX_TEXT} are read")
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        refuse_bomb(root, name)
        data = yaml.safe_load(text)
    except RecursionError:
        raise UserError(f"{name}: nested too deep for a recipe") from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(f"{name}{line}: not valid YAML: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(data, dict):
        raise UserError(f"{name}:1: a recipe is a mapping of keys to values; found {type(data).__name__}")
    assert root is not None
    try:
        return Source(data, dict(_places(root, name, ())))
    except RecursionError:
        raise UserError(f"{name}: {ENDLESS}") from None


def annotated(text: str, source: Source) -> str:
    """YAML in block style with a comment behind every value that stands in the source: where it was written."""
    lines = text.splitlines()
    waiting: list[tuple[KeyPath, Any, int]] = [((), yaml.compose(text, yaml.SafeLoader), 0)]
    while waiting:
        path, node, line = waiting.pop()
        if isinstance(node, yaml.MappingNode) and node.value:
            waiting += [((*path, key.value), value, key.start_mark.line) for key, value in node.value]
        elif isinstance(node, yaml.SequenceNode) and any(isinstance(n, yaml.MappingNode) for n in node.value):
            waiting += [((*path, index), inner, inner.start_mark.line) for index, inner in enumerate(node.value)]
        elif path in source.places:
            at = node.end_mark.line if isinstance(node, yaml.ScalarNode) else line
            lines[at] += f"  # {' '.join(source.places[path].split())}"
    return "\n".join(lines) + "\n"


MAX_TEXT = 1 << 20
MAX_VALUES = 100_000


def refuse_bomb(root: yaml.Node | None, name: str) -> None:
    """Bound what aliases (``*name``) unfold to: a few lines of them make billions of values.

    Raises:
        UserError: more than `MAX_VALUES`, or an alias within what it stands for.
    """
    sizes: dict[int, int] = {}
    waiting: list[tuple[yaml.Node, bool]] = [] if root is None else [(root, False)]
    while waiting:
        node, done = waiting.pop()
        parts = [p for pair in node.value for p in pair] if isinstance(node, yaml.MappingNode) else node.value
        parts = parts if isinstance(node, yaml.CollectionNode) else []
        if done:
            sizes[id(node)] = 1 + sum(sizes[id(part)] for part in parts)
            if sizes[id(node)] > MAX_VALUES:
                line = node.start_mark.line + 1
                raise UserError(f"{name}:{line}: its aliases unfold to more than {MAX_VALUES} values; write fewer")
        elif id(node) not in sizes:
            sizes[id(node)] = 0
            waiting.append((node, True))
            waiting += [(part, False) for part in parts if id(part) not in sizes]
            if any(sizes.get(id(part)) == 0 for part in parts):
                raise UserError(f"{name}:{node.start_mark.line + 1}: an alias stands within what it is an alias of")


def _places(node: yaml.Node, name: str, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    yield path, f"{name}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                twice = dotted((*path, key.value))
                raise UserError(f"{name}:{line}: {twice} is written twice; the first is on line {seen[key.value]}")
            seen[key.value] = line
            yield from (
                (p, f"{name}:{line}" if p == (*path, key.value) else where)
                for p, where in _places(value, name, (*path, key.value))
            )
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _places(value, name, (*path, index))
