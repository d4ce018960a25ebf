"""The verifier contract: the decorator, the registry and the lookup by name or by file.

A verifier is a function that takes any of ``response, answer, prompt, meta, completion_ids, messages`` by name and
returns a bool, a number, a dict, a `Score` or None::

    from grpo_kit.verifiers import verifier

    @verifier(name="ends_with_answer", timeout=1.0)
    def ends_with_answer(response: str, answer) -> bool:
        return response.strip().endswith(str(answer))
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from .score import Score

ARGUMENTS = ("response", "answer", "prompt", "meta", "completion_ids", "messages")


class VerifierError(Exception):
    """A verifier that cannot be found, loaded or called as it was written."""


@dataclass(frozen=True)
class Verifier:
    """A verifier function with what the scoring pool must know about it.

    Attributes:
        timeout: seconds one call may take; the deadline starts when the work starts.
        version: recorded in rollouts and results, so that a changed rule is seen.
        parameters: names of the arguments that the function wants.
    """

    name: str
    function: Callable[..., Any]
    timeout: float = 10.0
    version: str = "1"
    weight: float = 1.0
    parameters: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, **available: Any) -> Score:
        """Score one response; ``available`` holds everything of `ARGUMENTS` that the caller has.

        Raises whatever the function raises: turning a crash into an abstention is the scoring pool's work.
        """
        arguments = {name: available.get(name) for name in self.parameters if name in ARGUMENTS}
        return Score.from_result(self.function(**arguments, **self.options))

    def with_options(self, options: Mapping[str, Any]) -> Verifier:
        """The same verifier with keyword options bound; an option that the function lacks is an error."""
        signature = inspect.signature(self.function)
        for name in options:
            if name in ARGUMENTS or name not in signature.parameters:
                allowed = [p for p in signature.parameters if p not in ARGUMENTS]
                raise VerifierError(f"verifier {self.name!r} has no option {name!r}; it has: {allowed or 'none'}")
        return Verifier(
            self.name, self.function, self.timeout, self.version, self.weight, self.parameters, dict(options)
        )


REGISTRY: dict[str, Verifier] = {}


@overload
def verifier(function: Callable[..., Any], /) -> Callable[..., Any]: ...
@overload
def verifier(
    *, name: str | None = None, timeout: float = 10.0, version: str = "1", weight: float = 1.0
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...
def verifier(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    timeout: float = 10.0,
    version: str = "1",
    weight: float = 1.0,
) -> Any:
    """Register a function as a verifier; the function itself stays callable as it was.

    Raises:
        VerifierError: for a parameter that no completion can supply, or a name that is taken.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        made = from_function(function, name=name, timeout=timeout, version=version, weight=weight)
        taken = REGISTRY.get(made.name)
        if taken is not None and _origin(taken.function) != _origin(function):
            raise VerifierError(
                f"the verifier name {made.name!r} is taken by {_origin(taken.function)}; choose another with "
                f"@verifier(name=...) in {_origin(function)}"
            )
        REGISTRY[made.name] = made
        return function

    return register if function is None else register(function)


def from_function(function: Callable[..., Any], *, name: str | None = None, **settings: Any) -> Verifier:
    """Describe a plain function as a verifier, without registering it."""
    label = name or function.__name__
    parameters = inspect.signature(function).parameters
    for parameter in parameters.values():
        required = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        if parameter.name not in ARGUMENTS and required:
            close = difflib.get_close_matches(parameter.name, ARGUMENTS, 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise VerifierError(
                f"verifier {label!r} ({_origin(function)}) wants an argument {parameter.name!r}; verifiers are given "
                f"{', '.join(ARGUMENTS)}, and options must have a default.{hint}"
            )
    return Verifier(label, function, parameters=tuple(parameters), **settings)


def get_verifier(reference: str) -> Verifier:
    """Find a verifier: a registered name, ``package.module:function`` or ``path/file.py:function``.

    Raises:
        VerifierError: nothing is there; an error inside the user's own module is raised as it is.
    """
    import grpo_kit.verifiers  # the shipped ones register on import

    if reference in REGISTRY:
        return REGISTRY[reference]
    if ":" not in reference:
        close = difflib.get_close_matches(reference, REGISTRY, 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise VerifierError(
            f"there is no verifier named {reference!r}; there are {', '.join(sorted(REGISTRY))}, and your own are named "
            f"as path/to/file.py:function or package.module:function.{hint}"
        )
    source, _, attribute = reference.rpartition(":")
    module = _load_file(Path(source)) if source.endswith(".py") else importlib.import_module(source)
    function = getattr(module, attribute, None)
    if not callable(function):
        found = [k for k, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module.__name__]
        raise VerifierError(f"{source} has no function {attribute!r}; it has: {', '.join(found) or 'none'}")
    for registered in REGISTRY.values():
        if registered.function is function:
            return registered
    return from_function(function)


def _load_file(path: Path) -> Any:
    if not path.is_file():
        raise VerifierError(f"no such verifier file: {path} (looked in {Path.cwd()})")
    # A name of its own: two files called reward.py must not shadow each other, nor an installed module.
    unique = f"grpo_kit_user_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    if unique in sys.modules:
        return sys.modules[unique]
    spec = importlib.util.spec_from_file_location(unique, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[unique]
        raise
    return module


def _origin(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)
