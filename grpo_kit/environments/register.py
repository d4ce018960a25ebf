"""Making environments of classes and of functions: the decorator, the registry, and what an environment is put together from."""

from __future__ import annotations

import hashlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, overload

from grpo_kit.errors import UserError
from grpo_kit.runtime.suggest import did_you_mean
from grpo_kit.types import Task

from .adapters import adapt
from .base import Environment, Episode
from .cases import Case
from .classes import Part, PartsEpisode
from .formats import Format
from .shipped import SHIPPED
from .tools import MARK, TIMEOUT, Settings, describe

Class = TypeVar("Class", bound=Callable[..., Any])
TURNS = 8
BEGIN_IS_GIVEN = ("task", "random", "seed")
REPLY_IS_GIVEN = ("response", "raw")
REGISTRY: dict[str, Part] = {}


@overload
def environment(made: Class, /) -> Class: ...
@overload
def environment(
    *,
    name: str | None = None,
    timeout: float = TIMEOUT,
    turns: int = TURNS,
    version: str = "1",
    cases: Callable[[], Sequence[Any]] | None = None,
) -> Callable[[Class], Class]: ...
def environment(made: Any = None, /, **settings: Any) -> Any:
    """Register a class as an environment, or a function that makes an object of one; they stay as they were.

    Args:
        name: how recipes call it; default: the class's name.
        timeout: seconds that one reply may take.
        turns: of an episode at most.
        version: recorded, together with a digest of the file that the class stands in.
        cases: gives the environment's own scripted episodes (`grpo_kit.environments.cases.Case`).

    Raises:
        UserError: the class answers no turn, wants what no episode can give, or its name is taken.
    """

    def register(made: Any) -> Any:
        part = of_class(made, **settings)
        taken = REGISTRY.get(part.name)
        by = "this kit" if part.name in SHIPPED and not _is_shipped(made) else taken and taken.origin
        if by and by != part.origin:
            raise UserError(
                f"the environment name {part.name!r} is taken by {by}; choose another with "
                f"@environment(name=...) in {part.origin}"
            )
        REGISTRY[part.name] = part
        made.__grpo_kit_environment__ = part
        return made

    return register if made is None else register(made)


def of_class(
    made: Callable[..., Any],
    *,
    name: str | None = None,
    timeout: float = TIMEOUT,
    turns: int = TURNS,
    version: str = "1",
    cases: Callable[[], Sequence[Any]] | None = None,
) -> Part:
    """Describe a class, without registering it. One of another framework is told by its methods (`adapters`).

    Args:
        made: the class, or a function that makes an object of it; its parameters are the options then, and have defaults.

    Raises:
        UserError: it is no environment, or its methods want what no episode can give.
    """
    label, origin = name or made.__name__, origin_of(made)
    if not _number_of(timeout, (int, float)) or timeout <= 0 or not _number_of(turns, int) or turns < 1:
        raise UserError(
            f"environment {label!r} ({origin}): timeout is a number above 0, of seconds, and turns a whole one of at least 1"
        )
    if cases is not None and not callable(cases):
        raise UserError(f"environment {label!r} ({origin}): cases is a function that returns them")
    kind = made if isinstance(made, type) else type(_tried(made, label, origin))
    tools = tuple(describe(method, origin_of(method), bound=True) for method in _marked(kind))
    owner, foreign = kind, None
    if not tools and not hasattr(kind, "reply"):
        foreign = adapt(kind, made, label, origin)
        if foreign is None:
            raise UserError(
                f"environment {label!r} ({origin}) answers no turn: give it a method reply(self, response), or mark methods "
                "with @tool. Classes of gymnasium, TRL, verl and verifiers are told by their methods: docs/environments.md"
            )
        owner, tools = foreign.owner, foreign.tools
    return Part(
        label,
        origin,
        version_of(made, version),
        max([timeout, *(tool.timeout for tool in tools)]) if timeout == TIMEOUT else timeout,
        made if foreign is None else foreign.make,
        _given(owner, "begin", BEGIN_IS_GIVEN, label, origin),
        _given(owner, "reply", REPLY_IS_GIVEN, label, origin),
        tools,
        _options(made) if foreign is None or foreign.takes_options else {},
        turns,
        cases,
        inspect.getdoc(made) or "",
        made,
    )


def of_function(function: Callable[..., Any]) -> Part:
    """A plain typed function as a tool. Raises UserError where it is none."""
    origin = origin_of(function)
    made = describe(function, origin)
    settings: Settings = getattr(function, MARK, Settings())
    version, doc = version_of(function, "1"), inspect.getdoc(function) or ""
    return Part(made.name, origin, version, made.timeout, tools=(made,), cases=settings.cases, doc=doc, source=function)


