"""An object of the program as the tests hold it, and what it may be asked: as little as can be.

Four standings. An object that the tests made by calling a *class under test* (``Stack()``) is its class's own: its
methods, its truth and its operators with objects of its kind are what is tested. Anything else that the program hands
over (a result, an attribute, an item) is *opaque*: it decides no comparison, no containment, no arithmetic and no truth
value, and a method of plain data (``startswith``, ``issuperset``) asked of it is an error, because such an argument may
be the expected value. What arithmetic of an own object with plain data makes is *tainted*: it offers no number, so
``abs(x - expected) < 1e-6`` is never decided by a ``__sub__`` of the program's. Where nothing can have been taken away
(``+``, ``*``, ``|``, ``&``, or an object that has changed in place) it is *changed*: it may be looked into, and still is
no number.

With plain data no object of the program is ever equal, and none has an order.

One object may be held in several standings at once: what a class under test returns from a method is opaque, though it be
the very object that the tests have made (``return self``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..wire import codec

OPAQUE, OWN, TAINTED, CHANGED = 0, 1, 2, 3


class Link(Protocol):
    """What a proxy asks of the referee's end of the connection.

    Attributes:
        objects, methods: names that the program may hand over as its own, and those that are asked of what it hands over.
        put: functions that the tests have put into an attribute, by the object's number and the attribute's name.
        lengths: what opaque objects have said their length is since the tests last called the program, by number.
        yielded: how many items they have yielded since then, to the end.
        items: what they have yielded since then: an object that yields something else each time is no data.
        spent: iterators that have come to their end.
    """

    objects: frozenset[str]
    methods: frozenset[str]
    put: dict[tuple[int, str], Any]
    lengths: dict[int, int]
    yielded: dict[int, int]
    items: dict[int, Any]
    spent: set[int]

    def operation(self, name: str, *operands: Any, standing: int = ..., producer: str = ...) -> Any: ...

    def call(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...

    def in_standing(self, proxy: Any, standing: int, make: bool = False) -> Any: ...

    def is_to_be_taken(self, error: BaseException | None) -> bool: ...


class Gone(BaseException):
    """The program's process ended or broke the protocol. Not an Exception: no test may catch it, and if one does, it is
    kept."""

    happened: ClassVar[list[Gone]] = []

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        Gone.happened.append(self)


class Held:
    """An object of the program, in one standing.

    ``_makes_own``: a class under test; ``_named``: something that the tests name; ``_producer``: the path by
    which it came (`names`).
    """

    __slots__ = ("_class_name", "_label", "_link", "_makes_own", "_named", "_number", "_producer", "_standing")

    def __init__(self, link: Link, number: int, class_name: str, rank: int, producer: str) -> None:
        for name, value in (
            ("_link", link),
            ("_number", number),
            ("_class_name", class_name),
            ("_standing", rank),
            ("_makes_own", False),
            ("_named", False),
            ("_label", class_name),
            ("_producer", producer),
        ):
            object.__setattr__(self, name, value)

    if TYPE_CHECKING:  # an annotation in the class would be found where a function of the program has its own

        def __getattr__(self, name: str) -> Any: ...

    def _is_object(self) -> bool:
        """Whether the tests use what came from here as an object, so that the reference must return one, too."""
        return standing(self) != OPAQUE or producer(self) in self._link.objects

    def _answer(self, operation: str, kind: type) -> Any:
        value = untainted(self)._link.operation(operation, self)
        if type(value) is not kind:
            raise Gone(f"{operation}() came back as {type(value).__name__}")
        return value

    def _text(self, operation: str, *operands: Any) -> str:
        value = self._link.operation(operation, self, *operands)
        if type(value) is not str:
            raise Gone(f"{operation}() came back as {type(value).__name__}")
        return value


def standing(held: Held) -> int:
    return object.__getattribute__(held, "_standing")


def number(value: Any) -> int | None:
    """Which object of the program it is; None for what is none."""
    return object.__getattribute__(value, "_number") if isinstance(value, Held) else None


def producer(held: Held) -> str:
    return object.__getattribute__(held, "_producer")


def inner(held: Held) -> str:
    path = producer(held)
    return path if path.endswith("[]") else f"{path}[]"


def not_data(held: Held, what: str) -> codec.NotData:
    name = object.__getattribute__(held, "_class_name")
    return codec.NotData(f"{what}: the program handed over an object of its own ({name}) where data was expected")


def untainted(held: Held) -> Held:
    if standing(held) == TAINTED:
        raise no_number()
    return held


def no_number() -> codec.NotData:
    return codec.NotData("the result of arithmetic with an object of the program is no number")
