"""The form of a function of the tests: what the one that stands for it in the program's process takes.

A program may count the parameters of what it is given (``curry``), bind them by name, or check their annotations. Defaults stay
with the tests, who have them filled in: what is expected may be among them (``lambda x, want=want: ...``).
"""

from __future__ import annotations

import builtins
import inspect
import types
from collections.abc import Callable
from typing import Any

_MOST = 50  # parameters
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_ANY_FORM: list[Any] = [
    False,
    [
        ["args", int(inspect.Parameter.VAR_POSITIONAL), False, ""],
        ["kwargs", int(inspect.Parameter.VAR_KEYWORD), False, ""],
    ],
    "",
]


class _Default:
    """Stands for a default that the tests have, and is written as one."""

    def __repr__(self) -> str:
        return "..."


_DEFAULT, _NONE = _Default(), inspect.Parameter.empty


def form_of(function: Any) -> list[Any] | None:
    """[whether it is a coroutine function, [name, kind, whether it has a default, annotation] of each parameter, annotation
    of what it returns]; None where Python cannot tell."""
    if not isinstance(function, (types.FunctionType, types.MethodType)):
        return None
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    told = [
        [p.name, int(p.kind), p.default is not p.empty, _annotation(p.annotation)]
        for p in signature.parameters.values()
    ]
    if len(told) > _MOST:
        return None
    return [inspect.iscoroutinefunction(function), told, _annotation(signature.return_annotation)]


def _annotation(found: Any) -> str:
    """The name of a built-in type; nothing for any other annotation."""
    name = found if isinstance(found, str) else getattr(found, "__name__", "")
    known = getattr(builtins, name, None) if isinstance(name, str) else None
    return name if isinstance(known, type) and (found is known or found == name) else ""


def shaped(form: list[Any] | None, call: Callable[[tuple[Any, ...], dict[str, Any]], Any]) -> Any:
    """A function of that form, which hands what it is given to ``call``."""
    waits, parameters, returned = form or _ANY_FORM
    names = [name for name, *_ in parameters]
    shape = inspect.Signature(
        [inspect.Parameter(n, kind, default=_DEFAULT if d else _NONE) for n, kind, d, _ in parameters]
    )
    own = "call_" + "_".join(names)  # a name that none of them has
    result = f"{'await ' if waits else ''}{own}(({', '.join(names)}{',' if names else ''}))"
    text = f"{'async ' if waits else ''}def function{shape}: return {result}"
    namespace: dict[str, Any] = {own: lambda values: call(*_handed(parameters, values))}
    exec(text, namespace)
    function = namespace["function"]
    function.__defaults__ = (_DEFAULT,) * len(function.__defaults__ or ()) or None
    function.__kwdefaults__ = dict.fromkeys(function.__kwdefaults__ or (), _DEFAULT) or None
    told = {name: getattr(builtins, annotation) for name, _, _, annotation in parameters if annotation}
    function.__annotations__ = told | ({"return": getattr(builtins, returned)} if returned else {})
    function.__module__ = "__tests__"
    return function


def _handed(parameters: list[Any], values: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What goes over, by position as far as nothing is left out."""
    positional: list[Any] = []
    named: dict[str, Any] = {}
    left_out = False
    for (name, kind, _, _), value in zip(parameters, values, strict=True):
        if value is _DEFAULT:
            left_out = True
        elif kind == inspect.Parameter.VAR_POSITIONAL:
            positional += value
        elif kind == inspect.Parameter.VAR_KEYWORD:
            named |= value
        elif kind in _POSITIONAL and not left_out:
            positional.append(value)
        else:
            named[name] = value
    return tuple(positional), named
