"""What tests put in the place of something of the library's: ``sys.stdin``, ``input``, ``time.sleep``.

The program has a library of its own, in its own process. So each call takes with it what stands in such a place at that time:
data as data, a function as one that is called back (`unittest.mock`'s, too). For the time of the call it stands there.
"""

from __future__ import annotations

import builtins
import collections
import contextlib
import functools
import importlib
import io
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

_STREAMS = ("stdout", "stderr")
_DATA = (type(None), bool, int, float, str, bytes, list, tuple, dict)
_MOST_TEXT = 1 << 22
_SHOWING = ("showwarning", "filters")


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
        if (self.module, self.attribute) == ("os", "environ"):
            return None
        if (self.module, self.attribute) == ("builtins", "open"):
            return "files live in the program's process; have it write one and read it"
        if isinstance(original, type) or not (callable(original) or isinstance(original, _DATA)):
            return f"a {type(original).__name__} cannot be replaced in the program's process"
        return None


class Around:
    """The tests' side: what a call takes with it, and what it brings back.

    Args:
        exception: makes one, or a warning, of what the program tells of it.
    """

    def __init__(self, exception: Callable[[Any], BaseException]) -> None:
        self._exception = exception
        self.places: list[tuple[Place, Any]] = []
        self._captured: dict[str, tuple[int, Any]] = {}  # the number of what stands, or stood last, in a stream's place
        self.environment: dict[str, str] | None = None
        self.warnings = False

    def watch(self, places: list[Place], texts: str) -> None:
        """``texts``: of the tests; what they do not name, they do not change."""
        apart = [Place("sys", "stdin"), *(Place("sys", name) for name in _STREAMS), Place("os", "environ")]
        self.environment = dict(os.environ) if "environ" in texts or "putenv" in texts else None
        self.warnings = any(word in texts for word in ("warns", "Warns", "catch_warnings", "deprecated_call"))
        if self.warnings:  # which are shown, or raised, in the process of the tests
            apart += [Place("warnings", name) for name in _SHOWING]
        self.places = [(p, p.now()) for p in places if p not in apart]

    def now(self, encode: Callable[[Any], Any]) -> dict[str, Any]:
        around: dict[str, Any] = {}
        if captured := self.captured():
            around["captured"] = {name: self._number(name, stream) for name, stream in captured.items()}
        if isinstance(sys.stdin, io.TextIOBase) and sys.stdin is not sys.__stdin__:
            before = sys.stdin.tell()
            around["stdin"] = sys.stdin.read(_MOST_TEXT)
            sys.stdin.seek(before)
        elif sys.stdin is not sys.__stdin__ and sys.stdin is not None:  # its lines, or a mock
            around["places"] = [["sys", "stdin", encode(sys.stdin)]]
        if self.warnings:
            around["warnings"] = True
        if self.environment is not None and (now := dict(os.environ)) != self.environment:
            around["environment"] = {
                k: now.get(k) for k in now.keys() | self.environment if now.get(k) != self.environment.get(k)
            }
        for place, original in self.places:
            if (standing := place.now()) is not original:
                around.setdefault("places", []).append([place.module, place.attribute, encode(standing)])
        return around

    @staticmethod
    def captured() -> dict[str, Any]:
        """What the tests have put in the place of their standard streams."""
        streams = {name: getattr(sys, name) for name in _STREAMS}
        return {
            n: stream for n, stream in streams.items() if stream is not None and stream is not getattr(sys, f"__{n}__")
        }

    def _number(self, name: str, stream: Any) -> int:
        number, known = self._captured.get(name, (0, None))
        if known is not stream:
            number, _ = self._captured[name] = number + 1, stream
        return number

    def printed(self, around: dict[str, Any], texts: list[Any]) -> None:
        """What the program has printed since it last told, to where the tests had put their streams."""
        for name, text in zip(_STREAMS, texts, strict=False):
            if text and name in around.get("captured", ()):  # a stream may be the program's
                getattr(sys, name).write(str(text))

    def brought(self, around: dict[str, Any], told: Any) -> Callable[[], None]:
        """What brings to the tests what the program has printed, read and warned of in a call.

        Raises:
            ValueError: it is not what a call tells.
        """
        if type(told) is not list or len(told) != 4 or type(told[3]) is not list:
            raise ValueError("not what a call brings back")
        *texts, taken, warned = told
        if "stdin" in around and (type(taken) is not int or not 0 <= taken <= len(around["stdin"])):
            raise ValueError("not a place in the input")
        found = [self._exception(warning) for warning in warned if self.warnings]
        if not all(isinstance(warning, Warning) for warning in found):
            raise ValueError("not a warning")
        return functools.partial(self._bring, around, texts, taken, found)

    def _bring(self, around: dict[str, Any], texts: list[Any], taken: int, warned: list[Any]) -> None:
        self.printed(around, texts)
        if "stdin" in around:
            sys.stdin.read(taken)
        for warning in warned:
            warnings.warn(warning, stacklevel=2)


