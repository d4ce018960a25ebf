"""What the program has raised, as an exception of the tests: of its own kind if they name it, else of the nearest known one."""

from __future__ import annotations

import builtins
import contextlib
import functools
import operator
import sys
import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..wire import codec
from . import library
from .comparisons import ORDERS
from .held import OWN, Held, about, answer, decides, is_read, not_data, number, standing
from .related import hashed, is_of_tested

OF_FRAMEWORKS = ("unittest", "doctest")  # whose exceptions mean something to who runs the cases
NEVER = ("AssertionError",)  # it would be one of the tests'


_DESCRIPTORS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_HELD, _TEXT, _MADE = "__referees__", "__referees_text__", "__referees_made__"


def asked(error: BaseException, name: str) -> Any:
    """An attribute of an exception that did not come with it, a method for one: the program's object is asked."""
    held = error.__dict__.get(_HELD)
    if held is None or name.startswith("__"):
        raise AttributeError(name)
    return getattr(held, name)


def text_of(error: BaseException) -> str:
    """What the program's exception says of itself, whatever its arguments."""
    told = error.__dict__.get(_TEXT)
    return _of_bases(error, "__str__", text_of) if told is None else told


def _written(error: BaseException) -> str:
    held = held_by(error)
    return _of_bases(error, "__repr__", _written) if held is None else repr(held)


def _of_bases(error: BaseException, name: str, ours: Callable[..., str]) -> Any:
    """What a method of it gives for an exception that the tests have raised themselves."""
    kind = next(k for k in type(error).__mro__ if vars(k).get(name, ours) is not ours)
    return getattr(kind, name)(error)


def known_text(error: BaseException) -> str:
    """The text of an exception, without asking the program for that of an argument."""
    told = error.__dict__.get(_TEXT)
    return str(error) if told is None else str(told)


def held_by(error: BaseException) -> Held | None:
    """The program's object that an exception stands for."""
    return error.__dict__.get(_HELD)


def object_of(value: Any) -> Any:
    """The program's object, for an exception that stands for one."""
    held = held_by(value) if isinstance(value, BaseException) else None
    return value if held is None else held


def _made_only(error: BaseException) -> Held | None:
    """What the tests have made by a call and not raised yet decides as little as any object: ``f`` may be such a class."""
    return error.__dict__.get(_MADE) if error.__traceback__ is None else None


def _compared(operation: str) -> Callable[[BaseException, object], Any]:
    """``==`` or ``!=``, as of objects where a class has a word of its own in it; else it is which exceptions they are."""
    compare = getattr(operator, operation)

    def compared(error: BaseException, other: object) -> Any:
        held, theirs = held_by(error), object_of(other)
        if held is None:
            return getattr(object, f"__{operation}__")(error, other)
        objects = [one for one in (held, theirs) if isinstance(one, Held)]
        if _made_only(error) is not None or any(decides(one, "eq") for one in objects):
            if theirs is None and standing(held) != OWN:  # it would be told apart from any object
                raise not_data(held, operation)
            return compare(held, theirs)
        return (number(held) == number(theirs)) == (operation == "eq")

    return compared


def _hash(error: BaseException) -> int:
    held = held_by(error)
    if held is None:
        return object.__hash__(error)
    if _made_only(error) is not None or standing(held) == OWN:
        return hash(held)
    value = hashed(held) if decides(held, "hash") else about(held).number
    if value is None:
        raise not_data(held, "hash")
    return value


def _truth(error: BaseException) -> bool:
    held = held_by(error)
    if held is None:
        return True
    if _made_only(error) is not None:
        return bool(held)
    if not decides(held, "bool"):
        return True
    if standing(held) != OWN and not is_of_tested(held):
        raise not_data(held, "its truth")
    truth: bool = answer(held, "bool", bool)
    return truth


