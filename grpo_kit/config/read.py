"""Read a recipe: YAML plus ``key.sub=value`` overrides -> Config, with every error at its file and line."""

from __future__ import annotations

import copy
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from grpo_kit.config import Config
from grpo_kit.config.data import ONE, SEVERAL
from grpo_kit.config.extends import EXTENDS, read_whole
from grpo_kit.config.source import ENDLESS, MAX_TEXT, KeyPath, Source, dotted, paths_of, refuse_bomb
from grpo_kit.errors import UserError
from grpo_kit.runtime.secrets import mask_arguments, masked, restored
from grpo_kit.runtime.suggest import closest, did_you_mean

Model = TypeVar("Model", bound=BaseModel)


def load_recipe(name: str | Path | Mapping[str, Any], overrides: Sequence[str] = (), complete: bool = True) -> Config:
    """Read a recipe file (or the name of a shipped one, or what such a file would say) and apply overrides.

    Args:
        complete: refuse the config of a run whose secrets were masked and are not given again; False: to look at.

    Raises:
        UserError: with every problem found, one paragraph each.
    """
    return validate(read_source(name, overrides, complete))


def read_source(name: str | Path | Mapping[str, Any], overrides: Sequence[str] = (), complete: bool = True) -> Source:
    """What a recipe says, not checked yet: over all that it extends, and under the overrides. Arguments: `load_recipe`."""
    source = read_whole(name)
    for override in overrides:
        apply_override(source, override)
    if complete:
        source.data = _unmasked(source.data)
        _refuse_masked(source)
    return source


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
            key = dotted(path)
            raise UserError(
                f"{source.place(path)}: {key} was a secret, and is masked in what a run writes; give it again: {key}=..."
            )


def apply_override(source: Source, override: str) -> None:
    """Set ``key.sub=value`` in the data; the value is read as YAML, so ``null``, ``3`` and ``[a, b]`` mean what they say."""
    written, value = read_override(override)
    where = f"command line ({mask_arguments([override])[0]})"
    target, path = source.data, _numbered(source.data, written)
    for depth, part in enumerate(path[:-1], start=1):
        _check_entry(target, path[:depth], where)
        if isinstance(target, dict) and target.get(part) is None:
            target[part] = {}
        target[part] = copy.copy(target[part])  # in YAML an alias (*name) may have made two sections one
        target = target[part]
        if not isinstance(target, (dict, list)):
            raise UserError(f"{where}: {dotted(path[:depth])} is a value, not a section")
    _check_entry(target, path, where)
    if path[-2:] == ("model", "path") and isinstance(target, dict):
        target.pop("scratch", None)  # a path given on the command line replaces the recipe's way of making a model
        source.forget((*path[:-1], "scratch"))
    target[path[-1]] = value
    source.forget(path)
    source.places |= dict.fromkeys(paths_of(value, path), where)


def read_override(override: str) -> tuple[KeyPath, Any]:
    """The key path and the value of ``key.sub=value``. Raises UserError if it is not written so."""
    key, separator, raw = override.partition("=")
    where = f"command line ({mask_arguments([override])[0]})"
    if not separator or not all(key.strip().split(".")):
        raise UserError(f"{where}: an override is written key.sub=value")
    if len(raw) > MAX_TEXT:
        raise UserError(f"command line ({key}): the value is longer than {MAX_TEXT} characters")
    try:
        refuse_bomb(yaml.compose(raw, yaml.SafeLoader), where[:200])
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


def _numbered(data: Any, path: KeyPath) -> KeyPath:
    """The same path with numbers for the entries of lists that it calls by their ``name``."""
    found: list[str | int] = []
    for part in path:
        if isinstance(data, list) and isinstance(part, str):
            named = [i for i, entry in enumerate(data) if isinstance(entry, dict) and entry.get("name") == part]
            part = named[0] if len(named) == 1 else part
        found.append(part)
        inside = isinstance(data, dict) or (isinstance(data, list) and isinstance(part, int) and part < len(data))
        data = (data.get(part) if isinstance(data, dict) else data[part]) if inside else None
    return tuple(found)


