"""What each key of a recipe is: its sentence, type, default and range, from where it is declared."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
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


def all_keys(schema: type[BaseModel] = Config) -> dict[str, Key]:
    """Every key in the order of the schema."""
    safe = {re.sub(r"\.\d+", "", key) for key in marked(schema, SAFE_ON_RESUME)}
    return {name: _key(name, schema, safe) for name, _ in keys_of(schema)}


def _key(name: str, schema: type[BaseModel], safe: set[str]) -> Key:
    plain = re.sub(r"\.\d+", "", name)
    *sections, last = plain.split(".")
    model: Any = schema
    for part in sections:
        model = section_of(model.model_fields[part].annotation)
    field = model.model_fields[last]
    inside = section_of(field.annotation)
    parts = plain.split(".")
    return Key(
        name=name,
        sentence=field.description or "",
        kind="a section" if inside is not None else _kind(model.model_json_schema()["properties"][last]),
        default=OF_THE_ROW if sections == ["objective"] else _default(field, inside is not None),
        readers=readers_of(plain),
        safe=any(".".join(parts[:depth]) in safe for depth in range(1, len(parts) + 1)),
        section=inside is not None,
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
    plain = {re.sub(r"\.\d+", "", name): key for name, key in keys.items()}
    if (found := plain.get(re.sub(r"\.\d+", "", asked))) is not None:
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
    inside = re.sub(r"\.\d+", "", key.name)
    return [one for name, one in all_keys().items() if re.sub(r"\.\d+", "", name).rpartition(".")[0] == inside]