def _as_object(name: str) -> Callable[..., Any]:
    """What an exception of a class under test does as any object of it does."""

    def do(error: BaseException, *operands: Any) -> Any:
        held = held_by(error)
        if held is None:
            raise TypeError(f"{name} of an exception of the tests")
        return getattr(type(held), name)(held, *map(object_of, operands))

    return do


# What a class has that stands for one of the program's; and one under test.
BODY = {"__getattr__": asked, "__str__": text_of, "__repr__": _written}
BODY |= {"__eq__": _compared("eq"), "__ne__": _compared("ne"), "__hash__": _hash, "__bool__": _truth}
_OF_OBJECTS = {
    name: _as_object(name)
    for name in (
        *("__len__", "__int__", "__float__", "__index__", "__iter__", "__getitem__", "__contains__"),
        *map("__{}__".format, ORDERS),
    )
}


class _Kind(type):
    """Of a class that stands for one of the program's, which makes what the tests make of it, and is asked for what it has."""

    def __getattr__(cls, name: str) -> Any:
        own = standing_in(cls)
        if own is None or name.startswith("_"):  # which the library asks any class for
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")
        try:
            value = getattr(own, name)
        except AttributeError as error:
            if is_read(sys._getframe(1)):
                about(own).link.outstanding.add(error)
            raise
        is_method = isinstance(value, Held) and about(value).class_name == "method"
        return functools.partial(_made_by, cls, value) if is_method else value

    def __setattr__(cls, name: str, value: Any) -> None:
        own = made_where_the_program_is(cls)
        type.__setattr__(cls, name, value) if own is None else setattr(own, name, value)

    def __delattr__(cls, name: str) -> None:
        own = made_where_the_program_is(cls)
        type.__delattr__(cls, name) if own is None else delattr(own, name)

    def __instancecheck__(cls, value: Any) -> bool:
        own = made_where_the_program_is(cls)
        if own is not None and issubclass(type(value), Held):
            return about(own).link.operation("isinstance", value, own) is True
        return super().__instancecheck__(value)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        own = made_where_the_program_is(cls)
        if own is None or issubclass(cls, BaseExceptionGroup):
            return super().__call__(*args, **kwargs)
        made = about(own).link.call(own, args, kwargs)
        return about(own).link.exception(cls, made) if isinstance(made, Held) else made


def short(name: str) -> str:
    """What the program calls a class of exceptions, of which there may be others of that name."""
    return name.rpartition(":")[2].partition("#")[0][:100]


def made_where_the_program_is(kind: type) -> Any:
    """The program's class for which one of the tests stands; None for one that is derived from such a class."""
    return vars(kind).get(_MADE)


def standing_in(kind: type) -> Any:
    """The program's class for which one of the tests stands, or from which theirs is derived; None: there is none."""
    return next((own for base in kind.__mro__ if (own := made_where_the_program_is(base)) is not None), None)


def _made_by(kind: type, method: Any, *args: Any, **kwargs: Any) -> Any:
    made = method(*args, **kwargs)
    is_one = issubclass(type(made), Held) and isinstance(made, kind)
    return about(method).link.exception(kind, made) if is_one else made


def standing_for(name: str, bases: tuple[type, ...], own: Any) -> type:
    """A class that stands for the program's ``own``; None: for one that the tests have no name for."""
    of_objects = _OF_OBJECTS if own is not None and about(own).label in about(own).link.making else {}
    return _Kind(name, bases, {**BODY, **of_objects, _MADE: own})


class RemoteError(Exception):
    """An exception of the program that has no built-in counterpart."""


