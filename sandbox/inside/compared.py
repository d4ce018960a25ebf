"""What decides where an object of the program is compared, ordered or calculated with: equality, and the operators."""

from __future__ import annotations

import math
import operator
import re
import sys
import types
from collections.abc import Callable
from typing import Any

from ..wire import codec
from .comparisons import ORDERS, SWAPPED
from .handed_back import own_of
from .held import (
    CHANGED,
    OPAQUE,
    OWN,
    TAINTED,
    Gone,
    Held,
    about,
    decides,
    is_member,
    is_object,
    is_used,
    namespace,
    not_data,
    number,
    one_number,
    producer,
    saying,
    standing,
    text,
    untainted,
)
from .library import is_path
from .raised import made_where_the_program_is
from .related import hashed, is_of_tested, related
from .taken import is_of_tests

TYPE = "type()"  # by which the class of an object comes
_ROUNDING = frozenset(("ceil", "floor"))  # what Python rounds as a float where no method says otherwise
_DATA: tuple[Any, ...] = (*codec.KINDS, float, str, list, int, type(None), type({}.keys()))
_ADDING = frozenset(("add", "mul", "or_", "and_", "iadd", "imul", "ior", "iand"))


class Deciding:
    """What says itself which object of the program it equals, on whichever side it stands."""

    __slots__ = ()


class Compared(Held):
    """The part of a proxy that takes other values beside it."""

    __slots__ = ()

    def __hash__(self) -> int:
        if about(self).of_tests is not None:
            return hash(about(self).of_tests)
        own = about(self).link.in_standing(self, OWN)
        if own is None:
            if (kind := library_class(self)) is not None:
                return hash(kind)
            if about(self).single or ((is_object(self) or about(self).named) and not decides(self, "hash")):
                return about(self).number
            value = hashed(self) if decides(self, "hash") else None
            if value is None and _is_counted(sys._getframe(1)):
                raise TypeError("unhashable: an object of the program's own")
            if value is None:
                raise not_data(self, "hash")
            return value
        value = about(self).link.operation("hash", own)
        if type(value) is not int:
            raise Gone(f"hash() came back as {type(value).__name__}")
        return value

    def __eq__(self, other: object) -> bool:
        return _equal(self, other, "eq")

    def __ne__(self, other: object) -> bool:
        return _equal(self, other, "ne")


def _is_counted(frame: types.FrameType | None) -> bool:
    """Whether it is ``assertCountEqual`` that asks for a hash: without one it compares item by item, which gives the verdict."""
    while frame is not None and not is_of_tests(frame.f_code):
        if frame.f_code.co_name == "assertCountEqual":
            return True
        frame = frame.f_back
    return False


def _equal(ours: Held, other: object, operation: str) -> Any:
    if not isinstance(other, Held):
        if isinstance(other, Deciding) or _of_tests(type(other), "__eq__"):  # it asks for the attributes
            decided = getattr(type(other), f"__{operation}__")(other, ours)
            if decided is NotImplemented:
                raise not_data(ours, operation)
            return bool(decided)
        if about(ours).of_tests is not None and about(ours).of_tests is own_of(other):
            return operation == "eq"
        if type(other).__module__ == "unittest.mock":  # ANY: it answers
            return NotImplemented
        if standing(ours) == OWN:
            return _said_of_data(ours, other, operation)
        if standing(ours) != TAINTED and is_of_data(ours):
            return (_held_by(ours) == other) == (operation == "eq")
        if is_path(other):  # of a path its text is asked, and what it is compared with is not told
            return (text(ours, "fspath") == str(other)) == (operation == "eq")
        if type(other) is types.SimpleNamespace and (parts := namespace(ours)) is not None:
            return (parts == vars(other)) == (operation == "eq")
        if isinstance(other, type):
            return (library_class(ours) is other) == (operation == "eq")
        if other is None or (is_member(ours) and not decides(ours, "eq")):
            return operation == "ne"
        raise not_data(ours, operation)
    if (standing(ours), standing(other)) != (OPAQUE, OPAQUE):
        return _said_by_its_class(ours, other, operation)
    if is_of_data(ours) and is_of_data(other):
        return (_held_by(ours) == _held_by(other)) == (operation == "eq")
    same = number(ours) == number(other)
    has_word = not _is_single(ours, other) and (decides(ours, "eq") or decides(other, "eq"))
    if has_word and (not same or is_of_tested(ours, other)):
        parts, others = namespace(ours), namespace(other)
        if parts is None or others is None:
            return related(ours, other, operation)
        same = parts == others
    return same == (operation == "eq")


