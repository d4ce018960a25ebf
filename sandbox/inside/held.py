"""An object of the program as the tests hold it, and what it may be asked: as little as can be.

Four standings. An object that the tests made by calling a *class under test* (``Stack()``) is its class's own: its
methods, its truth and its operators with objects of its kind are what is tested. Anything else that the program hands
over (a result, an attribute, an item) is *opaque*: it decides no comparison, no containment, no arithmetic and no truth
value, and a method of plain data (``startswith``, ``issuperset``) asked of it is an error, because such an argument may
be the expected value. What arithmetic of an own object with plain data makes is *tainted*: it offers no number, so
``abs(x - expected) < 1e-6`` is never decided by a ``__sub__`` of the program's. Where nothing can have been taken away
(``+``, ``*``, ``|``, ``&``, or an object that has changed in place) it is *changed*: it may be looked into, and still is
no number.

With plain data none has an order, and none is equal but an object of a class under test whose class says so.

One object may be held in several standings at once: what a class under test returns from a method is opaque, though it be
the very object that the tests have made (``return self``).
"""

from __future__ import annotations

import dis
import types
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..wire import codec

OPAQUE, OWN, TAINTED, CHANGED = 0, 1, 2, 3
# Between these an object stays what it is.
_SAYING = frozenset(("str", "repr", "format", "int", "float", "complex", "bytes", "bool", "len", "index", "fspath"))
_SAYING |= {
    "hash",
    "iter",
    "reversed",
    "aiter",
    "type",
    "isinstance",
    "issubclass",
    "getattr",
    "callable",
    "dir",
    "vars",
}
_SAYING |= {"namespace", "own", "eq", "ne", "attributes", "parameters", "members", "data", "copy", "deepcopy"}
_SAYING |= {"fields", "relations", "inherits", "given back"}
# What changes an object, or has it run as a call does.
_CHANGING = frozenset(("setitem", "delitem", "setattr", "delattr", "enter", "exit", "aenter", "aexit", "await", "seed"))
_CHANGING |= {"iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul", "iand", "ior", "ixor"}
_CHANGING |= {"ilshift", "irshift"}
_TAKING = frozenset(("next", "anext"))


class Kept:
    """What opaque objects have said and yielded since the tests last called the program: they say and yield the same again.

    Attributes:
        lengths: how many items they may have in all, as they have said their length is, and how many were taken by then, by
            number.
        yielded: how many items they have yielded, to the end.
        items: what they have yielded: an object that yields something else each time is no data.
        backward, awaited: the same for ``reversed`` and ``async for``.
        said: which number, text or length they have said they are, for the same reason.
        changed: numbers of objects of the task that the program has changed meanwhile: that these are others is none of the
            tests' doing.
    """

    def __init__(self) -> None:
        self.lengths: dict[int, tuple[frozenset[int], int]] = {}
        self.yielded: dict[int, int] = {}
        self.items: dict[int, Any] = {}
        self.backward: dict[int, Any] = {}
        self.awaited: dict[int, Any] = {}
        self.said: dict[tuple[Any, ...], Any] = {}
        self.changed: set[int] = set()

    def forget(self) -> None:
        """A call, or time that passes, may have changed what the program's objects hold."""
        for known in (self.lengths, self.yielded, self.items, self.backward, self.awaited, self.said, self.changed):
            known.clear()

    def before(self, operation: str, which: int | None) -> None:
        """The tests are about to ask an object for something by an operation.

        It may be another by then (an iterator that moves on), and it alone: what it has yielded may be compared with what it
        yields (``float(before) <= float(now)``).
        """
        if operation in _CHANGING:
            self.forget()
        elif operation not in _SAYING:
            self.said = {key: said for key, said in self.said.items() if key[0] != which}
        if operation in _TAKING and which is not None:
            for known in (self.yielded, self.items, self.backward, self.awaited):
                known.pop(which, None)

    def states(self, which: int, length: int, taken: int) -> bool:
        """A length is said when so many items were ``taken``: it is that of all, or of those that are left. False: it cannot
        be, by what was said before."""
        possible = frozenset((length, length + taken))
        before, at = self.lengths.get(which, (possible, taken))
        self.lengths[which] = (possible if at == taken else possible & before), taken
        return bool(self.lengths[which][0]) and self.yielded.get(which, length) == length

    def has_yielded(self, which: int, count: int, taken: int) -> bool:
        """All items have been gone over, beside those that were ``taken``. False: that are not as many as was said."""
        possible, _ = self.lengths.get(which, (frozenset((count,)), taken))
        return not possible.isdisjoint((count, count + taken))