class Raised:
    """Exceptions of the program.

    Attributes:
        kinds: those that the tests name, by name.
        made: those that stand for classes of the program's, by the name that the program gives them.
        unnamed: those that stand for others of the program's, by the names and bases of these.
        met: exceptions of the program by its number: raised again, one is the same.
    """

    def __init__(self) -> None:
        self.kinds: dict[str, type] = {}
        self.made: dict[str, type] = {}
        self.unnamed: dict[tuple[Any, ...], type] = {}
        self.met: dict[int, BaseException] = {}

    def names_for_program(self, kind: type) -> list[str]:
        """How a kind of the tests is told the program, which may raise it from now on."""
        if not issubclass(kind, AssertionError):
            self.kinds.setdefault(kind.__name__, kind)
        return library.names_of(kind)

    def as_here(
        self, told: list[Any], decode: Callable[[Any], Any], failures: Sequence[BaseException] = ()
    ) -> BaseException:
        """``failures``: exceptions of the tests that the program has got from a function of theirs, and may let through."""
        names, text, parts, (suppressed, cause, context), inner, of_tests, *held = told
        if of_tests is not None:
            if type(of_tests) is not int or not 0 <= of_tests < len(failures):
                raise codec.Malformed("not an exception of the tests")
            if held_by(failures[of_tests]) is None:
                return failures[of_tests]
        error = self._nearest(names, str(text), decode(parts))
        if inner is not None:
            message, exceptions = inner
            error = self._group(names, str(message), [self.as_here(e, decode, failures) for e in exceptions], error)
        if len(held) != 1:  # without its object it would be the tests' own
            raise codec.Malformed("not an exception")
        for found in map(decode, held):
            if not isinstance(found, Held):
                raise codec.Malformed("not an exception as an object")
            error.__dict__[_HELD] = found
            error = self._known(about(found).number, error)
        for name, other in (("__context__", context), ("__cause__", cause)):
            setattr(error, name, None if other is None else self.as_here(other, decode, failures))
        error.__suppress_context__ = suppressed is True
        return error

    def _known(self, number: int, now: BaseException) -> BaseException:
        """The exception of that number that the tests have met before, with what it says ``now``, or this one."""
        known = self.met.setdefault(number, now)
        if type(known) is not type(now):
            known = self.met[number] = now
        if known is not now and not isinstance(known, BaseExceptionGroup):  # what is in a group stays the same
            known.args = now.args
            for name in _members(type(known)):
                with contextlib.suppress(AttributeError, TypeError):
                    setattr(known, name, getattr(now, name))
        if known is not now:
            kept = {name: known.__dict__[name] for name in (_HELD, _MADE) if name in known.__dict__}
            known.__dict__.clear()
            known.__dict__.update(now.__dict__ | kept)
        return known

    def made_by_tests(self, kind: type, held: Held, told: list[Any], decode: Callable[[Any], Any]) -> BaseException:
        """What a class of the program has made for the tests, and says of it."""
        names, text, parts, *_ = told
        known = (self.kinds.get(name, object) for name in names)
        kind = next((k for k in known if issubclass(k, kind)), kind)
        arguments, attributes = _checked(decode(parts))
        error = _made(kind, str(text), arguments, attributes)
        error.__dict__[_HELD] = error.__dict__[_MADE] = held
        return self._known(about(held).number, error)

    def _nearest(self, names: Any, text: str, parts: Any) -> BaseException:
        """The nearest known class to what the program raised: its own if the tests name it, else a built-in one.

        ``parts``: its arguments, if they have come over, and its other attributes.
        """
        arguments, attributes = _checked(parts)
        known = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
        own = short(known[0]) if known else ""
        for place, name in enumerate(known):
            kind = self.kind(name)
            if kind is not None:
                of_library = kind.__module__ == "builtins" or ":" in name
                if name == known[0] and of_library and arguments is not None and not _hold_objects(arguments):
                    with contextlib.suppress(Exception):  # arguments that this kind does not take
                        return _dressed(type.__call__(kind, *arguments), attributes)
                with contextlib.suppress(TypeError):  # a kind that cannot be made without them
                    made = kind if name == known[0] else self._named(known, self.bases(known[place:]))
                    return _made(made, text, arguments, attributes)
        if not known:
            return RemoteError(f"{names}: {text}"[:1000])
        remote: BaseException = self._named(known, (RemoteError,))(f"{own}: {text}")
        return remote

    def _group(self, names: Any, message: str, parts: list[BaseException], bare: BaseException) -> BaseException:
        """One with what is in it. ``bare``: what it says beside that."""
        kinds = [kind for name in names if isinstance(name, str) and (kind := self.kind(name)) is not None]
        kind = next((kind for kind in kinds if issubclass(kind, BaseExceptionGroup)), BaseExceptionGroup)
        with contextlib.suppress(TypeError):  # it holds what goes into no ExceptionGroup
            made = kind if kind is self.kind(names[0]) else self._named(names, self.bases(names))
            group = blank(made, message, parts)
            group.__dict__.update(bare.__dict__)
            return group
        return BaseExceptionGroup(message, parts)

    def _named(self, names: Sequence[str], bases: tuple[type, ...]) -> Any:
        """A kind of exception that the tests do not name, but may ask for its name; the same one each time."""
        key = (*names, *bases)
        if key not in self.unnamed:
            body = {**BODY, "__module__": "solution"}
            self.unnamed[key] = types.new_class(short(names[0]), bases, exec_body=lambda space: space.update(body))
        return self.unnamed[key]

    def bases(self, names: Iterable[str]) -> tuple[type, ...]:
        """The known ones among the bases of a class: it is an Exception, or an exit, as it is where the program is."""
        return library.combined(k for k in map(self.kind, names) if k is not None)

    def kind(self, name: str) -> Any:
        """The tests' own class for a name that the program gave, a built-in one or one of the library; None: there is none."""
        kind: Any = self.kinds.get(name)
        if kind is not None:
            return kind
        module, _, attribute = name.rpartition(":")
        kind = library.found(module or "builtins", attribute)
        if not isinstance(kind, type) or not issubclass(kind, BaseException) or issubclass(kind, AssertionError):
            return None
        return None if kind.__module__.partition(".")[0] in OF_FRAMEWORKS else kind


