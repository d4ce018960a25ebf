"""What the tests hold instead of an object of the program: how it answers what is asked of it alone."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any

from ..wire import codec, shown
from ..wire.plain import DATA_NAMES, JUDGING, SAYING_YES
from . import mocked
from .compared import Compared
from .held import (
    CHANGED,
    OPAQUE,
    OWN,
    Gone,
    about,
    answer,
    decides,
    inner,
    is_member,
    is_object,
    is_read,
    names_class,
    no_number,
    not_data,
    number,
    producer,
    standing,
    text,
    untainted,
)
from .iterated import AwaitedItems, Items

# NumPy and others ask an object for the memory it stands for, or for itself in another form, through such names.
_NAMES_OF_A_KIND = frozenset(
    (
        *(
            "__name__",
            "__doc__",
            "__qualname__",
            "__module__",
            "__annotations__",
            "__wrapped__",
            "__dict__",
            "__code__",
            "__func__",
            "__self__",
        ),
        *(
            "__defaults__",
            "__kwdefaults__",
            "__mro__",
            "__bases__",
            "__base__",
            "__abstractmethods__",
            "__slots__",
            "__match_args__",
            "__subclasses__",
        ),
    )
)
# What an object may say that it is: it gains nothing by it, since none of these is data.
_ARE: tuple[type, ...] = (
    *(types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType, types.FunctionType, types.MethodType),
    *(map, filter, zip, enumerate),
)
_KINDS = {kind.__name__: kind for kind in _ARE}
_CLASSES = frozenset(("type", "ABCMeta", "_ProtocolMeta"))
_MOST_ITEMS = 20_000
# Called without arguments, they say what an object holds: it is told nothing, and what they give is compared as data.
_GIVING = frozenset(("to_list", "to_dict"))


class Proxy(Compared):
    """An object of the program (`held`), in the place of which it stands in the tests."""

    __slots__ = ()

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """For ``isinstance(f(), types.GeneratorType)``, wherever it is asked."""
        if about(self).of_tests is not None:
            return type(about(self).of_tests)
        return _KINDS.get(about(self).class_name, Proxy)

    def __getattr__(self, name: str) -> Any:
        if about(self).asked is not None and (told := mocked.told(about(self).asked, name)):
            return told[0]  # the tests know it
        if name in mocked.ASSERTIONS and standing(self) == OPAQUE and about(self).link.latest.mocks:
            raise codec.NotData(
                f".{name}: the program handed over something else where a mock of the test was expected"
            )
        if name == "__members__":  # of an enumeration
            return about(self).link.operation("members", self)
        if is_special(name) and name not in _NAMES_OF_A_KIND and not is_read(sys._getframe(1)):
            raise AttributeError(name)  # to who looks for what the object could be taken for
        if name in DATA_NAMES and not _answers(self, name):
            if name not in _GIVING:
                raise not_data(self, f".{name}")
            return lambda: about(self).link.call(
                about(self).link.operation("getattr", self, name, producer=f".{name}"), (), {}
            )
        try:
            value = about(self).link.operation("getattr", self, name, producer=f".{name}")
        except AttributeError as error:
            if is_read(sys._getframe(1)):
                about(self).link.outstanding.add(error)
            raise
        if isinstance(value, Proxy):
            put = about(self).link.put.get((about(self).number, name))
            if put is not None and about(self).link.operation("is", value, put) is True:
                return put
            about(value).label = f"{about(self).label}.{name}"
            if about(self).named:
                about(value).named = True  # a member of an enumeration, for one
                about(value).of_own = about(self).label in about(self).link.under_test
                about(self).link.heard_of(value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        about(self).link.operation("setattr", self, name, value)
        about(self).link.put.pop((about(self).number, name), None)
        if callable(value) and not isinstance(value, Proxy):
            about(self).link.put[about(self).number, name] = value

    def __delattr__(self, name: str) -> None:
        about(self).link.operation("delattr", self, name)
        about(self).link.put.pop((about(self).number, name), None)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return about(self).link.call(self, args, kwargs)

    def __contains__(self, item: Any) -> bool:
        if standing(self) in (OWN, CHANGED):
            return about(self).link.operation("contains", self, item) is True
        if decides(self, "contains"):
            raise not_data(self, "in")
        # To the end, so that what yields everything contains nothing; each as it comes, since it may be the same list again.
        found = False
        for count, value in enumerate(iter(self)):
            if count == _MOST_ITEMS:
                raise not_data(self, "in")
            found = found or value is item or value == item
        return found

    def __bool__(self) -> bool:
        if standing(self) == OPAQUE:
            if not (is_object(self) or is_member(self)):
                raise not_data(self, "its truth")
            if not decides(self, "bool"):
                return True  # an object is there
            return answer(self, "bool", bool)
        return _number_of(self, "bool", bool)

    def __len__(self) -> int:
        length: int = answer(self, "len", int)
        if standing(self) == OPAQUE:
            link, which = about(self).link, about(self).number
            if not link.kept.states(which, length, link.taken[which]):
                raise Gone("an object of the program says another length than it has yielded items")
        return length

    def __index__(self) -> int:
        if standing(self) != OWN:
            raise not_data(self, "its index")
        return _number_of(self, "index", int)

    def __int__(self) -> int:
        return _number_of(self, "int", int)

    def __float__(self) -> float:
        return _number_of(self, "float", float)

    def __complex__(self) -> complex:
        if standing(self) != OWN:
            raise not_data(self, "its complex")
        return answer(self, "complex", complex)

    def __bytes__(self) -> bytes:
        return answer(self, "bytes", bytes) if standing(self) == OWN else bytes(list(self))

    def __str__(self) -> str:
        return text(self, "str")

    def __repr__(self) -> str:
        return text(self, "repr")

    def __format__(self, how: str) -> str:
        if how and not is_object(self):
            raise not_data(self, "its format")
        if how and standing(self) == CHANGED:
            raise no_number()
        return text(untainted(self), "format", how) if how or standing(self) == OWN else str(self)

    def __instancecheck__(self, value: Any) -> bool:
        if codec.is_member(value, about(self).label):
            return True
        return isinstance(value, Proxy) and about(self).link.operation("isinstance", value, self) is True

    def __getitem__(self, key: Any) -> Any:
        if producer(self) == ".__dict__":
            raise KeyError(key)  # of a class: mock's patch asks for it, and then for the attribute
        if names_class(self, _CLASSES) and all(
            isinstance(k, type) for k in (key if isinstance(key, tuple) else (key,))
        ):
            return self  # Box[int]
        if not (is_object(self) or names_class(self) or producer(self) in about(self).link.answering):
            raise not_data(self, "an item of it")
        return about(self).link.operation("getitem", self, key, producer=inner(self))

    def __setitem__(self, key: Any, value: Any) -> None:
        about(self).link.operation("setitem", self, key, value)

    def __delitem__(self, key: Any) -> None:
        about(self).link.operation("delitem", self, key)

    def __iter__(self) -> Any:
        link, which = about(self).link, about(self).number
        made = functools.partial(Items, mirrored=lambda: link.kept.backward.get(which))
        found = _yielding(self, "iter", "items", made)
        return found if type(found) is Proxy else iter(found)

    def __next__(self) -> Any:
        link, which = about(untainted(self)).link, about(self).number
        going = link.emptied.going(which)
        try:
            value = link.operation("next", self, producer=inner(self))
        except StopIteration:
            going.ended()
            if standing(self) == OPAQUE and not link.kept.has_yielded(which, link.taken[which], 0):
                raise Gone("an object of the program yields not as many items as its length says") from None
            raise
        link.taken[which] += 1
        going.found()
        return value

    def __reversed__(self) -> Any:
        link, which = about(self).link, about(self).number
        made = functools.partial(Items, mirrored=lambda: link.kept.items.get(which))
        found = _yielding(self, "reversed", "backward", made)
        return found if type(found) is Proxy else iter(found)

    def __aiter__(self) -> Any:
        found = _yielding(self, "aiter", "awaited", AwaitedItems)
        return found if type(found) is Proxy else aiter(found)

    async def __anext__(self) -> Any:
        link = about(untainted(self)).link
        going = link.emptied.going(about(self).number)
        try:
            value = link.operation("anext", self, producer=inner(self))
        except StopAsyncIteration:
            going.ended()
            raise
        going.found()
        return value

    def __enter__(self) -> Any:
        return _entered(self, "enter")

    def __exit__(self, *raised: Any) -> bool:
        return _left(self, "exit", *raised)

    async def __aenter__(self) -> Any:
        return _entered(self, "aenter")

    async def __aexit__(self, *raised: Any) -> bool:
        return _left(self, "aexit", *raised)

    def __await__(self) -> Any:
        yield from ()
        return about(self).link.operation("await", self, producer=producer(self))

    def __copy__(self) -> Any:
        return _copied(self, "copy")

    def __deepcopy__(self, memo: Any) -> Any:
        return _copied(self, "deepcopy")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise not_data(self, "pickling it")


def _yielding(held: Proxy, operation: str, kept: str, made: Callable[..., Any]) -> Any:
    """What goes over an object, by an operation: its own iterator; for an opaque one, what yields the same each time.

    Args:
        kept: in which attribute of `Kept` that is, as what is ``made`` of an iterator of an object.
    """
    link, which = about(untainted(held)).link, about(held).number
    link.tell()
    known = getattr(link.kept, kept)
    if standing(held) == OPAQUE and which in known:
        return known[which]
    found = link.operation(operation, held, producer=producer(held))
    if not isinstance(found, Proxy):
        raise TypeError(f"{operation}() of an object of the program gave no iterator")
    link.emptied.go_over(about(found).number, which)
    if about(found).number == which:
        return held
    # Anew: `iter` may have had a function of the tests called, behind which the program's objects are asked again.
    return found if standing(held) != OPAQUE else getattr(link.kept, kept).setdefault(which, made(found, held))


def is_special(name: Any) -> bool:
    return isinstance(name, str) and name.startswith("__") and name.endswith("__")


def _answers(held: Proxy, name: str) -> bool:
    """Whether it may be asked for what plain data has, too: an object is there, or a method that returns one."""
    link = about(held).link
    if producer(held) in link.answering:  # by a name that may be a function's all the same
        return name not in JUDGING
    if is_object(held) and (standing(held) == OWN or name not in SAYING_YES):
        return True
    return name in link.methods and producer(held)[1:-2] in link.methods


def _number_of(held: Proxy, operation: str, kind: type) -> Any:
    if standing(held) == CHANGED:
        raise no_number()
    return answer(held, operation, kind)


def _entered(held: Proxy, operation: str) -> Any:
    entered = about(untainted(held)).link.operation(operation, held, producer=producer(held))
    return held if number(entered) == about(held).number else entered


def _left(held: Proxy, operation: str, kind: Any, error: Any, _: Any) -> bool:
    """It may take what hides nothing of the tests by that (`blocks`)."""
    link = about(held).link
    told = link.blocks.told(error)
    if told is None:
        link.operation(operation, held)
        return False
    if link.operation(operation, held, told) is not True:
        link.blocks.let_through(error)
        return False
    is_raised = error.__traceback__ is not None  # else the tests have called `__exit__` by its name
    if not (link.blocks.is_to_be_taken(error) if is_raised else standing(held) == OWN):
        raise not_data(held, "taking an exception of the tests")
    return True


def _copied(held: Proxy, operation: str) -> Any:
    if about(held).named:
        return held
    if not is_object(held):
        raise not_data(held, "a copy of it")
    return about(held).link.operation(operation, held, standing=standing(held), producer=producer(held))


Proxy.__doc__ = property(lambda self: Proxy.__getattr__(self, "__doc__"))  # type: ignore[assignment]  # of a function, its own
Proxy.__slots__ = property(lambda self: Proxy.__getattr__(self, "__slots__"))  # type: ignore[assignment]  # of a class, its own


class _Shown(shown.Shown):
    """The repr of a proxy would be the program's own text, and a message to it."""

    def repr1(self, x: Any, level: int) -> str:
        return f"<a {about(x).class_name}>" if type(x) is Proxy else super().repr1(x, level)


show = functools.partial(shown.show, how=_Shown())
