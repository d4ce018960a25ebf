"""Random values are of the schema that pydantic holds a call to, whatever it says of them."""

from __future__ import annotations

import math
import random
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from grpo_kit.environments.attacks import random_call
from grpo_kit.environments.schemas import furthest, random_value
from grpo_kit.environments.tools import describe


class Node(BaseModel):
    value: int
    next: Node | None


class Leaf(BaseModel):
    kind: Literal["leaf"]
    size: Annotated[float, Field(gt=0, lt=0.001)]


class Branch(BaseModel):
    kind: Literal["branch"]
    left: Annotated[Branch | Leaf, Field(discriminator="kind")]
    right: Annotated[Branch | Leaf, Field(discriminator="kind")]


class Tree(BaseModel):
    kids: Annotated[list[Tree | None], Field(min_length=1, max_length=2)]


def chain(node: Node) -> str:
    """A list whose every node says what comes next, if nothing."""


def split(tree: Annotated[Branch | Leaf, Field(discriminator="kind")]) -> str:
    """A tree of two kinds of nodes."""


def grow(tree: Tree, beside: tuple[Tree, int]) -> str:
    """A tree whose every node has one below it, if it is none."""


def fixed(only: Literal["this"], one: Literal[1, 2] | None, nothing: None) -> str:
    """Values that are given."""


def bounded(
    low: Annotated[int, Field(ge=50)],
    high: Annotated[int, Field(le=-50)],
    between: Annotated[int, Field(gt=3, lt=5)],
    share: Annotated[float, Field(gt=0, lt=1)],
    far: Annotated[float, Field(ge=1e6)],
    by: Annotated[int, Field(gt=101, multiple_of=50)],
    maybe: Annotated[int, Field(ge=100)] | None,
    some: Annotated[list[int], Field(min_length=5)],
    word: Annotated[str, Field(min_length=3, max_length=5)],
) -> str:
    """Values within limits."""


def various(
    far: Annotated[float, Field(ge=-1.7e308, le=1.7e308)], some: Annotated[set[int], Field(min_length=3)]
) -> str:
    """Limits whose difference is none of a float, and items that are all different."""


@pytest.mark.parametrize("function", [various, chain, split, grow, fixed, bounded])
def test_random_calls_are_of_their_types(function):
    tool, draw = describe(function, "here"), random.Random(0)
    for _ in range(300):
        tool.read(random_call(draw, [tool.schema], given=1.0).arguments)


def test_what_can_never_be_given_ends_nevertheless():
    without_end = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}, "required": ["next"]}
    kids = {"type": "array", "items": {"$ref": "#/$defs/Kids"}, "minItems": 1}
    named: dict[str, Any] = {"Node": without_end, "Kids": kids}
    for name in named:
        assert random_value(random.Random(0), {"$ref": f"#/$defs/{name}"}, named)


def test_one_of_several_kinds_is_read_of_a_list_and_of_one_of():
    draw = random.Random(0)
    for schema in ({"type": ["integer", "null"]}, {"oneOf": [{"type": "integer"}, {"type": "null"}]}):
        assert {type(random_value(draw, schema, {})) for _ in range(50)} == {int, type(None)}


@pytest.mark.parametrize(
    ("schema", "least", "zero", "most"),
    [
        ({"type": "integer"}, -(10**30), 0, 10**30),
        ({"type": "integer", "minimum": 1, "maximum": 9}, 1, 1, 9),
        ({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 9}, 4, 4, 8),
        ({"type": "number", "maximum": -0.5}, -1e308, -0.5, -0.5),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 5e-324, 5e-324, math.nextafter(1.0, 0.0)),
        ({"type": "integer", "const": 3}, None, None, None),
        ({"type": "integer", "enum": [1, 2]}, None, None, None),
        ({"type": "string"}, None, None, None),
    ],
)
def test_numbers_go_as_far_as_their_limits(schema, least, zero, most):
    assert [furthest(schema, number) for number in (-1e308, 0.0, 1e308)] == [least, zero, most]


def test_kinds_that_hold_each_other_are_looked_at_once_each():
    """In the number of looks, and not in time: every kind of twelve holds any of them twice, or nothing."""
    looked = 0

    class Counted(dict):
        def get(self, key, default=None):
            nonlocal looked
            looked += key == "required"
            return super().get(key, default)

    names = [f"Kind{number}" for number in range(12)]
    any_of = {"oneOf": [{"$ref": f"#/$defs/{name}"} for name in (*names, "Leaf")]}
    branch = {"type": "object", "properties": {"left": any_of, "right": any_of}, "required": ["left", "right"]}
    named = {name: Counted(branch) for name in names} | {"Leaf": Counted({"type": "object"})}
    for seed in range(20):
        assert isinstance(random_value(random.Random(seed), any_of, named), dict)
    assert looked < 20 * 13 * (13 + 300)
