"""Values that fit a JSON schema: some at random, and numbers as far out as its limits allow."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

DEEPEST = 4  # of values in values, beyond which the least that fits is taken
TRIES = 50  # for each item of several that must differ
MANY = 23  # numbers that are drawn from beside a single limit
WORDS = (
    "yes",
    "no",
    "stop",
    "help",
    "left",
    "right",
    "up",
    "down",
    "a",
    "the",
    "crane",
    "apple",
    "1",
    "0",
    "-1",
    "7",
    "50",
    "1e9",
    "",
)

Schema = Mapping[str, Any]


def random_value(draw: random.Random, schema: Schema, named: Mapping[str, Schema]) -> Any:
    """A value that fits a schema, but for patterns and formats of texts, and what is said of keys that have no names.

    Args:
        named: schemas that others point to; they may point to themselves.
    """
    return _Values(draw, named).of(schema, 0)


@dataclass
class _Values:
    draw: random.Random
    named: Mapping[str, Schema]

    def of(self, schema: Schema, depth: int) -> Any:
        draw, deep = self.draw, depth >= DEEPEST
        if deep and self._flattest(schema, self._levels) == math.inf:
            return None  # of what needs another of its kind without end nothing fits
        if schema.get("nullable") and (deep or draw.random() < 0.2):
            return None
        schema = _meant(schema, self.named)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return draw.choice(schema["enum"])
        if choices := _choices(schema):
            flattest = min(choices, key=lambda each: self._flattest(each, self._levels)) if deep else None
            return self.of(flattest or draw.choice(choices), depth + 1)
        kind = schema.get("type")
        if kind in ("integer", "number"):
            return _random_number(draw, schema)
        if kind == "boolean":
            return draw.random() < 0.5
        if kind == "array":
            return self._array(schema, depth)
        if kind == "object":
            properties, needed = schema.get("properties", {}), schema.get("required", ())
            kept = {name: each for name, each in properties.items() if name in needed or not deep}
            return {name: self.of(each, depth + 1) for name, each in kept.items()}
        if kind == "null":
            return None
        text = draw.choice((*WORDS, "2 + 3 * 4", "print(6 * 7)", "A", json.dumps({"a": 1})))
        return text.ljust(schema.get("minLength", 0), "a")[: schema.get("maxLength")]

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        if shapes := schema.get("prefixItems"):
            return [self.of(each, depth + 1) for each in shapes]
        least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
        count = least if depth >= DEEPEST else self.draw.randint(least, int(max(least, min(3, most))))
        found: list[Any] = []
        for _ in range(TRIES * count):
            item = self.of(schema.get("items", {}), depth + 1)
            if not (schema.get("uniqueItems") and item in found):
                found.append(item)
            if len(found) == count:
                break
        return found

    @cached_property
    def _levels(self) -> dict[str, float]:
        """Of values in values in the flattest value of each name; infinite where it needs another of its kind in itself."""
        found = dict.fromkeys(self.named, math.inf)
        for _ in self.named:  # the flattest value holds no name in itself
            found = {name: self._flattest(schema, found) for name, schema in self.named.items()}
        return found

    def _flattest(self, schema: Schema, levels: Mapping[str, float]) -> float:
        """The same of any schema. levels: of the names, as far as they are known."""
        if schema.get("nullable"):
            return 0
        if (pointed := str(schema.get("$ref", "")).rpartition("/")[2]) in levels:
            return levels[pointed]
        if choices := _choices(schema):
            return min(self._flattest(each, levels) for each in choices)
        properties = schema.get("properties", {})
        needed = [properties[name] for name in schema.get("required", ()) if name in properties]
        needed += schema.get("prefixItems") or [schema.get("items", {})] * min(1, schema.get("minItems", 0))
        return 1 + max((self._flattest(each, levels) for each in needed), default=0)


def furthest(schema: Schema, number: float) -> float | None:
    """``number`` as far out as the limits of a schema allow; None where it is no schema of numbers, or one of given ones."""
    if schema.get("type") not in ("integer", "number") or "enum" in schema or "const" in schema:
        return None
    low, high = _limits(schema)
    if schema["type"] == "number":
        return max(min(number, high), low)
    return int(max(min(number, high, 10**30), low, -(10**30)))


def _random_number(draw: random.Random, schema: Schema) -> float:
    """A number of those that are usual, or beside a limit that keeps it from them."""
    step = schema.get("multipleOf", 1)
    low, high = _limits(schema)
    if low == -math.inf:
        low = min(-3 * step, high - MANY * step)
    if high == math.inf:
        high = max(20 * step, low + MANY * step)
    if schema["type"] == "number" and "multipleOf" not in schema:
        share = draw.random()
        drawn = min(max(low * (1 - share) + high * share, low), high)  # the difference of two floats may be none
        return rounded if low <= (rounded := round(drawn, 2)) <= high else drawn
    first, last = int(-(-low // step)), int(high // step)
    return draw.randint(first, max(first, last)) * step


def _limits(schema: Schema) -> tuple[float, float]:
    """The least and the greatest number that a schema allows; infinite where it sets none."""
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    if "exclusiveMinimum" in schema:
        low = max(low, math.nextafter(schema["exclusiveMinimum"], math.inf))
    if "exclusiveMaximum" in schema:
        high = min(high, math.nextafter(schema["exclusiveMaximum"], -math.inf))
    if schema["type"] == "number":
        return low, high
    return low if low == -math.inf else math.ceil(low), high if high == math.inf else math.floor(high)


def _choices(schema: Schema) -> list[Schema]:
    if isinstance(kinds := schema.get("type"), list):
        return [{**schema, "type": kind} for kind in kinds]
    return schema.get("anyOf") or schema.get("oneOf") or []


def _meant(schema: Schema, named: Mapping[str, Schema]) -> Schema:
    """What a schema points to."""
    return named.get(str(schema.get("$ref", "")).rpartition("/")[2], schema)
