"""How values stand in the reason of a failure: bounded, and without asking an object of the program anything."""

from __future__ import annotations

import itertools
import reprlib
from collections.abc import Iterator
from typing import Any

_MOST = 12


class Shown(reprlib.Repr):
    """In the order that there is: to sort objects of the program would be to ask them."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = self.maxdict = _MOST
        self.maxstring = self.maxother = 120

    def repr_set(self, x: Any, level: int) -> str:
        return self._some((self.repr1(v, level - 1) for v in x), len(x), level, "{", "}") if x else "set()"

    def repr_frozenset(self, x: Any, level: int) -> str:
        return f"frozenset({self.repr_set(x, level)})" if x else "frozenset()"

    def repr_dict(self, x: Any, level: int) -> str:
        pairs = (f"{self.repr1(k, level - 1)}: {self.repr1(v, level - 1)}" for k, v in x.items())
        return self._some(pairs, len(x), level, "{", "}")

    def _some(self, parts: Iterator[str], length: int, level: int, left: str, right: str) -> str:
        more = ["..."] * (length > _MOST or level <= 0)
        return left + ", ".join([*itertools.islice(parts, _MOST if level > 0 else 0), *more]) + right


_SHOWN = Shown()


def show(value: Any, how: Shown = _SHOWN) -> str:
    """A bounded repr of plain data, for people."""
    try:
        return how.repr(value)[:300]
    except (ValueError, RecursionError):  # an int of more digits than Python prints
        return f"<{type(value).__name__}>"


def written(text: str) -> str:
    """Text that can be written to a file and tokenized: half a surrogate pair, which JSON can hold, cannot."""
    return text.encode("utf-8", "backslashreplace").decode()
