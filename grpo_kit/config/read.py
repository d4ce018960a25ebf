"""Read a recipe: YAML plus ``key.sub=value`` overrides -> Config, with every error at its file and line."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from grpo_kit.config import Config
from grpo_kit.errors import UserError
from grpo_kit.runtime.secrets import mask_arguments, masked, restored
from grpo_kit.runtime.suggest import closest, did_you_mean

ENDLESS = "a value is nested too deep, or holds itself (a YAML alias within what it names)"
KeyPath = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)


@dataclass
class Source:
    """Plain data and, for every key path in it, where it was written."""

    data: Any
    places: dict[KeyPath, str] = field(default_factory=dict)

    def place(self, path: KeyPath) -> str:
        while path not in self.places and path:
            path = path[:-1]
        return self.places.get(path, "recipe")


def load_recipe(name: str | Path, overrides: Sequence[str] = (), complete: bool = True) -> Config:
    """Read a recipe file (or the name of a shipped one) and apply overrides.

    Args:
        complete: refuse the config of a run whose secrets were masked and are not given again; False: to look at.

    Raises:
        UserError: with every problem found, one paragraph each.
    """
    path = find_recipe(name)
    source = parse_yaml(read_recipe(path), str(name))
    for override in overrides:
        apply_override(source, override)
    if complete:
        source.data = _unmasked(source.data)
        _refuse_masked(source)
    return validate(source)


def _unmasked(data: Any) -> Any:
    """The same data with the secrets back that are in the environment."""
    if isinstance(data, dict):
        return {key: _unmasked(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_unmasked(value) for value in data]
    return restored(data) if isinstance(data, str) and masked(data) else data


def _refuse_masked(source: Source) -> None:
    waiting: list[tuple[KeyPath, Any]] = [((), source.data)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [((*path, key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, index), inner) for index, inner in enumerate(value)]
        elif isinstance(value, str) and masked(value):
            dotted = ".".join(map(str, path))
            raise UserError(
                f"{source.place(path)}: {dotted} was a secret, and is masked in what a run writes; give it again: {dotted}=..."
            )


def recipes_root() -> Path:
    return Path(str(resources.files("grpo_kit.recipes")))


def shipped_recipes() -> list[str]:
    """Names of the recipes inside the package, such as ``grpo/gsm8k``; ``eval/`` holds evaluation tasks, not recipes."""
    root = recipes_root()
    found = (p.relative_to(root) for p in root.rglob("*.yaml"))
    return sorted(p.with_suffix("").as_posix() for p in found if p.parts[0] != "eval")


def first_sentence(name: str) -> str:
    """What a shipped recipe says of itself: the first sentence of the comment at its head, however many lines it has."""
    text = (recipes_root() / f"{name}.yaml").read_text(encoding="utf-8")
    head = [line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), text.splitlines())]
    # A full stop within a name (2.5B, Dr. GRPO) ends nothing, and a colon at the end of a line leads to an example.
    found = re.match(r"(?:Dr\. |.)*?(?:\.(?=\s)|:(?=\n)|$)", "\n".join(head), re.DOTALL)
    return " ".join((found.group() if found else "").split()).removesuffix(":")


def find_recipe(name: str | Path) -> Path:
    """A file on disk, or a shipped recipe by name (``quickstart/addition``, with or without ``recipes/`` and .yaml)."""
    path = Path(name).expanduser()
    try:
        if path.is_file():
            return path
        if path.is_dir():
            raise UserError(f"{name} is a folder; give one of its recipe files")
    except (OSError, ValueError) as error:
        raise UserError(f"{name!s:.60} cannot be a recipe: {getattr(error, 'strerror', None) or error}") from error
    short = str(name).removeprefix("recipes/").removesuffix(".yaml")
    shipped = recipes_root() / f"{short}.yaml"
    if shipped.is_file():
        return shipped
    hint = did_you_mean(short, shipped_recipes())
    raise UserError(f"no recipe at {name} and none shipped under that name; `grpo-kit recipes ls` lists them.{hint}")


def read_recipe(path: Path) -> str:
    """The text of a recipe. Raises UserError if it cannot be read, or is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or f"it is no UTF-8 text ({error})"
        raise UserError(f"{path} cannot be read as a recipe: {reason}") from error


