"""json_schema: the response is JSON and fits a schema; optionally it equals the gold value too."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from grpo_kit.types import Score

from .base import VerifierError
from .cases import Case
from .format import ParsedJson, read_json
from .register import verifier

MAX_STEPS = 100_000
_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def _cases() -> list[Case]:
    options = {"schema": _SCHEMA}
    return [
        Case('{"name": "Ada", "age": 36}', options=options, expected=1.0),
        Case('<think>...</think>\n```json\n{"name": "Ada", "age": 36.0}\n```', options=options, expected=1.0),
        Case('{"name": "Ada", "age": true}', options=options, expected=0.0),
        Case('{"name": "Ada"}', options=options, expected=0.0),
        Case('{"name": "Ada", "age": 36, "x": 1}', options=options, expected=0.0),
        Case('{"name": "Ada", "age": 36} and more', options=options, expected=0.0),
        Case('{"name": "Ada", "age": 36}', {"name": "Ada", "age": 36}, options=options, expected=1.0),
        Case('{"name": "Ada", "age": 35}', {"name": "Ada", "age": 36}, options=options, expected=0.0),
        Case("[1, 2]", meta={"schema": {"type": "array", "items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"enum": [1, 2]}}}},
             expected=1.0),
    ]  # fmt: skip


@verifier(name="json_schema", timeout=2.0, cases=_cases)
def json_schema(response: str, answer: Any = None, meta: Any = None, schema: dict[str, Any] | None = None) -> Score:
    """1 when the response, after the reasoning, is JSON that fits the schema (and equals ``answer``, if there is one).

    Schema keywords: type, enum, const, properties, required, additionalProperties, minProperties, maxProperties,
    items, prefixItems, minItems, maxItems, uniqueItems, minLength, maxLength, pattern, minimum, maximum,
    exclusiveMinimum, exclusiveMaximum, multipleOf, allOf, anyOf, oneOf, not, and $ref within the schema. Another
    keyword that would constrain is an error, never ignored.

    Args:
        schema: a JSON schema; ``meta["schema"]`` of a task comes first.
    """
    wanted = (meta.get("schema") if isinstance(meta, Mapping) else None) or schema
    if isinstance(wanted, str):
        wanted = json.loads(wanted)
    if not isinstance(wanted, (dict, bool)):
        raise VerifierError("json_schema needs the option 'schema', or a 'schema' in the task's meta")
    if not isinstance(response, str):
        return Score(0.0, reason="the response is not text")
    read = read_json(response)
    if not isinstance(read, ParsedJson):
        return Score(0.0, reason=read)
    complaint = Checker(wanted).check(read.value, wanted, "$")
    if complaint is not None:
        return Score(0.0, reason=complaint)
    extracted = json.dumps(read.value)[:2000]
    if answer is None:
        return Score(1.0, extracted=extracted)
    gold = _gold(answer)
    return Score(float(same(read.value, gold)), extracted=extracted)


def _gold(answer: Any) -> Any:
    """The gold value as JSON knows it: text of an object or list is read, NumPy values and tuples are what they hold.

    Raises:
        ValueError: it is nothing that a response could equal.
    """
    if isinstance(answer, str) and answer.lstrip()[:1] in ("{", "["):
        return json.loads(answer)
    try:
        return json.loads(json.dumps(answer, default=lambda value: value.tolist(), allow_nan=False))
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"json_schema: the gold answer {answer!r:.100} is no JSON value: {error}") from None


def same(one: Any, other: Any) -> bool:
    """Equality of JSON values: ``1`` equals ``1.0`` but not ``true``."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _is_integer(value: Any) -> bool:
    return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "integer": _is_integer,
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
# keyword -> (what it applies to, whether the value is within the limit)
_LIMITS: dict[str, tuple[Callable[[Any], bool], Callable[[Any, Any], bool]]] = {
    "minLength": (_TYPES["string"], lambda value, limit: len(value) >= limit),
    "maxLength": (_TYPES["string"], lambda value, limit: len(value) <= limit),
    "pattern": (_TYPES["string"], lambda value, limit: re.search(limit, value) is not None),
    "minimum": (_is_number, lambda value, limit: value >= limit),
    "maximum": (_is_number, lambda value, limit: value <= limit),
    "exclusiveMinimum": (_is_number, lambda value, limit: value > limit),
    "exclusiveMaximum": (_is_number, lambda value, limit: value < limit),
    "multipleOf": (_is_number, lambda value, limit: value % limit == 0),
    "minItems": (_TYPES["array"], lambda value, limit: len(value) >= limit),
    "maxItems": (_TYPES["array"], lambda value, limit: len(value) <= limit),
    "minProperties": (_TYPES["object"], lambda value, limit: len(value) >= limit),
    "maxProperties": (_TYPES["object"], lambda value, limit: len(value) <= limit),
}
_SAYS_NOTHING = {
    "$schema", "$id", "$defs", "definitions", "$comment", "title", "description", "default", "examples", "deprecated",
}  # fmt: skip
_STRUCTURE = {
    "type", "enum", "const", "required", "properties", "additionalProperties", "items", "prefixItems", "uniqueItems",
    "allOf", "anyOf", "oneOf", "not", "$ref",
}  # fmt: skip