class _Bytes(io.BufferedIOBase):
    """A text that is read as bytes, of whole characters."""

    def __init__(self, text: io.StringIO) -> None:
        self._text = text

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        return self._text.read(size).encode("utf-8", "surrogateescape")

    def readline(self, size: int | None = -1) -> bytes:
        return self._text.readline(-1 if size is None else size).encode("utf-8", "surrogateescape")

    read1 = read


class _Input(io.StringIO):
    """Text that is read as standard input is, as bytes too."""

    @property
    def buffer(self) -> Any:
        return _Bytes(self)

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


class _Printed(io.StringIO):
    """What is printed and was not taken yet; several threads may do it meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: collections.deque[str] = collections.deque()

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"string argument expected, got {type(text).__name__!r}")
        self._texts.append(text)
        return len(text)

    def take(self) -> str:
        return "".join(self._texts.popleft() for _ in range(len(self._texts)))


class Output:
    """The program's side: what it prints while the tests have put something in the place of their streams.

    That is between two requests of theirs, too: threads print. It goes to what stood there at the last one.
    """

    def __init__(self) -> None:
        self._streams = {name: _Printed() for name in _STREAMS}
        self._own: dict[str, Any] = {}  # what stood there before
        self._for: dict[str, int] = {}  # whose it is, by the tests' number

    def capture(self, captured: dict[str, int]) -> None:
        for name, stream in self._streams.items():
            if self._for.get(name) != captured.get(name):
                stream.take()
            if name in captured and name not in self._own:
                self._own[name] = getattr(sys, name)
                setattr(sys, name, stream)
            elif name not in captured and name in self._own:
                setattr(sys, name, self._own.pop(name))
        self._for = captured

    def printed(self) -> list[str]:
        """What was printed since this was asked last: the tests may print meanwhile."""
        return [stream.take() for stream in self._streams.values()]


class Brought:
    """The program's side: what of a call goes back beside its result and what it prints."""

    def __init__(self, given: io.StringIO | None, warned: list[Warning]) -> None:
        self._given, self._warned = given, warned

    def told(self, tell: Callable[[Warning], Any]) -> list[Any]:
        return [self._given.tell() if self._given else 0, [tell(warning) for warning in self._warned]]


_lock = threading.Lock()
_put: dict[tuple[int, str], tuple[Any, dict[object, Any]]] = {}


def _stand(call: object, owner: Any, name: str, value: Any) -> None:
    """Several calls may be under way, and end in any order: what the latest has put there stands there."""
    with _lock:
        _, values = _put.setdefault((id(owner), name), (_get(owner, name), {}))
        values[call] = value
        _set(owner, name, value)


def _end(call: object, owner: Any, name: str) -> None:
    with _lock:
        before, values = _put[id(owner), name]
        del values[call]
        _set(owner, name, [before, *values.values()][-1])
        if not values:
            del _put[id(owner), name]


def _get(owner: Any, name: str) -> Any:
    return owner.get(name) if isinstance(owner, MutableMapping) else getattr(owner, name)


def _set(owner: Any, name: str, value: Any) -> None:
    if not isinstance(owner, MutableMapping):  # which `os.environ` is; the program may have put another one there
        setattr(owner, name, value)
    elif value is None:
        owner.pop(name, None)
    else:
        owner[name] = value


@contextlib.contextmanager
def put(around: dict[str, Any], decode: Callable[[Any], Any]) -> Iterator[Brought]:
    """The program's side: for the time of a call, what the tests have put there. Gives what goes back."""
    call, stands = object(), list[tuple[Any, str]]()

    def replace(owner: Any, name: str, value: Any) -> None:
        _stand(call, owner, name, value)
        stands.append((owner, name))

    given = _Input(around["stdin"]) if "stdin" in around else None
    warned: list[Warning] = []
    try:
        for name, value in around.get("environment", {}).items():
            replace(os.environ, name, value)
        if given is not None:
            replace(sys, "stdin", given)
        for module, attribute, value in around.get("places", ()):
            replace(builtins if module == "builtins" else importlib.import_module(module), attribute, decode(value))
        if "warnings" in around:
            replace(warnings, "showwarning", functools.partial(_warned, warned))
            replace(warnings, "filters", [])
            warnings.simplefilter("always")
        yield Brought(given, warned)
    finally:
        for owner, name in stands:
            _end(call, owner, name)


def _warned(told: list[Warning], message: Any, category: Any, *_: Any, **__: Any) -> None:
    told.append(message if isinstance(message, Warning) else category(message))