def parse_yaml(text: str, name: str) -> Source:
    """Parse YAML, keeping the line of every key; a key written twice is an error."""
    if len(text) > MAX_TEXT:
        raise UserError(f"{name}: {len(text)} characters are no recipe; at most {MAX_TEXT} are read")
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        _refuse_bomb(root, name)
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


MAX_TEXT = 1 << 20
MAX_VALUES = 100_000


def _refuse_bomb(root: yaml.Node | None, name: str) -> None:
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
                dotted = ".".join(map(str, (*path, key.value)))
                raise UserError(f"{name}:{line}: {dotted} is written twice; the first is on line {seen[key.value]}")
            seen[key.value] = line
            yield from (
                (p, f"{name}:{line}" if p == (*path, key.value) else where)
                for p, where in _places(value, name, (*path, key.value))
            )
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _places(value, name, (*path, index))


def apply_override(source: Source, override: str) -> None:
    """Set ``key.sub=value`` in the data; the value is read as YAML, so ``null``, ``3`` and ``[a, b]`` mean what they say."""
    path, value = read_override(override)
    where = f"command line ({mask_arguments([override])[0]})"
    target = source.data
    for depth, part in enumerate(path[:-1], start=1):
        _check_entry(target, path[:depth], where)
        if isinstance(target, dict) and target.get(part) is None:
            target[part] = {}
        target = target[part]
        if not isinstance(target, (dict, list)):
            raise UserError(f"{where}: {dotted(path[:depth])} is a value, not a section")
    _check_entry(target, path, where)
    if path[-2:] == ("model", "path") and isinstance(target, dict):
        target.pop("scratch", None)  # a path given on the command line replaces the recipe's way of making a model
    target[path[-1]] = value
    source.places[path] = where


def read_override(override: str) -> tuple[KeyPath, Any]:
    """The key path and the value of ``key.sub=value``. Raises UserError if it is not written so."""
    key, separator, raw = override.partition("=")
    where = f"command line ({mask_arguments([override])[0]})"
    if not separator or not all(key.strip().split(".")):
        raise UserError(f"{where}: an override is written key.sub=value")
    if len(raw) > MAX_TEXT:
        raise UserError(f"command line ({key}): the value is longer than {MAX_TEXT} characters")
    try:
        _refuse_bomb(yaml.compose(raw, yaml.SafeLoader), where[:200])
        value = _floats(yaml.safe_load(raw) if raw else None)
        _check_comment(key, raw, where)
    except RecursionError:
        raise UserError(f"{where[:100]}: {ENDLESS}") from None
    except (yaml.YAMLError, ValueError) as error:
        quoted = shlex.quote(f"{key}={json.dumps(raw, ensure_ascii=False)}")
        raise UserError(
            f"{where}: the value is not valid YAML: {getattr(error, 'problem', None) or error}. Text with brackets, braces, "
            f"colons or the like is put in quotes: {quoted}"
        ) from error
    if isinstance(value, str):
        value = _number(value)
    parts = key.strip().split(".")
    return tuple(int(p) if p.isascii() and p.isdigit() and len(p) < 10 else p for p in parts), value


def _check_comment(key: str, raw: str, where: str) -> None:
    """Raises UserError where YAML would take a part of the value for a comment: nobody comments on a command line."""
    node = yaml.compose(raw)
    rest = raw[node.end_mark.index if node else 0 :].strip()
    if rest.startswith("#"):
        quoted = shlex.quote(f"{key}={json.dumps(raw, ensure_ascii=False)}")
        raise UserError(
            f"{where}: from {rest[:30]!r} on, YAML takes it for a comment; put text with # in quotes: {quoted}"
        )


def dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))


def _check_entry(target: Any, path: KeyPath, where: str) -> None:
    """Raises UserError if the last part of the path names nothing of a list."""
    if not isinstance(target, list):
        return
    if not isinstance(path[-1], int) or path[-1] >= len(target):
        raise UserError(
            f"{where}: {dotted(path)} is not an entry of a list of {len(target)}; they are numbered from "
            f"{dotted(path[:-1])}.0 on"
        )