def assemble(
    parts: Sequence[Part],
    name: str | None = None,
    *,
    format: Format = "json",
    turns: int | None = None,
    timeout: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> Environment:
    """The environment that consists of ``parts``: a class alone, or tools of several places.

    Raises:
        UserError: two of the tools have one name, two parts reply, or an option is missing or not known.
    """
    places: dict[str, str] = {}
    for part in parts:
        for tool in part.tools:
            if tool.name in places:
                raise UserError(
                    f"there are two tools called {tool.name!r}, in {places[tool.name]} and {tool.origin}: a call could mean "
                    "either; rename one with @tool(name=...) or leave it out"
                )
            places[tool.name] = tool.origin
    replying = [part for part in parts if part.reply is not None]
    if len(replying) > 1:
        raise UserError(
            f"{replying[0].name} ({replying[0].origin}) and {replying[1].name} ({replying[1].origin}) both reply to a turn "
            "without a call; use one of them"
        )
    for part in parts:
        part.check_options(options or {})
    bound = dict(options or {})

    def open(task: Task, seed: int, options: Mapping[str, Any]) -> Episode:
        return PartsEpisode(parts, task, seed, {**bound, **options}, format)

    first = parts[0]
    return Environment(
        name or "+".join(part.name for part in parts),
        open,
        first.version if len(parts) == 1 else "+".join(f"{part.name}={part.version}" for part in parts),
        timeout or max(part.timeout for part in parts),
        turns or max((part.turns for part in parts if part.turns is not None), default=TURNS),
        tuple(tool.schema for part in parts for tool in part.tools),
        first.origin if len(parts) == 1 else ", ".join(part.origin for part in parts),
        cases_of(first) if len(parts) == 1 else (),
        speaks_first=any(part.begin is not None for part in parts),
        pays=bool(replying),
    )


def cases_of(part: Part) -> tuple[Case, ...]:
    """Its own scripted episodes. Raises UserError where they cannot be had."""
    try:
        cases = () if part.cases is None else tuple(part.cases())
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if Path(f.filename).is_file() and Path(f.filename).parent != Path(__file__).parent]
        at = (own or frames)[-1]
        raise UserError(
            f"environment {part.name!r} ({part.origin}): its cases cannot be had: {type(error).__name__}: {error} "
            f"({at.filename}:{at.lineno})"
        ) from error
    if others := [case for case in cases if not isinstance(case, Case)]:
        raise UserError(
            f"environment {part.name!r} ({part.origin}): its cases are Case objects; one of them is {others[0]!r:.80}"
        )
    return cases


def version_of(made: Any, version: str) -> str:
    """The version that its writer gave, and a digest of the file that the code stands in. The shipped ones are the kit's own,
    whose version is raised where what they say changes, as verifiers' are."""
    target = inspect.unwrap(made) if callable(made) else made
    if _is_shipped(target):
        return version
    file = getattr(sys.modules.get(getattr(target, "__module__", "")), "__file__", None)
    try:
        text = Path(file).read_bytes() if file is not None else inspect.getsource(target).encode()
    except (OSError, TypeError):
        return version
    return f"{version}-{hashlib.sha256(text).hexdigest()[:8]}"


def _is_shipped(made: Any) -> bool:
    return str(getattr(made, "__module__", "")).startswith(f"{__package__}.shipped.")


def _number_of(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def origin_of(made: Any) -> str:
    """Where a class or a function stands, as ``file:line``."""
    target = inspect.unwrap(made) if callable(made) else made
    if isinstance(target, partial):
        target = target.func
    try:
        return f"{inspect.getsourcefile(target)}:{inspect.getsourcelines(target)[1]}"
    except (OSError, TypeError):
        return f"{getattr(target, '__module__', '?')}.{getattr(target, '__qualname__', repr(target))}"


def _tried(made: Callable[..., Any], label: str, origin: str) -> Any:
    """An object that a function makes, to see of what class it is."""
    if needed := [name for name, optional in _options(made).items() if not optional]:
        raise UserError(
            f"environment {label!r} ({origin}): give {needed[0]!r} a default, so that one can be made to look at"
        )
    return made()


def _marked(made: type) -> list[Callable[..., Any]]:
    """Methods that are marked as tools, in the order in which they are written, those of base classes first."""
    names: Iterable[str] = dict.fromkeys(name for base in reversed(made.__mro__) for name in vars(base))
    methods = [inspect.getattr_static(made, name) for name in names]
    marked = [method for method in methods if hasattr(method, MARK)]
    for method in marked:
        if not inspect.isfunction(method):
            raise UserError(
                f"tool {made.__name__}.{method.__name__} ({origin_of(made)}): mark a plain method with @tool"
            )
    return marked


def _given(made: type, method: str, offered: Sequence[str], label: str, origin: str) -> tuple[str, ...] | None:
    """Names of what a method takes of what it can be given; None where there is no such method."""
    function = getattr(made, method, None)
    if function is None:
        return None
    names = []
    parameters = list(inspect.signature(function).parameters.values())
    if not isinstance(inspect.getattr_static(made, method), (staticmethod, classmethod)):
        if not parameters or parameters[0].name in offered:
            raise UserError(f"environment {label!r} ({origin}): the first parameter of {method} is self")
        parameters = parameters[1:]
    for parameter in parameters:
        if parameter.name in offered and parameter.kind is not parameter.POSITIONAL_ONLY:
            names.append(parameter.name)
        elif parameter.kind is parameter.VAR_KEYWORD:
            return tuple(offered)
        elif parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL:
            raise UserError(
                f"environment {label!r} ({origin}): {method} wants {parameter.name!r}; it is given {', '.join(offered)} by "
                f"name.{did_you_mean(parameter.name, offered)}"
            )
    return tuple(names)


def _options(made: Callable[..., Any]) -> dict[str, bool]:
    if isinstance(made, type) and made.__init__ is object.__init__:  # type: ignore[misc]
        return {}
    found = {}
    for parameter in list(inspect.signature(made).parameters.values()):
        if parameter.kind is parameter.VAR_KEYWORD:
            found["**"] = True
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            found[parameter.name] = parameter.default is not parameter.empty
    return found