class Link(Protocol):
    """What a proxy asks of the referee's end of the connection.

    Attributes:
        under_test: names of the program that are given, or used as classes.
        making: names of classes under test.
        objects, methods: names that the program may hand over as its own, and those that are asked of what it hands over.
        put: what the tests have put into an attribute and is no data, by the object's number and the attribute's name: the
            program's object may have something else there by now.
        enumerations: of the program, that the tests name, by number.
        members: the numbers of what is in these, by theirs.
        kept: what opaque objects have said and yielded since the tests last called the program.
        emptied: what is known of the ends of iterators.
        own: what the classes of opaque objects decide by themselves, by their numbers.
        taken: how many items the tests have taken of those that are their own iterators.
        latest: what this test has given to the program.
        outstanding: hears of exceptions that are no answer.
        raised: kinds of exceptions.
    """

    outstanding: Any
    raised: Any
    under_test: frozenset[str]
    making: set[str]
    objects: Mapping[str, list[str]]
    methods: frozenset[str]
    answering: Mapping[str, list[str]]
    put: dict[tuple[int, str], Any]
    enumerations: dict[int, Any]
    members: dict[int, frozenset[int | None]]
    kept: Kept
    emptied: Any
    blocks: Any
    latest: Any
    own: dict[int, frozenset[str]]
    taken: Counter[int]

    def tell(self) -> None: ...

    def heard_of(self, value: Any) -> None: ...

    def operation(self, name: str, *operands: Any, standing: int = ..., producer: str = ...) -> Any: ...

    def call(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...

    def exception(self, kind: type, held: Any) -> BaseException: ...

    def in_standing(self, proxy: Any, standing: int, make: bool = False) -> Any: ...


class Gone(BaseException):
    """The program's process ended or broke the protocol. Not an Exception: no test may catch it, and if one does, it is
    kept."""

    happened: ClassVar[list[Gone]] = []

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        Gone.happened.append(self)


@dataclass(slots=True, eq=False)
class About:
    """What the referee knows of an object of the program.

    Attributes:
        makes_own: it is a class under test.
        named: it is something that the tests name.
        of_own: it is an attribute of a class under test: a member, if that is an enumeration.
        producer: the path by which it came (`names`).
        single: it is the same one wherever it comes from, as it says: a class, or a member of an enumeration.
        library: which class of the library it says that it is.
        of_tests: what of the tests' own it stands for.
        asked: the mock that says how it was asked, if it is one that this test has given to the program.
        kind: the number of its class: there may be several of one name.
    """

    link: Link
    number: int
    class_name: str
    standing: int
    producer: str
    label: str
    makes_own: bool = False
    named: bool = False
    of_own: bool = False
    single: bool = False
    library: type | None = None
    of_tests: Any = None
    asked: Any = None
    kind: int = 0


class Held:
    """An object of the program, in one standing.

    All names but one are the program's, since the tests may ask an object for any: what is known of it has a name that no
    program uses, and what can be done with it is no method.
    """

    __slots__ = ("__referees__", "__weakref__")

    def __init__(self, link: Link, number: int, class_name: str, rank: int, producer: str) -> None:
        object.__setattr__(self, "__referees__", About(link, number, class_name, rank, producer, class_name))

    if TYPE_CHECKING:  # an annotation in the class would be found where a function of the program has its own

        def __getattr__(self, name: str) -> Any: ...


_META = frozenset(("EnumType", "EnumMeta"))


def names_class(held: Held, kinds: frozenset[str] = _META) -> bool:
    """Whether it is a class that the tests name, by default an enumeration."""
    return about(held).named and about(held).class_name in kinds


def about(held: Held) -> About:
    return object.__getattribute__(held, "__referees__")


def is_object(held: Held) -> bool:
    """Whether the tests use what came from here as an object, so that the reference must return one, too."""
    return standing(held) != OPAQUE or producer(held) in about(held).link.objects


def is_member(held: Held) -> bool:
    """Whether it is a member of an enumeration of the program that the tests name."""
    link = about(held).link
    for which, enumeration in link.enumerations.items():
        if which not in link.members:
            told = link.operation("members", enumeration)
            link.members[which] = frozenset(map(number, told.values())) if type(told) is dict else frozenset()
    return any(about(held).number in known for known in link.members.values())


def is_used(held: Held) -> bool:
    """Whether it is what a class has made of which the tests ask for what no data has."""
    return producer(held) == f"{about(held).class_name}()" and producer(held) in about(held).link.objects


def saying(held: Held, operation: str, *operands: Any) -> Any:
    """What an object says that it is: until the tests do something with it, an opaque one says the same each time."""
    link = about(held).link
    if standing(held) != OPAQUE:
        return link.operation(operation, held, *operands)
    link.tell()
    key = (number(held), operation, *operands)
    if key not in link.kept.said:
        said = link.operation(operation, held, *operands)
        link.kept.said[key] = said
    return link.kept.said[key]


def answer(held: Held, operation: str, kind: type) -> Any:
    value = saying(untainted(held), operation)
    if type(value) is not kind:
        raise Gone(f"{operation}() came back as {type(value).__name__}")
    link = about(held).link
    # What `int()` means for an object of a class under test (cents, of dollars) is its class's to say.
    if operation in ("int", "float") and about(held).class_name not in link.making:
        one_number(held)
    return value


def one_number(held: Held) -> None:
    """Raises Gone if an opaque object has said two: by ``int``, by ``float`` and as the data that it is."""
    if standing(held) != OPAQUE:
        return
    said = about(held).link.kept.said
    whole, part, data = (said.get((number(held), kind)) for kind in ("int", "float", "data"))
    if whole is not None and part is not None and not whole - 1 <= part <= whole + 1:
        raise Gone("an object of the program says two numbers")
    if not isinstance(data, (int, float)) or data != data:
        return
    if (part is not None and part != data) or (whole is not None and whole != int(data)):
        raise Gone("an object of the program says another number than it is")


def decides(held: Held, operation: str) -> bool:
    """Whether the class of an opaque object has a word of its own in what is asked: as opaque, it has none.

    Without one Python decides by which object it is. That a class keeps one back gains no more than not to have it.
    """
    own, kind = about(held).link.own, about(held).kind
    if kind not in own:
        told = about(held).link.operation("own", held)
        own[kind] = frozenset(n for n in told if type(n) is str) if type(told) is list else frozenset()
    return operation in own[kind]


def namespace(held: Held) -> dict[str, Any] | None:
    """What is in one of the library's; None for any other object. It is not told what that is compared with."""
    value = saying(held, "namespace")
    return value if type(value) is dict else None


def text(held: Held, operation: str, *operands: Any) -> str:
    value = saying(held, operation, *operands)
    if type(value) is not str:
        raise Gone(f"{operation}() came back as {type(value).__name__}")
    return value


def standing(held: Held) -> int:
    return about(held).standing


def number(value: Any) -> int | None:
    """Which object of the program it is; None for what is none."""
    return about(value).number if isinstance(value, Held) else None


def producer(held: Held) -> str:
    return about(held).producer


def inner(held: Held) -> str:
    path = producer(held)
    return path if path.endswith("[]") else f"{path}[]"


def is_read(frame: types.FrameType) -> bool:
    """Whether the text of the tests reads an attribute there (``x.name``), and no function asks whether there is one."""
    code = frame.f_code
    reads = dis.opname[code.co_code[frame.f_lasti]] in ("LOAD_ATTR", "LOAD_METHOD")
    return reads and not code.co_filename.endswith(".py") and not code.co_filename.startswith("<frozen")


def not_data(held: Held, what: str) -> codec.NotData:
    name = about(held).class_name
    return codec.NotData(f"{what}: the program handed over an object of its own ({name}) where data was expected")


def untainted(held: Held) -> Held:
    if standing(held) == TAINTED:
        raise no_number()
    return held


def no_number() -> codec.NotData:
    return codec.NotData("the result of arithmetic with an object of the program is no number")
