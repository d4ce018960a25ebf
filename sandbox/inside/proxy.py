"""What the tests hold instead of an object of the program, and what it may decide: as little as can be.

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

import builtins
import types
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Protocol

from ..wire import codec
from ..wire.plain import DATA_NAMES

OPAQUE, OWN, TAINTED, CHANGED = 0, 1, 2, 3
_ADDING = frozenset(("add", "mul", "or_", "and_", "iadd", "imul", "ior", "iand"))
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


class Link(Protocol):
    """What a proxy asks of the referee's end of the connection.

    Attributes:
        objects, methods: names that the program may hand over as its own, and those that are asked of what it hands over.
        put: functions that the tests have put into an attribute, by the object's number and the attribute's name.
        lengths: what opaque objects have said their length is since the tests last called the program, by number.
        items: what they have yielded since then: an object that yields something else each time is no data.
        spent: iterators that have come to their end.
    """

    objects: frozenset[str]
    methods: frozenset[str]
    put: dict[tuple[int, str], Any]
    lengths: dict[int, int]
    items: dict[int, Items]
    spent: set[int]

    def operation(self, name: str, *operands: Any, standing: int = ..., producer: str = ...) -> Any: ...

    def call(self, target: Proxy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...

    def in_standing(self, proxy: Proxy, standing: int, make: bool = False) -> Proxy | None: ...

    def is_to_be_taken(self, error: BaseException | None) -> bool: ...


class Gone(BaseException):
    """The program's process ended or broke the protocol. Not an Exception: no test may catch it, and if one does, it is
    kept."""

    happened: ClassVar[list[Gone]] = []

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        Gone.happened.append(self)


def standing(proxy: Proxy) -> int:
    return object.__getattribute__(proxy, "_standing")


def number(value: Any) -> int | None:
    """Which object of the program it is; None for what is none."""
    return object.__getattribute__(value, "_number") if isinstance(value, Proxy) else None


def _producer(proxy: Proxy) -> str:
    return object.__getattribute__(proxy, "_producer")


def _inner(proxy: Proxy) -> str:
    producer = _producer(proxy)
    return producer if producer.endswith("[]") else f"{producer}[]"


def _not_data(proxy: Proxy, what: str) -> codec.NotData:
    name = object.__getattribute__(proxy, "_class_name")
    return codec.NotData(f"{what}: the program handed over an object of its own ({name}) where data was expected")


class Proxy:
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

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """For ``isinstance(f(), types.GeneratorType)``, wherever it is asked."""
        return _KINDS.get(object.__getattribute__(self, "_class_name"), Proxy)

    def _is_object(self) -> bool:
        """Whether the tests use what came from here as an object, so that the reference must return one, too."""
        return standing(self) != OPAQUE or _producer(self) in self._link.objects

    def _is_class(self, kinds: frozenset[str] = _META) -> bool:
        """Whether it is a class that the tests name: its items (``Color["RED"]``) are found by a key, and not looked at."""
        return object.__getattribute__(self, "_named") and object.__getattribute__(self, "_class_name") in kinds

    def _answers(self, name: str) -> bool:
        """Whether it may be asked for what plain data has, too: an object is there, or a method that returns one."""
        methods = self._link.methods
        return Proxy._is_object(self) or (name in methods and _producer(self)[1:-2] in methods)

    def __getattr__(self, name: str) -> Any:
        if name == "__members__":  # of an enumeration
            return self._link.operation("members", self)
        if name.startswith("__") and name.endswith("__") and name not in _NAMES_OF_A_KIND:
            raise AttributeError(name)
        if name in DATA_NAMES and not Proxy._answers(self, name):
            if name not in _GIVING:
                raise _not_data(self, f".{name}")
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

    def __hash__(self) -> int:
        own = self._link.in_standing(self, OWN)
        if own is None:
            if Proxy._is_object(self) or object.__getattribute__(self, "_named"):
                return self._number
            # Which is no verdict: whoever counts the items of a list then compares them one by one.
            raise TypeError(
                f"unhashable: an object of the program's own ({object.__getattribute__(self, '_class_name')})"
            )
        value = self._link.operation("hash", own)
        if type(value) is not int:
            raise Gone(f"hash() came back as {type(value).__name__}")
        return hash(value)

    def __eq__(self, other: object) -> bool:
        return _equal(self, other, "eq")

    def __ne__(self, other: object) -> bool:
        return _equal(self, other, "ne")

    def __contains__(self, item: Any) -> bool:
        if standing(self) in (OWN, CHANGED):
            return self._link.operation("contains", self, item) is True
        # To the end, so that what yields everything contains nothing.
        found = []
        for value in iter(self):
            found.append(value)
            if len(found) > _MOST_ITEMS:
                raise _not_data(self, "in")
        return item in found

    def __bool__(self) -> bool:
        if standing(self) == OPAQUE:
            if Proxy._is_object(self):
                return True  # an object is there, whatever it says of itself
            raise _not_data(self, "its truth")
        return self._number_of("bool", bool)

    def __len__(self) -> int:
        length: int = Proxy._answer(self, "len", int)
        if standing(self) == OPAQUE:
            self._link.lengths[self._number] = length
        return length

    def __index__(self) -> int:
        if standing(self) != OWN:
            raise _not_data(self, "its index")
        return self._number_of("index", int)

    def __int__(self) -> int:
        return self._number_of("int", int)

    def __float__(self) -> float:
        return self._number_of("float", float)

    def _number_of(self, operation: str, kind: type) -> Any:
        if standing(self) == CHANGED:
            raise _no_number()
        return Proxy._answer(self, operation, kind)

    def _answer(self, operation: str, kind: type) -> Any:
        value = _untainted(self)._link.operation(operation, self)
        if type(value) is not kind:
            raise Gone(f"{operation}() came back as {type(value).__name__}")
        return value

    def __str__(self) -> str:
        return self._text("str")

    def __repr__(self) -> str:
        return self._text("repr")

    def __format__(self, how: str) -> str:
        if how and not Proxy._is_object(self):
            raise _not_data(self, "its format")
        if how and standing(self) == CHANGED:
            raise _no_number()
        return _untainted(self)._text("format", how) if how else str(self)

    def _text(self, operation: str, *operands: Any) -> str:
        value = self._link.operation(operation, self, *operands)
        if type(value) is not str:
            raise Gone(f"{operation}() came back as {type(value).__name__}")
        return value

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, Proxy) and self._link.operation("isinstance", value, self) is True

    def __getitem__(self, key: Any) -> Any:
        if _producer(self) == ".__dict__":
            raise KeyError(key)  # of a class: mock's patch asks for it, and then for the attribute
        if self._is_class(_CLASSES) and all(isinstance(k, type) for k in (key if isinstance(key, tuple) else (key,))):
            return self  # Box[int]
        if not Proxy._is_object(self) and not self._is_class():
            raise _not_data(self, "an item of it")
        return self._link.operation("getitem", self, key, producer=_inner(self))

    def __setitem__(self, key: Any, value: Any) -> None:
        self._link.operation("setitem", self, key, value)

    def __delitem__(self, key: Any) -> None:
        self._link.operation("delitem", self, key)

    def __iter__(self) -> Any:
        link, which = _untainted(self)._link, self._number
        if standing(self) == OPAQUE and which in link.items:
            return iter(link.items[which])
        over = _Iterator(link.operation("iter", self, producer=_producer(self)), self)
        if standing(self) != OPAQUE or number(over.over) == which:
            return over
        link.items[which] = items = Items(over)
        return iter(items)

    def __next__(self) -> Any:
        return _untainted(self)._link.operation("next", self, producer=_inner(self))

    def __reversed__(self) -> Any:
        return _Iterator(_untainted(self)._link.operation("reversed", self, producer=_producer(self)), self)

    def __aiter__(self) -> Any:
        return _AsyncIterator(_untainted(self)._link.operation("aiter", self, producer=_producer(self)))

    async def __anext__(self) -> Any:
        return _untainted(self)._link.operation("anext", self, producer=_inner(self))

    def __enter__(self) -> Any:
        return self._entered("enter")

    def __exit__(self, *about: Any) -> bool:
        return self._left("exit", *about)

    async def __aenter__(self) -> Any:
        return self._entered("aenter")

    async def __aexit__(self, *about: Any) -> bool:
        return self._left("aexit", *about)

    def _entered(self, operation: str) -> Any:
        entered = _untainted(self)._link.operation(operation, self, producer=_producer(self))
        return self if number(entered) == self._number else entered

    def _left(self, operation: str, kind: Any, error: Any, _: Any) -> bool:
        """Told of, and let take, is only what the tests raise at the end of the block: it hides nothing of theirs."""
        if standing(self) != OWN or not self._link.is_to_be_taken(error):
            self._link.operation(operation, self)
            return False
        return self._link.operation(operation, self, type(error).__name__, str(error)) is True

    def __await__(self) -> Any:
        yield from ()
        return self._link.operation("await", self, producer=_producer(self))

    def __copy__(self) -> Any:
        return self._copied("copy")

    def __deepcopy__(self, memo: Any) -> Any:
        return self._copied("deepcopy")

    def _copied(self, operation: str) -> Any:
        if object.__getattribute__(self, "_named"):
            return self
        if not Proxy._is_object(self):
            raise _not_data(self, "a copy of it")
        return self._link.operation(operation, self, standing=standing(self), producer=_producer(self))

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise _not_data(self, "pickling it")


Proxy.__doc__ = property(lambda self: Proxy.__getattr__(self, "__doc__"))  # type: ignore[assignment]  # of a function, its own


class Items:
    """What an opaque object has yielded so far: it yields the same however often it is asked."""

    def __init__(self, over: Iterator[Any]) -> None:
        self._over, self._known = over, []  # type: Iterator[Any], list[Any]

    def __iter__(self) -> Iterator[Any]:
        position = 0
        while True:
            if position == len(self._known):
                try:
                    self._known.append(next(self._over))
                except StopIteration:
                    return
            yield self._known[position]
            position += 1


class _Iterator:
    """Over what the program yields. ``iter()`` insists on an iterator, which plain data (a list that claims to be one) is
    not. What an opaque object has said its length is, it yields: ``zip`` would end where it does.
    """

    def __init__(self, over: Any, of: Proxy) -> None:
        if not isinstance(over, Proxy):
            raise TypeError("iter() of an object of the program gave no iterator")
        self.over, self.of, self.count = over, of, 0

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        try:
            value = next(self.over)
        except StopIteration:
            of: Any = self.of
            lengths, which = of._link.lengths, number(of)
            if number(self.over) == which:
                of._link.spent.add(which)
            elif standing(of) == OPAQUE:
                lengths.setdefault(which, self.count)  # reversed, it yields as many
            if standing(of) == OPAQUE and lengths.get(which, self.count) != self.count:
                raise Gone("an object of the program yields not as many items as its length says") from None
            raise
        self.count += 1
        return value


class _AsyncIterator:
    """The same for ``async for``."""

    def __init__(self, over: Any) -> None:
        if not isinstance(over, Proxy):
            raise TypeError("aiter() of an object of the program gave no iterator")
        self.over = over

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        return await self.over.__anext__()


def _equal(ours: Proxy, other: object, operation: str) -> bool:
    if not isinstance(other, Proxy):
        if type(other).__name__ == "Expected":  # it asks for the attributes
            return (other == ours) == (operation == "eq")
        if isinstance(other, type):
            return same_class(ours, other) == (operation == "eq")
        if type(other).__module__ == "unittest.mock":  # ANY: it answers
            return NotImplemented
        if type(other).__module__ == "pathlib":  # of a path its text is asked, and what it is compared with is not told
            return (ours._text("fspath") == str(other)) == (operation == "eq")
        if other is None or standing(ours) == OWN:
            return operation == "ne"
        raise _not_data(ours, operation)
    if number(ours) == number(other):
        return operation == "eq"
    if (standing(ours), standing(other)) != (OPAQUE, OPAQUE):
        return ours._link.operation(operation, ours, other) is True
    if operation == "eq":
        return False
    if any(object.__getattribute__(proxy, "_named") for proxy in (ours, other)):
        return True  # another object than the named one
    raise _not_data(ours, operation)


def same_class(proxy: Proxy, kind: type) -> bool:
    """Whether what the program handed over is a class of the built-ins: which one it says without being told."""
    name = proxy._link.operation("builtin", proxy)
    return type(name) is str and name == kind.__name__ and getattr(builtins, name, None) is kind


def _untainted(proxy: Proxy) -> Proxy:
    if standing(proxy) == TAINTED:
        raise _no_number()
    return proxy


def _no_number() -> codec.NotData:
    return codec.NotData("the result of arithmetic with an object of the program is no number")


def _unary(operation: str) -> Callable[..., Any]:
    def apply(self: Proxy, *operands: Any) -> Any:
        if standing(_untainted(self)) != OWN:
            raise _not_data(self, operation)
        return self._link.operation(operation, self, *operands, standing=OWN)

    return apply


def _binary(operation: str, swapped: bool = False, order: bool = False) -> Callable[[Proxy, Any], Any]:
    """An operator with two operands; with plain data only where the rules at the top allow it."""

    def apply(self: Proxy, other: Any) -> Any:
        plain = not isinstance(other, Proxy)
        ranks = {standing(self)} if plain else {standing(self), standing(other)}
        if ranks == {OPAQUE}:
            raise _not_data(self, operation)
        operands = (other, self) if swapped else (self, other)
        if plain and order:  # with data there is no order: a class under test may say so itself, and nothing else
            if standing(self) == OWN:
                self._link.operation(operation, *operands)
            raise _not_data(self, operation)
        tainted = plain or TAINTED in ranks or (CHANGED in ranks and not order)
        rank = CHANGED if operation in _ADDING and TAINTED not in ranks else TAINTED
        result = self._link.operation(operation, *operands, standing=rank if tainted else OWN)
        if order and type(result) is not bool:
            raise codec.NotData(f"{operation}: an operator of the program answered with a {type(result).__name__}")
        if tainted and not isinstance(result, Proxy):
            raise codec.NotData(f"{operation}: an operator of the program answered with data")
        return result

    return apply


def _in_place(operation: str) -> Callable[[Proxy, Any], Any]:
    """``x += other``. An object that has changed and is still itself stays what it was, unless a number was taken from it:
    what it says then is no number."""
    apply = _binary(operation)

    def assign(self: Proxy, other: Any) -> Any:
        result = apply(self, other)
        if number(result) != number(self) or standing(self) not in (OWN, CHANGED) or standing(result) == TAINTED:
            return result
        counts = isinstance(other, Proxy) or hasattr(other, "__len__")
        return self if counts else self._link.in_standing(self, CHANGED, make=True)

    return assign


_ARITHMETIC = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
    *("and_", "or_", "xor", "lshift", "rshift", "divmod"),
)
for _name in ("neg", "pos", "abs", "round", "invert"):
    setattr(Proxy, f"__{_name}__", _unary(_name))
for _name in ("lt", "le", "gt", "ge"):
    setattr(Proxy, f"__{_name}__", _binary(_name, order=True))
for _name in _ARITHMETIC:
    setattr(Proxy, f"__{_name.rstrip('_')}__", _binary(_name))
    setattr(Proxy, f"__r{_name.rstrip('_')}__", _binary(_name, swapped=True))
    if _name != "divmod":
        setattr(Proxy, f"__i{_name.rstrip('_')}__", _in_place(f"i{_name.rstrip('_')}"))


def show(value: Any) -> str:
    """A bounded repr. That of a proxy would be the program's own text, and a message to it."""
    if isinstance(value, Proxy):
        return f"<a {object.__getattribute__(value, '_class_name')}>"
    return codec.show(value)
