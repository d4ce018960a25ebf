"""Every formula gives the shapes that its annotations say, on sizes that all differ."""

import importlib
import inspect
import pkgutil
from typing import get_args, get_type_hints

import pytest
import torch

import grpo_kit.objective
from grpo_kit.objective.rows import Objective

SIZES = {"tokens": 11, "sequences": 5, "groups": 3, "pairs": 7, "responses": 4, "parts": 2, "vocabulary": 6}
INDEX = {"sequence_index": "sequences", "group_index": "groups"}  # which of so many
BOOLEAN = ("counted", "desirable", "clipped_low", "clipped_high", "known", "bounded")
PLAIN = {Objective: Objective(), float: 0.5, int: SIZES["tokens"], str: ""}
CHOICES = {
    "baseline": "group_mean",
    "scale": "group_std",
    "aggregation": "group_token_mean",
    "turns": ((3, 0.25),),
}
MODULES = [
    importlib.import_module(m.name) for m in pkgutil.iter_modules(grpo_kit.objective.__path__, "grpo_kit.objective.")
]


def hints_of(thing):
    return get_type_hints(thing, include_extras=True)


def parts(annotation):
    """The annotation, and those of which it is made: Tokens | None, tuple[Tokens, Tokens]."""
    yield annotation
    if not hasattr(annotation, "__metadata__"):
        for inner in get_args(annotation):
            yield from parts(inner)


def about_tensors(thing):
    return any(
        part is torch.Tensor or shape_of(part) is not None for hint in hints_of(thing).values() for part in parts(hint)
    )


def shape_of(annotation):
    """The sizes that an annotation names; None where it names none."""
    names = getattr(annotation, "__metadata__", (None,))[0]
    return None if names is None else tuple(SIZES[name] for name in names.split())


FORMULAS = [
    thing
    for module in MODULES
    for _, thing in inspect.getmembers(module, inspect.isfunction)
    if thing.__module__ == module.__name__ and about_tensors(thing)
]
RECORDS = [
    thing
    for module in MODULES
    for _, thing in inspect.getmembers(module, inspect.isclass)
    if thing.__module__ == module.__name__ and about_tensors(thing)
]


def example(name, annotation):
    """A value of an annotation: of a tensor, one of its sizes."""
    if annotation in RECORDS:
        return annotation(**{key: example(key, hint) for key, hint in hints_of(annotation).items()})
    found = next(part for part in parts(annotation) if part in RECORDS or part in PLAIN or shape_of(part) is not None)
    if found in PLAIN:
        return CHOICES.get(name, PLAIN[found])
    shape = shape_of(found)
    count = torch.Size(shape).numel()
    if name in INDEX:
        return torch.arange(count) % SIZES[INDEX[name]]
    if name in BOOLEAN:
        return (torch.arange(count) % 2 == 0).reshape(shape)
    return torch.linspace(0.1, 0.9, count, dtype=torch.float64).reshape(shape)


def check(value, annotation, where):
    if annotation in RECORDS:
        for key, hint in hints_of(annotation).items():
            check(getattr(value, key), hint, f"{where}.{key}")
    elif isinstance(value, tuple):
        for index, (one, hint) in enumerate(zip(value, get_args(annotation), strict=True)):
            check(one, hint, f"{where}[{index}]")
    elif shape_of(annotation) is not None:
        assert tuple(value.shape) == shape_of(annotation), where


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda f: f"{f.__module__.rpartition('.')[2]}.{f.__name__}")
def test_a_formula_gives_the_shapes_that_it_says(formula):
    hints = hints_of(formula)
    returned = hints.pop("return")
    given = {name: example(name, hint) for name, hint in hints.items()}
    check(formula(**given), returned, formula.__name__)


@pytest.mark.parametrize(
    "thing", [*FORMULAS, *RECORDS], ids=lambda t: f"{t.__module__.rpartition('.')[2]}.{t.__name__}"
)
def test_every_tensor_says_its_shape(thing):
    assert not [name for name, hint in hints_of(thing).items() if torch.Tensor in list(parts(hint))]