def _check_entry(target: Any, path: KeyPath, where: str) -> None:
    """Raises UserError if the last part of the path names nothing of a list."""
    if not isinstance(target, list):
        return
    if not isinstance(path[-1], int) or path[-1] >= len(target):
        names = [str(entry["name"]) for entry in target if isinstance(entry, dict) and "name" in entry]
        named = f", and named {', '.join(names)}" if names else ""
        raise UserError(
            f"{where}: {dotted(path)} is not an entry of a list of {len(target)}; they are numbered from "
            f"{dotted(path[:-1])}.0 on{named}"
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
    path: KeyPath = tuple(part for part in problem["loc"] if part not in (ONE, SEVERAL))
    name = dotted(path) or "recipe"
    where, kind = source.place(path), problem["type"]
    if kind == "extra_forbidden" and path[-1] == EXTENDS:
        return f"{where}: {name}: extends stands at the top of a recipe's file and nowhere else"
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
        return f"{where}: {name}: {problem['ctx']['error']}{_from_bases(str(problem['ctx']['error']), path, source)}"
    message = KINDS.get(kind) or problem["msg"].replace("Input should be", "must be")
    return f"{where}: {name}: found {found}, {message}"


def _from_bases(message: str, section: KeyPath, source: Source) -> str:
    """Where the keys that a message speaks of were written, where that is not the file of the section that it is about."""
    here = source.place(section).rpartition(":")[0]
    found = []
    for word in dict.fromkeys(re.findall(r"[a-z_][a-z_0-9]*(?:\.[a-z_0-9]+)*", message)):
        parts: KeyPath = tuple(word.split("."))
        for path in [parts] if "." in word else [(*section, *parts)] if section else []:
            place = source.places.get(path, here)
            if not place.startswith((f"{here}:", "command line")) and place != here:
                found.append(f"{dotted(path)} is from {place}")
    return f" ({'; '.join(found)})" if found and not here.startswith("command line") else ""


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
    """Every key of a schema with its sections (``train.steps``, ``verifiers.0.name``), and whether it has to be given.

    Of a section that may be a list of others the keys follow that those have beside its own (``data.0.weight``).
    """
    found = []
    for name, info in schema.model_fields.items():
        key = f"{inside}{name}"
        section = section_of(info.annotation)
        if section is None:
            found.append((key, info.is_required()))
        else:
            kinds = (info.annotation, *get_args(info.annotation))  # itself, or beside None
            entry = "0." if any(kind in (list, tuple) for kind in map(get_origin, kinds)) else ""
            found.append((key, info.is_required()))
            found += keys_of(section, f"{key}.{entry}")
            listed = section_of(info.annotation, listed=True)
            if listed is not None and listed is not section:
                more = {name: field for name, field in listed.model_fields.items() if name not in section.model_fields}
                found += [
                    pair for pair in keys_of(listed, f"{key}.0.") if pair[0].split(".")[key.count(".") + 2] in more
                ]
    return found


def _fields_at(path: KeyPath, schema: type[BaseModel]) -> list[str]:
    """Names of the config fields at a key path."""
    model: Any = schema
    for part, after in zip(path, (*path[1:], None), strict=False):
        if isinstance(part, str) and part in model.model_fields:
            model = section_of(model.model_fields[part].annotation, listed=isinstance(after, int)) or model
    return list(model.model_fields)


def section_of(annotation: Any, listed: bool = False) -> type[BaseModel] | None:
    """The model that a field holds, alone, as an option or in a list.

    Args:
        listed: of a field that may also hold a list of another one, that.
    """
    found = [c for c in (annotation, *_flatten(annotation)) if isinstance(c, type) and issubclass(c, BaseModel)]
    return found[-1 if listed else 0] if found else None


def _flatten(annotation: Any) -> Iterator[Any]:
    for inner in get_args(annotation):
        yield inner
        yield from _flatten(inner)
