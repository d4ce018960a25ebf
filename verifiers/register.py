"""Making verifiers of functions: the decorator, the registry, and the wrapping of what other frameworks call."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

from .adapters import adapt, takes_only_ids
from .base import ARGUMENTS, Verifier, VerifierError, is_async_callable, origin_of

Function = TypeVar("Function", bound=Callable[..., Any])
REGISTRY: dict[str, Verifier] = {}


@overload
def verifier(function: Function, /) -> Function: ...
@overload
def verifier(
    *,
    name: str | None = None,
    timeout: float = 10.0,
    version: str = "1",
    weight: float = 1.0,
    batch: bool = False,
    group: bool = False,
    in_process: bool = False,
    concurrency: int = 16,
    demonstrable: bool = True,
    cases: Callable[[], Sequence[Any]] | None = None,
) -> Callable[[Function], Function]: ...
def verifier(function: Callable[..., Any] | None = None, /, **settings: Any) -> Any:
    """Register a function as a verifier; the function itself stays callable as it was.

    The settings are those of `Verifier`.

    Raises:
        VerifierError: for a parameter that no completion can supply, or a name that is taken.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        made = from_function(function, **settings)
        taken = REGISTRY.get(made.name)
        if taken is not None and taken.origin != made.origin:
            raise VerifierError(
                f"the verifier name {made.name!r} is taken by {taken.origin}; choose another with "
                f"@verifier(name=...) in {made.origin}"
            )
        REGISTRY[made.name] = made
        return function

    return register if function is None else register(function)


def from_function(function: Callable[..., Any], *, name: str | None = None, **settings: Any) -> Verifier:
    """Describe a plain function as a verifier, without registering it.

    A function written for another framework is recognised by its parameter names and wrapped
    (`grpo_kit.verifiers.adapters`).

    Raises:
        VerifierError: it wants an argument that no completion can supply, or its settings contradict each other.
    """
    if isinstance(function, type):
        function = function()  # open-instruct and reasoning-gym write verifiers as classes
    label = name or getattr(function, "__name__", None) or type(function).__name__
    parameters = list(inspect.signature(function).parameters.values())
    if settings.get("batch") and settings.get("group"):
        raise VerifierError(f"verifier {label!r} ({origin_of(function)}): choose batch=True or group=True, not both")
    if settings.get("timeout", 1.0) <= 0:
        raise VerifierError(f"verifier {label!r}: timeout must be above 0 seconds, got {settings['timeout']!r}")
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL)]
    unknown = [
        p.name
        for p in parameters
        if p.name not in ARGUMENTS and p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]
    if unknown or positional or takes_only_ids(function):
        adapted = adapt(function, label, settings)
        if adapted is not None:
            return adapted
        _refuse(label, function, (unknown or [positional[0].name])[0])
    return Verifier(
        label,
        function,
        parameters=tuple("**" if p.kind is p.VAR_KEYWORD else p.name for p in parameters),
        is_async=is_async_callable(function),
        source=function,
        **settings,
    )


def _refuse(label: str, function: Callable[..., Any], parameter: str) -> None:
    close = difflib.get_close_matches(parameter, ARGUMENTS, 1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise VerifierError(
        f"verifier {label!r} ({origin_of(function)}) wants an argument {parameter!r}; verifiers are given "
        f"{', '.join(ARGUMENTS)}, and options must have a default.{hint} Functions of other frameworks are recognised "
        "by their parameter names; docs/verifiers.md lists them."
    )