def _number(text: str) -> str | float:
    """YAML 1.1 reads 1e-5 as text; people mean the number."""
    try:
        return float(text) if any(c.isdigit() for c in text) and "_" not in text else text
    except ValueError:
        return text


def validate(source: Source, schema: type[Model] = Config) -> Model:  # type: ignore[assignment]
    """Check a file's data against a schema. Raises UserError with every problem found."""
    try:
        return schema.model_validate(_floats(source.data))
    except ValidationError as error:
        lines = [_explain(problem, source, schema) for problem in error.errors()]
        count = f"{len(lines)} problems" if len(lines) > 1 else "1 problem"
        raise UserError(f"{count} in the recipe:\n" + "\n".join(f"  {line}" for line in lines)) from None


def _floats(data: Any) -> Any:
    if isinstance(data, dict):
        return {k: _floats(v) for k, v in data.items()}
    if isinstance(data, list):
        return [_floats(v) for v in data]
    if isinstance(data, str) and data[:1].isdigit() and "e" in data.lower():
        return _number(data)
    return data


def _explain(problem: Any, source: Source, schema: type[BaseModel]) -> str:
    path: KeyPath = problem["loc"]
    name = dotted(path) or "recipe"
    where, kind = source.place(path), problem["type"]
    if kind == "extra_forbidden":
        allowed = _fields_at(path[:-1], schema)
        return f"{where}: unknown key {name}; allowed here: {', '.join(allowed)}.{_meant(path, allowed, schema)}"
    if kind == "missing":
        return f"{where}: {name} is missing"
    found = f"{problem['input']!r:.80}"
    if kind == "literal_error":
        known = [str(a).strip("'") for a in problem["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        hint = did_you_mean(str(problem["input"]), known)
        return f"{where}: {name}: found {found}, allowed: {', '.join(known)}.{hint}"
    if kind == "value_error":
        return f"{where}: {name}: {problem['ctx']['error']}"
    message = KINDS.get(kind) or problem["msg"].replace("Input should be", "must be")
    return f"{where}: {name}: found {found}, {message}"


# What pydantic calls by the names of Python's types.
KINDS = {
    "tuple_type": "must be a list, such as [first, second]",
    "list_type": "must be a list, such as [first, second]",
    "dict_type": "must be a section of keys and values",
    "model_type": "must be a section of keys and values",
    "model_attributes_type": "must be a section of keys and values",
    "string_type": "must be text; text with brackets, braces or colons is put in quotes",
}


def _meant(path: KeyPath, siblings: Sequence[str], schema: type[BaseModel]) -> str:
    """The key that was meant: beside the wrong one, or of that name in a section elsewhere."""
    word = str(path[-1])
    beside = closest(word, siblings)
    keys = sorted(keys_of(schema), key=lambda key: (not key[1], key[0].count(".")))  # what every recipe has comes first
    leaves = {key: key.rpartition(".")[2] for key, _ in keys}
    elsewhere = word if word in leaves.values() else None if beside else closest(word, leaves.values())
    near = [key for key, leaf in leaves.items() if leaf == elsewhere][:2] or ([beside] if beside else [])
    return f" Did you mean {' or '.join(near)}?" if near else ""


def keys_of(schema: type[BaseModel], inside: str = "") -> list[tuple[str, bool]]:
    """Every key of a schema with its sections (``train.steps``, ``verifiers.0.name``), and whether it has to be given."""
    found = []
    for name, info in schema.model_fields.items():
        key = f"{inside}{name}"
        section = _section(info.annotation)
        if section is None:
            found.append((key, info.is_required()))
        else:
            entry = "0." if any(t in (list, tuple) for t in map(get_origin, [info.annotation])) else ""
            found.append((key, info.is_required()))
            found += keys_of(section, f"{key}.{entry}")
    return found


def _fields_at(path: KeyPath, schema: type[BaseModel]) -> list[str]:
    """Names of the config fields at a key path."""
    model: Any = schema
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            model = _section(model.model_fields[part].annotation) or model
    return list(model.model_fields)


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, alone, as an option or in a list."""
    candidates = [annotation, *_flatten(annotation)]
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _flatten(annotation: Any) -> Iterator[Any]:
    for inner in get_args(annotation):
        yield inner
        yield from _flatten(inner)
