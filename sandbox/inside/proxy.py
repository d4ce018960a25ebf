"""What the tests hold instead of an object of the program: how it answers what is asked of it alone."""

from __future__ import annotations

import types
from typing import Any

from ..wire import codec
from ..wire.plain import DATA_NAMES
from .compared import Compared
from .held import CHANGED, OPAQUE, OWN, Gone, inner, no_number, not_data, number, producer, standing, untainted
from .iterated import Items, OverAwaited, OverItems

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
        ),
        *("__defaults__", "__kwdefaults__"),
    )
)
# What an object may say that it is: it gains nothing by it, since none of these is data.
_ARE: tuple[type, ...] = (
    *(types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType, types.FunctionType, types.MethodType),
    *(map, filter, zip, enumerate),
)
_KINDS = {kind.__name__: kind for kind in _ARE}
_META = frozenset(("EnumType", "EnumMeta"))
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
        return _KINDS.get(object.__getattribute__(self, "_class_name"), Proxy)

    def _is_class(self, kinds: frozenset[str] = _META) -> bool:
        """Whether it is a class that the tests name: its items (``Color["RED"]``) are found by a key, and not looked at."""
        return object.__getattribute__(self, "_named") and object.__getattribute__(self, "_class_name") in kinds

    def _answers(self, name: str) -> bool:
        """Whether it may be asked for what plain data has, too: an object is there, or a method that returns one."""
        methods = self._link.methods
        return Proxy._is_object(self) or (name in methods and producer(self)[1:-2] in methods)

    def __getattr__(self, name: str) -> Any:
        if name == "__members__":  # of an enumeration
            return self._link.operation("members", self)
        if name.startswith("__") and name.endswith("__") and name not in _NAMES_OF_A_KIND:
            raise AttributeError(name)
        if name in DATA_NAMES and not Proxy._answers(self, name):
            if name not in _GIVING:
                raise not_data(self, f".{name}")
            return lambda: self._link.call(self._link.operation("getattr", self, name, producer=f".{name}"), (), {})
        if (self._number, name) in self._link.put:
            return self._link.put[self._number, name]
        value = self._link.operation("getattr", self, name, producer=f".{name}")
        if isinstance(value, Proxy):
            object.__setattr__(value, "_label", f"{self._label}.{name}")
            if object.__getattribute__(self, "_named"):
                object.__setattr__(value, "_named", True)  # a member of an enumeration, for one
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        self._link.operation("setattr", self, name, value)
        self._link.put.pop((self._number, name), None)
        if callable(value) and not isinstance(value, Proxy):
            self._link.put[self._number, name] = value

    def __delattr__(self, name: str) -> None:
        self._link.operation("delattr", self, name)
        self._link.put.pop((self._number, name), None)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._link.call(self, args, kwargs)

    def __contains__(self, item: Any) -> bool:
        if standing(self) in (OWN, CHANGED):
            return self._link.operation("contains", self, item) is True
        # To the end, so that what yields everything contains nothing.
        found = []
        for value in iter(self):
            found.append(value)
            if len(found) > _MOST_ITEMS:
                raise not_data(self, "in")
        return item in found

    def __bool__(self) -> bool:
        if standing(self) == OPAQUE:
            if Proxy._is_object(self):
                return True  # an object is there, whatever it says of itself
            raise not_data(self, "its truth")
        return self._number_of("bool", bool)

    def __len__(self) -> int:
        length: int = Proxy._answer(self, "len", int)
        if standing(self) == OPAQUE:
            self._link.lengths[self._number] = length
            if self._link.yielded.get(self._number, length) != length:
                raise Gone("an object of the program says another length than it has yielded items")
        return length

    def __index__(self) -> int:
        if standing(self) != OWN:
            raise not_data(self, "its index")
        return self._number_of("index", int)

    def __int__(self) -> int:
        return self._number_of("int", int)

    def __float__(self) -> float:
        return self._number_of("float", float)

    def _number_of(self, operation: str, kind: type) -> Any:
        if standing(self) == CHANGED:
            raise no_number()
        return Proxy._answer(self, operation, kind)

    def __str__(self) -> str:
        return self._text("str")

    def __repr__(self) -> str:
        return self._text("repr")

    def __format__(self, how: str) -> str:
        if how and not Proxy._is_object(self):
            raise not_data(self, "its format")
        if how and standing(self) == CHANGED:
            raise no_number()
        return untainted(self)._text("format", how) if how else str(self)

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, Proxy) and self._link.operation("isinstance", value, self) is True

    def __getitem__(self, key: Any) -> Any:
        if producer(self) == ".__dict__":
            raise KeyError(key)  # of a class: mock's patch asks for it, and then for the attribute
        if self._is_class(_CLASSES) and all(isinstance(k, type) for k in (key if isinstance(key, tuple) else (key,))):
            return self  # Box[int]
        if not Proxy._is_object(self) and not self._is_class():
            raise not_data(self, "an item of it")
        return self._link.operation("getitem", self, key, producer=inner(self))

    def __setitem__(self, key: Any, value: Any) -> None:
        self._link.operation("setitem", self, key, value)

    def __delitem__(self, key: Any) -> None:
        self._link.operation("delitem", self, key)

    def __iter__(self) -> Any:
        link, which = untainted(self)._link, self._number
        if standing(self) == OPAQUE and which in link.items:
            return iter(link.items[which])
        over = OverItems(link.operation("iter", self, producer=producer(self)), self)
        if standing(self) != OPAQUE or number(over.over) == which:
            return over
        link.items[which] = items = Items(over)
        return iter(items)

    def __next__(self) -> Any:
        return untainted(self)._link.operation("next", self, producer=inner(self))

    def __reversed__(self) -> Any:
        return OverItems(untainted(self)._link.operation("reversed", self, producer=producer(self)), self)

    def __aiter__(self) -> Any:
        return OverAwaited(untainted(self)._link.operation("aiter", self, producer=producer(self)))

    async def __anext__(self) -> Any:
        return untainted(self)._link.operation("anext", self, producer=inner(self))

    def __enter__(self) -> Any:
        return self._entered("enter")

    def __exit__(self, *about: Any) -> bool:
        return self._left("exit", *about)

    async def __aenter__(self) -> Any:
        return self._entered("aenter")

    async def __aexit__(self, *about: Any) -> bool:
        return self._left("aexit", *about)

    def _entered(self, operation: str) -> Any:
        entered = untainted(self)._link.operation(operation, self, producer=producer(self))
        return self if number(entered) == self._number else entered

    def _left(self, operation: str, kind: Any, error: Any, _: Any) -> bool:
        """Told of, and let take, is only what the tests raise at the end of the block: it hides nothing of theirs."""
        if standing(self) != OWN or not self._link.is_to_be_taken(error):
            self._link.operation(operation, self)
            return False
        return self._link.operation(operation, self, type(error).__name__, str(error)) is True

    def __await__(self) -> Any:
        yield from ()
        return self._link.operation("await", self, producer=producer(self))

    def __copy__(self) -> Any:
        return self._copied("copy")

    def __deepcopy__(self, memo: Any) -> Any:
        return self._copied("deepcopy")

    def _copied(self, operation: str) -> Any:
        if object.__getattribute__(self, "_named"):
            return self
        if not Proxy._is_object(self):
            raise not_data(self, "a copy of it")
        return self._link.operation(operation, self, standing=standing(self), producer=producer(self))

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise not_data(self, "pickling it")


Proxy.__doc__ = property(lambda self: Proxy.__getattr__(self, "__doc__"))  # type: ignore[assignment]  # of a function, its own


def show(value: Any) -> str:
    """A bounded repr. That of a proxy would be the program's own text, and a message to it."""
    if isinstance(value, Proxy):
        return f"<a {object.__getattribute__(value, '_class_name')}>"
    return codec.show(value)