def _checked(parts: Any) -> tuple[list[Any] | None, dict[Any, Any]]:
    arguments, attributes = parts
    if not isinstance(arguments, (list, type(None))) or type(attributes) is not list:
        raise codec.Malformed("not an exception")
    return arguments, dict(attributes)


def blank(kind: type[BaseException], *arguments: Any) -> BaseException:
    """One of that kind, whatever that does with arguments or wants of them: only a built-in one is asked to make it."""
    built_in: Any = next(base for base in kind.__mro__ if vars(builtins).get(base.__name__) is base)
    made: BaseException = built_in.__new__(kind, *arguments)
    return made


def _made(kind: Any, text: str, arguments: list[Any] | None, attributes: dict[Any, Any]) -> BaseException:
    error = blank(kind)
    error.args = (text,) if arguments is None else tuple(arguments)
    error.__dict__[_TEXT] = text
    return _dressed(error, attributes)


def _members(kind: type) -> Iterable[str]:
    """What an exception holds beside its arguments and its dict."""
    found = (name for base in kind.__mro__ for name, value in vars(base).items() if isinstance(value, _DESCRIPTORS))
    return (name for name in found if not name.startswith("__") and name != "args")


def _hold_objects(arguments: list[Any]) -> bool:
    return any(isinstance(argument, Held) or codec.holds_opaque(argument) for argument in arguments)


def _dressed(error: Any, attributes: dict[Any, Any]) -> BaseException:
    for attribute, value in attributes.items():
        notes = attribute == "__notes__" and type(value) is list
        member = library.MEMBERS.get(attribute) if type(attribute) is str else None
        told = member is None or not isinstance(error, member)
        told = told and type(attribute) is str and getattr(error, attribute, None) is not None
        if notes or (type(attribute) is str and not attribute.startswith("__") and not told):
            setattr(error, attribute, value)
    return error
