"""Arrays without items: NumPy takes one for equal to any number, item for item, and whoever returns none would pass."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

from .proxy import Proxy

# Functions of which the first two arguments, or those of these names, are compared item for item.
_COMPARING = {
    "numpy": ("allclose", "isclose", "array_equiv"),
    "numpy.ma": ("allclose", "allequal"),
    "numpy.testing": (
        *("assert_allclose", "assert_almost_equal", "assert_approx_equal", "assert_array_almost_equal"),
        *("assert_array_almost_equal_nulp", "assert_array_compare", "assert_array_equal", "assert_array_less"),
        *("assert_array_max_ulp", "assert_equal"),
    ),
    "numpy.ma.testutils": (
        *("approx", "almost", "assert_almost_equal", "assert_array_almost_equal", "assert_array_approx_equal"),
        *("assert_array_compare", "assert_array_equal", "assert_array_less", "assert_close", "assert_equal"),
        *("assert_equal_records", "assert_not_equal", "fail_if_array_equal", "fail_if_equal"),
    ),
}
_SIDES = (("x", "y"), ("a", "b"))  # where something else comes first


def hold_no_items(one: Any, other: Any) -> bool:
    """Whether one of the two has no items at all, and the other has, or is a number."""
    return _has_no_items(one) != _has_no_items(other)


def _has_no_items(value: Any) -> bool:
    kind = type(value)  # what stands for an object of the program is not asked what it is
    if kind is Proxy:
        return False
    if issubclass(kind, Sequence) and not issubclass(kind, (str, bytes)):
        return all(map(_has_no_items, value))
    return kind.__module__.partition(".")[0] == "numpy" and getattr(value, "size", 1) == 0


def watch(failed: Callable[[str], BaseException], texts: str) -> None:
    """Have NumPy compare nothing with something nowhere, by whatever name and from wherever its functions are called.

    Args:
        failed: makes what is raised there.
    """
    if "numpy" not in sys.modules:
        return
    if "numpy" in texts:
        watched = {id(function): _of_items(function, failed) for function in _comparing(texts)}
        for module in [m for m in sys.modules.values() if isinstance(m, types.ModuleType)]:
            names = vars(module)
            names.update({name: watched[id(value)] for name, value in [*names.items()] if id(value) in watched})
    if "approx" in texts and "pytest" in sys.modules:
        _watch_approx(sys.modules["pytest"], sys.modules["numpy"])


def _comparing(texts: str) -> list[Callable[..., Any]]:
    found = []
    for name, functions in _COMPARING.items():
        if name == "numpy.ma.testutils" and "testutils" not in texts:
            continue
        module = importlib.import_module(name)
        found += [getattr(module, function) for function in functions if hasattr(module, function)]
    return found


def _of_items(compare: Callable[..., Any], failed: Callable[[str], BaseException]) -> Callable[..., Any]:
    signature = inspect.signature(compare)
    sides = next((names for names in _SIDES if signature.parameters.keys() >= {*names}), [*signature.parameters][:2])

    @functools.wraps(compare)
    def watched(*arguments: Any, **named: Any) -> Any:
        try:
            given = signature.bind(*arguments, **named).arguments
        except TypeError:  # which the function says itself
            return compare(*arguments, **named)
        if hold_no_items(*(given[side] for side in sides)):
            raise failed("nothing is compared with something: an empty array equals no number")
        return compare(*arguments, **named)

    return watched


def _watch_approx(pytest: Any, numpy: Any) -> None:
    """That of pytest itself, of numbers and of arrays; of all else it is made of these."""
    for expected in (0.0, numpy.zeros(1)):
        kind: Any = type(pytest.approx(expected))
        kind.__eq__ = _equals(kind.__eq__)


def _equals(equal: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(equal)
    def equals(self: Any, actual: Any) -> Any:
        return not hold_no_items(actual, self.expected) and equal(self, actual)

    return equals