def _is_single(*objects: Held) -> bool:
    """Whether one of them is the same object wherever it comes from."""
    return any(about(held).single for held in objects)


def _said_by_its_class(ours: Held, other: object, operation: str) -> Any:
    """What is under test, with another object: the answer of ``==`` need be no bool, as anywhere."""
    said = about(ours).link.operation(operation, ours, other)
    if isinstance(said, Held):
        raise not_data(said, operation)
    return said


def _said_of_data(ours: Held, other: object, operation: str) -> Any:
    """What is under test, with data.

    What is itself data of a kind (a subclass of list) equals what it holds, whatever it says. What an operator made, or no
    test surely uses as an object, may stand for data (a function's name may have the form of a class's): it may say only that
    it equals none.
    """
    held = about(ours).link.operation("data", ours)
    said = _said_by_its_class(ours, other, operation)
    equals = bool(said) == (operation == "eq")
    if isinstance(held, Held) or equals != (is_used(ours) and equals if held is None else bool(held == other)):
        raise not_data(ours, operation)
    return said


def is_of_data(held: Held) -> bool:
    """Whether it is data of a kind: an object of a class under test that is derived from list, for one."""
    found = _held_by(held)
    return found is not None and not isinstance(found, Held)


def _held_by(held: Held) -> Any:
    """The data that it is; None for what is none."""
    found = saying(held, "data")
    one_number(held)
    return found


def _of_tests(kind: type, method: str) -> bool:
    """Whether a class of the tests' or of the task's has such a method of its own, which looks at the object as they would."""
    return next((base.__module__ for base in kind.__mro__ if method in vars(base)), "") == "__tests__"


def library_class(held: Held) -> type | None:
    """Which class of the library the program has handed over: it says so without being told what is expected; or that of the
    tests which stands for one of its exceptions.

    The class of an object of its own is none of which there is data, whatever it says: data comes over as data.
    """
    for kind in about(held).link.raised.made.values():
        if number(made_where_the_program_is(kind)) == about(held).number:
            return kind
    kind = about(held).library
    return None if producer(held) == TYPE and kind is not None and not is_of_objects(kind) else kind


def is_of_objects(kind: Any) -> bool:
    """Whether a class is one of the library's, by a name that both sides know, and what is of it is no data."""
    module, name = kind.__module__, kind.__qualname__
    known = module.partition(".")[0] in sys.stdlib_module_names and getattr(sys.modules.get(module), name, None) is kind
    return known and kind is not re.Pattern and not any(issubclass(data, kind) for data in _DATA)


def _unary(operation: str) -> Callable[..., Any]:
    def apply(self: Held, *operands: Any) -> Any:
        if operation in _ROUNDING and standing(self) == OPAQUE:
            return getattr(math, operation)(float(self))
        if standing(untainted(self)) != OWN:
            raise not_data(self, operation)
        return about(self).link.operation(operation, self, *operands, standing=OWN)

    return apply


