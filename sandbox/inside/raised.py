"""What the program has raised, as an exception of the tests: of its own kind if they name it, else of the nearest known one."""

from __future__ import annotations

import builtins
import contextlib
import functools
import sys
import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..wire import codec
from . import library
from .held import Held, about, is_read

OF_FRAMEWORKS = ("unittest", "doctest")  # whose exceptions mean something to who runs the cases
NEVER = ("SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseException", "AssertionError")


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


def _made_only(error: BaseException) -> Held | None:
    """What the tests have made by a call and not raised yet decides as little as any object: ``f`` may be such a class."""
    return error.__dict__.get(_MADE) if error.__traceback__ is None else None


def _equals(error: BaseException, other: object) -> Any:
    held = _made_only(error)
    if held is None:
        return error is other or NotImplemented
    if not isinstance(other, BaseException):
        return held == other
    return held_by(other) is not None and held == held_by(other)


def _hash(error: BaseException) -> int:
    held = _made_only(error)
    return object.__hash__(error) if held is None else hash(held)


def _truth(error: BaseException) -> bool:
    held = _made_only(error)
    return held is None or bool(held)


# What a class has that stands for one of the program's.
BODY = {"__getattr__": asked, "__str__": text_of, "__repr__": _written}
BODY |= {"__eq__": _equals, "__hash__": _hash, "__bool__": _truth}


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
    return _Kind(name, bases, {**BODY, _MADE: own})


class RemoteError(Exception):
    """An exception of the program that has no built-in counterpart."""


class Raised:
    """Exceptions of the program.

    Attributes:
        kinds: those that the tests name, by name.
        made: those that stand for classes of the program's, by the name that the program gives them.
    """

    def __init__(self) -> None:
        self.kinds: dict[str, type] = {}
        self.made: dict[str, type] = {}

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
            return failures[of_tests]
        error = self._nearest(names, str(text), decode(parts))
        if inner is not None:
            message, exceptions = inner
            error = BaseExceptionGroup(str(message), [self.as_here(e, decode, failures) for e in exceptions])
        for found in map(decode, held):
            if not isinstance(found, Held):
                raise codec.Malformed("not an exception as an object")
            error.__dict__[_HELD] = found
        for name, other in (("__context__", context), ("__cause__", cause)):
            if other is not None:
                setattr(error, name, self.as_here(other, decode, failures))
        error.__suppress_context__ = suppressed is True
        return error

    def made_by_tests(self, kind: type, held: Held, told: list[Any], decode: Callable[[Any], Any]) -> BaseException:
        """What a class of the program has made for the tests, and says of it."""
        names, text, parts, *_ = told
        known = (self.kinds.get(name, object) for name in names)
        kind = next((k for k in known if issubclass(k, kind)), kind)
        arguments, attributes = _checked(decode(parts))
        error = _made(kind, str(text), arguments, attributes)
        error.__dict__[_HELD] = error.__dict__[_MADE] = held
        return error

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
                    bases = self.bases(known[place:]) if issubclass(kind, Exception) else (kind,)
                    return _made(kind if name == known[0] else _named(own, bases), text, arguments, attributes)
        return RemoteError(f"{names}: {text}"[:1000]) if not known else _named(own, (RemoteError,))(f"{own}: {text}")

    def bases(self, names: Iterable[str]) -> tuple[type, ...]:
        """The known ones among the bases of a class; no exit, which would be taken for another exception."""
        return library.combined(k for k in map(self.kind, names) if k is not None and issubclass(k, Exception))

    def kind(self, name: str) -> Any:
        """The tests' own class for a name that the program gave, a built-in one or one of the library; None: there is none."""
        kind: Any = self.kinds.get(name)
        if kind is not None:
            return kind if issubclass(kind, (Exception, SystemExit)) else None
        module, _, attribute = name.rpartition(":")
        kind = library.found(module or "builtins", attribute)
        if not isinstance(kind, type) or not issubclass(kind, Exception) or issubclass(kind, AssertionError):
            return None
        return None if kind.__module__.partition(".")[0] in OF_FRAMEWORKS else kind


def _checked(parts: Any) -> tuple[list[Any] | None, dict[Any, Any]]:
    arguments, attributes = parts
    if not isinstance(arguments, (list, type(None))) or type(attributes) is not dict:
        raise codec.Malformed("not an exception")
    return arguments, attributes


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


def _hold_objects(arguments: list[Any]) -> bool:
    return any(isinstance(argument, Held) or codec.holds_opaque(argument) for argument in arguments)


def _dressed(error: Any, attributes: dict[Any, Any]) -> BaseException:
    for attribute, value in attributes.items():
        notes = attribute == "__notes__" and type(value) is list
        told = type(attribute) is str and getattr(error, attribute, None) is not None
        if notes or (type(attribute) is str and not attribute.startswith("__") and not told):
            setattr(error, attribute, value)
    return error


def _named(name: str, bases: tuple[type, ...]) -> Any:
    """A kind of exception that the tests do not name, but may ask for its name."""
    return types.new_class(name, bases, exec_body=lambda names: names.update(BODY, __module__="solution"))