class Checker:
    """Checks values against one schema; complaints name the place in the value."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.steps = 0

    def check(self, value: Any, schema: Any, path: str) -> str | None:
        """The first complaint about ``value``, or None when it fits."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            return f"the value takes more than {MAX_STEPS:,} checks"
        if isinstance(schema, bool):
            return None if schema else f"{path}: not allowed"
        for keyword in schema:
            if keyword not in _LIMITS and keyword not in _STRUCTURE and keyword not in _SAYS_NOTHING:
                raise VerifierError(f"json_schema: the keyword {keyword!r} is not supported")
        return self._own(value, schema, path) or self._parts(value, schema, path) or self._combined(value, schema, path)

    def _own(self, value: Any, schema: Mapping[str, Any], path: str) -> str | None:
        if "type" in schema:
            types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
            if not any(_TYPES[name](value) for name in types):
                return f"{path}: not of type {' or '.join(types)}"
        if "enum" in schema and not any(same(value, allowed) for allowed in schema["enum"]):
            return f"{path}: not one of {schema['enum']!r:.200}"
        if "const" in schema and not same(value, schema["const"]):
            return f"{path}: not {schema['const']!r:.200}"
        for keyword, (applies, within) in _LIMITS.items():
            if keyword in schema and applies(value) and not within(value, schema[keyword]):
                return f"{path}: {keyword} is {schema[keyword]!r:.100}"
        if schema.get("uniqueItems") and isinstance(value, list):
            texts = [json.dumps(item, sort_keys=True) for item in value]
            if len(set(texts)) < len(texts):
                return f"{path}: items are not unique"
        return None

    def _parts(self, value: Any, schema: Mapping[str, Any], path: str) -> str | None:
        if isinstance(value, dict):
            if missing := [name for name in schema.get("required", ()) if name not in value]:
                return f"{path}: {missing[0]!r} is missing"
            properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
            members = ((f"{path}.{str(name)[:50]}", item, properties.get(name, others)) for name, item in value.items())
        elif isinstance(value, list):
            first, rest = schema.get("prefixItems", []), schema.get("items", True)
            members = ((f"{path}[{i}]", item, first[i] if i < len(first) else rest) for i, item in enumerate(value))
        else:
            return None
        found = (self.check(item, inner, place) for place, item, inner in members if inner is not True)
        return next((complaint for complaint in found if complaint), None)

    def _combined(self, value: Any, schema: Mapping[str, Any], path: str) -> str | None:
        if "$ref" in schema and (complaint := self.check(value, self._resolve(schema["$ref"]), path)):
            return complaint
        for inner in schema.get("allOf", ()):
            if complaint := self.check(value, inner, path):
                return complaint
        for keyword, allowed in (("anyOf", range(1, 10**6)), ("oneOf", range(1, 2))):
            if keyword in schema:
                fitting = sum(self.check(value, inner, path) is None for inner in schema[keyword])
                if fitting not in allowed:
                    return f"{path}: fits {fitting} of {keyword}"
        if "not" in schema and self.check(value, schema["not"], path) is None:
            return f"{path}: fits what it must not fit"
        return None

    def _resolve(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise VerifierError(f"json_schema: $ref {reference!r} leads outside the schema")
        found = self.root
        for step in reference[1:].strip("/").split("/") if len(reference) > 1 else ():
            step = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or step not in found:
                raise VerifierError(f"json_schema: $ref {reference!r} leads nowhere")
            found = found[step]
        return found