def _binary(
    operation: str, swapped: bool = False, order: bool = False, reflected: str = ""
) -> Callable[[Held, Any], Any]:
    """An operator with two operands; with plain data only where the rules of `held` allow it.

    Args:
        reflected: the method by which an object of the tests' on the other side says itself what comes of it.
    """

    def apply(self: Held, other: Any, *modulus: Any) -> Any:
        objects = [held for held in (self, other, *modulus) if isinstance(held, Held)]
        plain = len(objects) < 2 + len(modulus)
        ranks = set(map(standing, objects))
        members = not plain and all(about(held).named and about(held).of_own for held in objects)
        operands = (other, self) if swapped else (self, other, *modulus)
        if plain and not modulus and standing(self) in (OWN, OPAQUE) and _inherits(self, operation, swapped):
            held = _held_by(self)
            return _OF_DATA[operation](*((other, held) if swapped else (held, other)))
        if ranks == {OPAQUE} and not members:
            if order and not plain:
                return related(self, other, operation)
            if not plain and not modulus and is_of_tested(*objects):
                return _object_of(about(self).link.operation(operation, *operands, producer=producer(self)), operation)
            decided = NotImplemented
            if reflected and _of_tests(type(other), reflected):
                decided = getattr(type(other), reflected)(other, self)
            if decided is NotImplemented:
                raise not_data(self, operation)
            return decided
        if plain and order:  # with data there is no order: a class under test may say so itself, and nothing else
            if standing(self) == OWN:
                about(self).link.operation(operation, *operands)
            raise not_data(self, operation)
        tainted = plain or TAINTED in ranks or (CHANGED in ranks and not order)
        rank = CHANGED if operation in _ADDING and TAINTED not in ranks else TAINTED
        result = about(self).link.operation(operation, *operands, standing=rank if tainted else OWN)
        if order and type(result) is not bool:
            raise codec.NotData(f"{operation}: an operator of the program answered with a {type(result).__name__}")
        return result if not tainted or (rank == CHANGED and is_of_data(self)) else _object_of(result, operation)

    return apply


def _inherits(held: Held, operation: str, swapped: bool) -> bool:
    """Whether it is data of a kind that has left an operator to what it is derived from: then it is that data."""
    if operation not in _OF_DATA or not is_of_data(held):
        return False
    method = f"__{'r' if swapped else ''}{operation.rstrip('_')}__"
    return about(held).link.operation("inherits", held, method) is True


def _object_of(result: Any, operation: str) -> Any:
    if not isinstance(result, Held):
        raise codec.NotData(f"{operation}: an operator of the program answered with data")
    return result


def _in_place(operation: str, reflected: str) -> Callable[[Held, Any], Any]:
    """``x += other``. An object that has changed and is still itself stays what it was, unless a number was taken from it:
    what it says then is no number."""
    apply = _binary(operation, reflected=reflected)

    def assign(self: Held, other: Any) -> Any:
        result = apply(self, other)
        if number(result) != number(self) or standing(self) not in (OWN, CHANGED) or standing(result) == TAINTED:
            return result
        counts = isinstance(other, Held) or hasattr(other, "__len__")
        return self if counts else about(self).link.in_standing(self, CHANGED, make=True)

    return assign


ARITHMETIC = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
    *("and_", "or_", "xor", "lshift", "rshift", "divmod"),
)
_OF_DATA: dict[str, Callable[..., Any]] = {"divmod": divmod} | {
    name: getattr(operator, name) for name in (*ARITHMETIC, *ORDERS) if name != "divmod"
}
for _name in ("neg", "pos", "abs", "round", "invert", "ceil", "floor", "trunc"):
    setattr(Compared, f"__{_name}__", _unary(_name))
for _name in ORDERS:
    setattr(Compared, f"__{_name}__", _binary(_name, order=True, reflected=f"__{SWAPPED[_name]}__"))
for _name in ARITHMETIC:
    _short = _name.rstrip("_")
    setattr(Compared, f"__{_short}__", _binary(_name, reflected=f"__r{_short}__"))
    setattr(Compared, f"__r{_short}__", _binary(_name, swapped=True))
    if _name != "divmod":
        setattr(Compared, f"__i{_short}__", _in_place(f"i{_short}", f"__r{_short}__"))
