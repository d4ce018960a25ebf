"""Objects of the task's own classes, as data: what a linked list or a tree of the task's setup is made of.

Both sides have such a class from the same setup. An object travels as its class's name and its attributes, every object
of a graph once and under a number, so that neither length nor cycles nor sharing matter; objects that went over before
keep their identity. No method travels: on the tests' side only the task's own methods run.
"""

from __future__ import annotations

import enum
import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any

from .codec import Malformed, is_data
from .plain import DATA_NAMES
from .told import Told

_MOST = 200_000  # objects in one message
# What a class may have in its body and still be nothing but the class that it is derived from, or what its objects hold.
OF_NO_ACCOUNT = frozenset(
    (
        *("__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__slots__", "__annotations__"),
        *("__init__", "__abstractmethods__", "_abc_impl", "__firstlineno__", "__static_attributes__"),
    )
)


class Instances:
    """One side's objects and their numbers.

    Args:
        classes: the task's classes by name, as this side has them.
        first: the first number for this side's own objects; the two sides count in different directions.
        by_name: take any object whose class *says* such a name (on the program's side, where the program may have
            written the class again, and where nothing is believed anyway).

    Attributes:
        constants: attributes that are not the other side's to set, and whether objects of the task may be put there.
        refusals: what ``encode`` raises for what cannot go over.
        told: what the other side knows of them. A side changes them only while the other one waits, so the newer state wins.
    """

    def __init__(self, classes: Mapping[str, type], first: int, by_name: bool = False) -> None:
        self.classes: dict[str, type] = dict(classes)
        self.by_name = by_name
        self.constants: dict[str, bool] = {}
        self.objects: dict[int, Any] = {}
        self._numbers: dict[int, int] = {}
        self._next, self._step = first, 1 if first > 0 else -1
        self._queue: list[int] = []
        self.refusals: tuple[type[BaseException], ...] = (Exception,)
        self.told = Told(kept=by_name)

    def reference(self, value: Any) -> list[Any] | None:
        """How ``value`` is named in a message, or None if it is not of the task's classes."""
        if isinstance(value, type):
            name = next((n for n, c in self.classes.items() if c is value), None)
            return None if name is None else ["class", name]
        name = self._class_of(type(value))
        if name is None:
            return None
        if isinstance(value, enum.Enum):
            return ["member", name, value.name]
        number = self._numbers.get(id(value))
        if number is None:
            if self.by_name and type(value) is types.SimpleNamespace:
                return None  # the program's own, which may hold what its functions change later
            number, self._next = self._next, self._next + self._step
            self._numbers[id(value)] = number
            self.objects[number] = value  # kept, so that its id stays its own
        self._queue.append(number)
        return ["node", number]

    def has(self, value: Any) -> bool:
        """Whether it has gone over, or come from there."""
        return id(value) in self._numbers

    def _class_of(self, kind: type) -> str | None:
        """The task's class that an object is of; None for a class that has something of its own beside it: as an object of
        the task it would be compared without that, and asked for the methods of the class that it overrides."""
        for base in type.__dict__["__mro__"].__get__(kind):
            for name, known in self.classes.items():
                if base is known or (self.by_name and type.__dict__["__name__"].__get__(base) == name):
                    return name
            if not OF_NO_ACCOUNT.issuperset(type.__dict__["__dict__"].__get__(base)):
                return None
        return None

    def collect(self, encode: Callable[[Any], Any], untold: list[int] | None = None) -> list[Any]:
        """[number, class, [[attribute, value], ...]] of everything that references named since the last call, and of what has
        changed since the other side last heard of it (``untold``, where that is known); [attribute] alone: it is as it was."""
        done: dict[int, None] = {}
        nodes = self._reached(encode, done)
        for number in self.told.untold() if untold is None else untold:
            nodes += self._news(number, encode, done)
        for number, *_ in reversed(nodes):  # what was named is the latest
            self.told.remember(number, self.objects[number])
        return nodes

    def _reached(self, encode: Callable[[Any], Any], done: dict[int, None]) -> list[Any]:
        nodes = []
        while self._queue:
            number = self._queue.pop()
            if number in done:
                continue
            done[number] = None
            if len(done) > _MOST:
                raise ValueError(f"more than {_MOST} objects")
            attributes = self.told.attributes(self.objects[number])
            # What is known is written, too: it may lead to what is not.
            written = {name: encode(content) for name, content in attributes.items()}
            if not self.told.knows(number):
                nodes.append(self._node(number, attributes, written))
        return nodes

    def _news(self, number: int, encode: Callable[[Any], Any], done: dict[int, None]) -> list[Any]:
        """An object that nothing has named, and what it leads to; none if it has by now what cannot go over, and stays then."""
        if number in done:
            return []
        before = len(done)
        done[number] = None
        try:
            attributes = self.told.attributes(self.objects[number])
            same = self.told.same(number, attributes)
            written = {name: encode(content) for name, content in attributes.items() if name not in same}
            node = self._node(number, attributes, written)
            if node[1] is None or not all(map(_may_be_named, attributes)):
                raise Malformed("no object of the task any more")
            return [node, *self._reached(encode, done)]
        except self.refusals:
            while len(done) > before:
                done.popitem()
            self._queue.clear()
            self.told.forget(number)
            return []

    def _node(self, number: int, attributes: dict[str, Any], written: Mapping[str, Any]) -> list[Any]:
        same = self.told.same(number, attributes)
        told = [[name] if name in same else [name, written[name]] for name in attributes]
        return [number, self._class_of(type(self.objects[number])), told]

    def absorb(self, nodes: Any, decode: Callable[[Any], Any]) -> set[int]:
        """Make or update the objects that came over; numbers of those that were there.

        Raises:
            Malformed: an unknown class, or an attribute that would stand before a method of the class.
        """
        if type(nodes) is not list or len(nodes) > _MOST:
            raise Malformed("not objects of the task")
        known = set()
        for node in nodes:
            number, name, _ = node
            if type(number) is not int or name not in self.classes:
                raise Malformed("not an object of the task")
            if number in self.objects:
                known.add(number)
            else:
                kind = self.classes[name]
                if issubclass(kind, enum.Enum):
                    raise Malformed("a member of an enumeration as an object")
                try:
                    made = (kind if kind is types.SimpleNamespace else object).__new__(kind)
                except TypeError:
                    raise Malformed(f"a {name} cannot be made from its attributes") from None
                self.objects[number] = made
                self._numbers[id(made)] = number
        for number, _, attributes in nodes:
            self._fill(self.objects[number], attributes, decode)
        for number, _, attributes in reversed(nodes):
            self.told.absorbed(number, self.objects[number], {name for name, *new in attributes if new})
        return known

    def _fill(self, target: Any, attributes: Any, decode: Callable[[Any], Any]) -> None:
        given = {}
        same = set()
        for name, *new in attributes:
            if type(name) is not str or not _may_be_named(name):
                raise Malformed("not an attribute")
            if not new:
                same.add(name)
                continue
            (content,) = new
            if not self.by_name and _is_kept(type(target), name):
                continue  # a result that a method keeps, which is found again here
            if not self.by_name and not _free(type(target), name):
                raise Malformed(f"an attribute in the place of {name!r} of the task's class")
            given[name] = value = decode(content)
            if name in self.constants and not (self.constants[name] and self._may_stand_there(value)):
                raise Malformed(f"an attribute in the place of the constant {name!r} of the task's class")
            if not self.by_name and name in DATA_NAMES and callable(value):
                # result.startswith("x") would call it, and tell it what is expected
                raise Malformed(f"a function of the program in the place of {name!r}")
        known = getattr(target, "__dict__", None)
        if isinstance(known, dict):
            for name in [n for n in known if n not in given and n not in same]:
                object.__delattr__(target, name)
        for name, value in given.items():
            try:
                object.__setattr__(target, name, value)
            except (AttributeError, TypeError):
                raise Malformed(f"{name!r} is no attribute of the task's class") from None

    def _may_stand_there(self, value: Any) -> bool:
        return value is None or type(value) in self.classes.values()

    def resolve(self, content: Any) -> Any:
        """The object that a reference (``node``, ``member`` or ``class``) names."""
        kind, name = content[:2]
        if kind == "node" and type(name) is int and name in self.objects:
            return self.objects[name]
        if kind in ("member", "class") and name in self.classes:
            found = self.classes[name]
            if kind == "class":
                return found
            if issubclass(found, enum.Enum) and content[2] in found.__members__:
                return found.__members__[content[2]]
        raise Malformed("a reference to nothing")


def _may_be_named(name: str) -> bool:
    return name.isidentifier() and not (name.startswith("__") and name.endswith("__"))


def _is_kept(kind: type, name: str) -> bool:
    """Whether it is the name of a ``cached_property`` of the class."""
    found = next((base.__dict__[name] for base in kind.__mro__ if name in base.__dict__), None)
    return isinstance(found, functools.cached_property)


def _free(kind: type, name: str) -> bool:
    """Whether an attribute of this name hides nothing but a default value of the class, or is a slot.

    A constant (``EPS``, or annotated as ``ClassVar``) is no default: methods of the task decide by it.
    """
    for base in kind.__mro__:
        if name in base.__dict__:
            held = base.__dict__[name]
            constant = name.isupper() or "ClassVar" in str(inspect.get_annotations(base).get(name, ""))
            default = name in getattr(kind, "__dataclass_fields__", ()) or is_data(held) or isinstance(held, enum.Enum)
            return type(held).__name__ == "member_descriptor" or (default and not constant)
    return True
