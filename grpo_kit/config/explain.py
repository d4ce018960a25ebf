"""What each key of a recipe is: its sentence, type, default and range, from where it is declared."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from grpo_kit.config import Config
from grpo_kit.config.marks import SAFE_ON_RESUME, marked
from grpo_kit.config.read import keys_of, section_of
from grpo_kit.config.readers import readers_of
from grpo_kit.errors import UserError
from grpo_kit.runtime.suggest import closest

BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
OF_THE_ROW = "that of the algorithm's row"


@dataclass(frozen=True)
class Key:
    """A key of a recipe.

    Attributes:
        name: with its sections; an entry of a list is numbered (``verifiers.0.name``).
        sentence: what it is, with its unit.
        kind: its type and range, or its values.
        default: as YAML has it; None where it must be given.
        readers: files and rooms below grpo_kit/ that read it.
        safe: whether a run may go on with another value.
        section: whether it holds other keys.
    """

    name: str
    sentence: str
    kind: str
    default: str | None
    readers: tuple[str, ...]
    safe: bool
    section: bool


# Keys of the file, which are gone when a recipe is an object.
OF_THE_FILE = {
    key.name: key
    for key in (
        Key("extends", "the shipped recipe, base or file that this one lies over", "text", "null",
            ("config/extends.py",), safe=False, section=False),
        Key("stages", "recipes that are trained one after another, each under its name", "names with sections", "null",
            ("run/chain.py",), safe=False, section=False),
    )
}  # fmt: skip


@cache
def all_keys(schema: type[BaseModel] = Config) -> Mapping[str, Key]:
    """Every key: those of the file, then the others in the order of the schema."""
    safe = {_unnumbered(key) for key in marked(schema, SAFE_ON_RESUME)}
    return MappingProxyType(OF_THE_FILE | {name: _key(name, schema, safe) for name, _ in keys_of(schema)})


def _key(name: str, schema: type[BaseModel], safe: set[str]) -> Key:
    plain = _unnumbered(name)
    *sections, last = parts = plain.split(".")
    model: Any = schema
    for part, after in pairwise(name.split(".")):
        if not part.isdigit():
            model = section_of(model.model_fields[part].annotation, listed=after.isdigit())
    field = model.model_fields[last]
    inside = section_of(field.annotation)
    return Key(
        name=name,
        sentence=field.description or "",
        kind=_sections(field.annotation) if inside is not None else _kind(_properties(model)[last]),
        default=OF_THE_ROW if sections == ["objective"] else _default(field, inside is not None),
        readers=readers_of(plain),
        safe=any(".".join(parts[:depth]) in safe for depth in range(1, len(parts) + 1)),
        section=inside is not None,
    )


@cache  # pydantic makes the schema of all that lies below a section, too
def _properties(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()["properties"]


def _unnumbered(name: str) -> str:
    return re.sub(r"\.\d+", "", name)


def _sections(annotation: Any) -> str:
    return (
        "a section" if section_of(annotation, listed=True) is section_of(annotation) else "a section, or a list of them"
    )


def _default(field: Any, section: bool) -> str | None:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return None
    if section:
        return "null" if value is None else "[]" if value == [] else "its own defaults"
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _kind(schema: dict[str, Any]) -> str:
    """A JSON schema in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(one) for one in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return ", ".join(json.dumps(value).strip('"') for value in schema.get("enum", [schema.get("const")]))
    names = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false",
             "null": "null", "array": "a list", "object": "names with values"}  # fmt: skip
    bounds = [f"{word} {schema[bound]:g}" for bound, word in BOUNDS.items() if bound in schema]
    return " ".join(
        [names.get(schema.get("type", ""), "any value"), *bounds[:1], *(f"and {one}" for one in bounds[1:])]
    )


def find_key(wanted: str) -> Key:
    """A key by its name, also without the number of a list's entry, and without its sections where only one is called so.

    Raises:
        UserError: there is none of that name, with the one that was meant.
    """
    keys = all_keys()
    asked = re.sub(r"^stages\.[^.]+\.", "", wanted.strip().partition("=")[0])
    plain = {_unnumbered(name): key for name, key in keys.items()}
    if (found := plain.get(_unnumbered(asked))) is not None:
        return found
    # An entry of a list may be called by its name, or be every one of them: data.sums.weight, data.*.weight.
    for entries in {name[: at.start()] for name in keys for at in re.finditer(r"\.\d+", name)}:
        among = re.fullmatch(rf"{re.escape(_unnumbered(entries))}\.[^.]+\.(.+)", _unnumbered(asked))
        if among is not None and (found := plain.get(f"{_unnumbered(entries)}.{among[1]}")) is not None:
            return found
    ends = [key for name, key in plain.items() if name.endswith(f".{asked}")]
    if len(ends) == 1:
        return ends[0]
    near = closest(asked, plain)
    names = [key.name for key in ends] or ([plain[near].name] if near else [])
    hint = f" Did you mean {' or '.join(names)}?" if names else " `grpo-kit config explain` lists all of them."
    raise UserError(f"a recipe has no key {wanted!r:.80}.{hint}")


def keys_below(key: Key) -> list[Key]:
    """The keys that a section holds itself."""
    inside = _unnumbered(key.name)
    return [one for name, one in all_keys().items() if _unnumbered(name).rpartition(".")[0] == inside]
