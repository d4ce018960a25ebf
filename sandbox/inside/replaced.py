"""What tests put in the place of something of the library's: ``sys.stdin``, ``input``, ``time.sleep``.

The program has a library of its own, in its own process. So each call takes with it what stands in such a place at that time:
data as data, a function as one that is called back (`unittest.mock`'s, too). For the time of the call it stands there.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_STREAMS = ("stdout", "stderr")
_DATA = (type(None), bool, int, float, str, bytes, list, tuple, dict)
_MOST_TEXT = 1 << 22


@dataclass(slots=True)
class Place:
    """An attribute of a module."""

    module: str
    attribute: str

    def now(self) -> Any:
        return getattr(importlib.import_module(self.module), self.attribute)

    def why_not(self) -> str | None:
        """Why what is put there cannot be taken along; None if it can."""
        if self.module == "sys" and self.attribute in ("stdin", *_STREAMS):
            return None
        try:
            original = self.now()
        except (ImportError, AttributeError):
            return "it is not there"
        if (self.module, self.attribute) == ("builtins", "open"):
            return "files live in the program's process; have it write one and read it"
        if isinstance(original, type) or not (callable(original) or isinstance(original, _DATA)):
            return f"a {type(original).__name__} cannot be replaced in the program's process"
        return None


class Around:
    """The tests' side: what a call takes with it, and what it brings back."""

    def __init__(self) -> None:
        self.places: list[tuple[Place, Any]] = []

    def watch(self, places: list[Place]) -> None:
        self.places = [(p, p.now()) for p in places if p.module != "sys" or p.attribute not in ("stdin", *_STREAMS)]

    def now(self, encode: Callable[[Any], Any]) -> dict[str, Any]:
        around: dict[str, Any] = {}
        captured = [name for name in _STREAMS if getattr(sys, name) is not getattr(sys, f"__{name}__")]
        if captured:
            around["captured"] = captured
        if sys.stdin is not sys.__stdin__ and sys.stdin is not None:
            before = sys.stdin.tell()
            around["stdin"] = sys.stdin.read(_MOST_TEXT)
            sys.stdin.seek(before)
        for place, original in self.places:
            if (standing := place.now()) is not original:
                around.setdefault("places", []).append([place.module, place.attribute, encode(standing)])
        return around

    def after(self, around: dict[str, Any], told: Any) -> None:
        """Raises ValueError or TypeError for what no call brings back."""
        if type(told) is not list or len(told) != 3:
            raise ValueError("not what a call brings back")
        for name, text in zip(_STREAMS, told, strict=False):
            if name in around.get("captured", ()):
                getattr(sys, name).write(str(text))
        if "stdin" in around:
            taken = told[2]
            if type(taken) is not int or not 0 <= taken <= len(around["stdin"]):
                raise ValueError("not a place in the input")
            sys.stdin.read(taken)


class _Input(io.StringIO):
    """Text that is read as standard input is, as bytes too."""

    @property
    def buffer(self) -> io.BytesIO:
        return io.BytesIO(self.read().encode("utf-8", "surrogateescape"))

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


@contextlib.contextmanager
def put(around: dict[str, Any], decode: Callable[[Any], Any]) -> Iterator[Callable[[], list[Any]]]:
    """The program's side: for the time of a call, what the tests have put there. Gives what goes back."""
    before: list[tuple[Any, str, Any]] = []

    def replace(owner: Any, name: str, value: Any) -> None:
        before.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    streams = {name: io.StringIO() for name in around.get("captured", ())}
    given = _Input(around["stdin"]) if "stdin" in around else None
    try:
        for name, stream in streams.items():
            replace(sys, name, stream)
        if given is not None:
            replace(sys, "stdin", given)
        for module, attribute, value in around.get("places", ()):
            replace(builtins if module == "builtins" else importlib.import_module(module), attribute, decode(value))
        yield lambda: [*(streams[n].getvalue() if n in streams else "" for n in _STREAMS), given.tell() if given else 0]
    finally:
        for owner, name, value in reversed(before):
            setattr(owner, name, value)
