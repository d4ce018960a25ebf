"""Tools: typed functions that a policy may call. Their schemas are made of signatures and docstrings.

The types are pydantic's business: it writes the schema of a parameter, and holds what a policy gives to the same type.
(``transformers.utils.get_json_schema`` writes schemas alone, takes every class it does not know for an object, and loads torch
into each process that only wants to call a function.)
"""

from __future__ import annotations

import inspect
import json
import keyword
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError

from grpo_kit.errors import UserError
from grpo_kit.runtime.suggest import closest

from .base import ToolError

Function = TypeVar("Function", bound=Callable[..., Any])
MARK = "__grpo_kit_tool__"
TIMEOUT = 10.0
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
# Sections of a docstring in Google's style; what stands before the first is the description.
_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Yields|Raises|Examples?|Notes?):[ \t]*$", re.MULTILINE)
_ARGUMENT = re.compile(r"^(\s*)\*{0,2}(\w+)(?:\s*\([^()\n]*\))?:[ \t]*(.*)$")
_STRICT = ConfigDict(extra="forbid", strict=True, protected_namespaces=())
MOST_FAULTS = 3  # of the arguments of one call, told to the policy
LONGEST_VALUE = 60  # characters of a wrong value that are told


@dataclass(frozen=True)
class Settings:
    """What `tool` was given."""

    name: str | None = None
    timeout: float = TIMEOUT
    cases: Callable[[], Sequence[Any]] | None = None


@overload
def tool(function: Function, /) -> Function: ...
@overload
def tool(
    *, name: str | None = None, timeout: float = TIMEOUT, cases: Callable[[], Sequence[Any]] | None = None
) -> Callable[[Function], Function]: ...
def tool(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    timeout: float = TIMEOUT,
    cases: Callable[[], Sequence[Any]] | None = None,
) -> Any:
    """Mark a typed function, or a method of a class whose object lives for one episode, as a tool.

    It stays callable as it was. What it returns is told to the policy: text as it is, other values as JSON. It raises
    `ToolError` for what the policy got wrong, and may return `Say` (with a reward) or `Done` (the episode is over).

    Args:
        name: how the policy calls it; default: the function's name.
        timeout: seconds of a call.
        cases: of a function: gives its scripted episodes (`grpo_kit.environments.cases.Case`).
    """
    if timeout <= 0:
        raise UserError(f"a tool's timeout is above 0 seconds, got {timeout!r}")

    def mark(function: Any) -> Any:
        setattr(function, MARK, Settings(name, timeout, cases))
        return function

    return mark if function is None else mark(function)


@dataclass(frozen=True)
class Tool:
    """A tool as an environment offers it.

    Attributes:
        function: takes the arguments by keyword.
        schema: as chat templates take it: ``{"type": "function", "function": {name, description, parameters}}``.
        origin: where it stands, for messages.
        read: makes the function's arguments of those that a policy gave. Raises ToolError with what would be right.
    """

    name: str
    function: Callable[..., Any]
    schema: dict[str, Any]
    origin: str
    read: Callable[[Mapping[str, Any]], dict[str, Any]]
    timeout: float = TIMEOUT


@dataclass(frozen=True)
class _Parameters:
    """The parameters of a tool by their names, with a model that reads them. Its fields have names of its own, because a
    parameter may be called as a method of a model is."""

    tool: str
    names: tuple[str, ...]
    model: type[BaseModel] = field(repr=False)

    def read(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            # As JSON, which is what the policy wrote: there a list is a tuple's or a set's form, and a text an enum's.
            read = self.model.model_validate_json(json.dumps(arguments))
        except ValidationError as error:
            raise ToolError(self._said(error)) from error
        except (ValueError, RecursionError) as error:
            raise ToolError(f"{self.tool}: the arguments cannot be read: numbers or brackets without end.") from error
        given = ((name, f"p{number}") for number, name in enumerate(self.names))
        return {name: getattr(read, key) for name, key in given if key in read.model_fields_set}

    def _said(self, error: ValidationError) -> str:
        faults = [self._fault(one) for one in error.errors(include_url=False, include_context=False)[:MOST_FAULTS]]
        return f"{self.tool}: {'; '.join(faults)}."

    def _fault(self, fault: Mapping[str, Any]) -> str:
        where = ".".join(map(str, fault["loc"])) or "arguments"
        if fault["type"] == "missing":
            return f"the argument {where} is missing"
        if fault["type"] == "extra_forbidden":
            near = closest(where[:LONGEST_VALUE], self.names)
            meant = f" (did you mean {near}?)" if near else ""
            return f"there is no argument {where[:LONGEST_VALUE]!r}{meant}; it takes {', '.join(self.names) or 'none'}"
        if fault["type"] == "json_invalid":
            return "the arguments hold what is no Unicode text"
        message = fault["msg"][0].lower() + fault["msg"][1:]
        return f"the argument {where} is {fault['input']!r:.{LONGEST_VALUE}}: {message}"


def describe(function: Callable[..., Any], origin: str, bound: bool = False) -> Tool:
    """A tool of a function.

    Args:
        bound: its first parameter is the object that it is a method of.

    Raises:
        UserError: it lacks a type or a docstring, or takes what no call can give.
    """
    settings: Settings = getattr(function, MARK, Settings())
    name = str(settings.name or getattr(function, "__name__", type(function).__name__))
    where = f"tool {name!r} ({origin})"
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UserError(f"{where}: its name must be letters, digits and _, at most 64; name it with @tool(name=...)")
    description, explained = read_docstring(inspect.getdoc(function) or "")
    if not description:
        raise UserError(f"{where} has no docstring; its first sentences tell the model what the tool is for")
    parameters = list(inspect.signature(function).parameters.values())[1 if bound else 0 :]
    hints = _hints(function, where)
    fields: dict[str, Any] = {}
    for number, parameter in enumerate(parameters):
        _check(parameter, hints, where)
        default = ... if parameter.default is parameter.empty else parameter.default
        said = explained.get(parameter.name) or _annotated(hints[parameter.name])
        fields[f"p{number}"] = (hints[parameter.name], Field(default, alias=parameter.name, description=said))
    try:
        model = create_model("Arguments", __config__=_STRICT, **fields)
        schema = model.model_json_schema()
    except PydanticUserError as error:
        why = str(error).splitlines()[0].partition(". ")[0]  # an address of their documentation follows
        raise UserError(
            f"{where} has a parameter of a type that cannot be given as JSON ({why:.200}); use "
            "str, int, float, bool, list, dict, Literal, or None beside one of them"
        ) from error
    read = _Parameters(name, tuple(parameter.name for parameter in parameters), model).read
    return Tool(name, function, function_schema(name, description, plain(schema)), origin, read, settings.timeout)


def function_schema(name: str, description: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The shape that chat templates take, of the schema of the parameters."""
    return {"type": "function", "function": {"name": name, "description": description, "parameters": dict(parameters)}}


def plain(schema: Any) -> Any:
    """A schema as pydantic writes it without titles, and with ``nullable`` where a type may be null, as templates know it."""
    if isinstance(schema, list):
        return [plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        k: v for k, v in schema.items() if not (k == "title" and isinstance(v, str)) and k != "additionalProperties"
    }
    if isinstance(values := schema.get("additionalProperties"), dict):
        kept["additionalProperties"] = values
    if isinstance(kept.get("properties"), dict):  # names are the user's own: one may be called title
        kept["properties"] = {name: plain(value) for name, value in kept["properties"].items()}
    others = [part for part in kept.get("anyOf", ()) if part != {"type": "null"}]
    if len(others) == 1 and len(kept["anyOf"]) == 2:
        del kept["anyOf"]
        kept = {**others[0], "nullable": True, **{k: v for k, v in kept.items() if (k, v) != ("default", None)}}
        return plain(kept)
    order = ("type", "properties", "required")
    kept = {k: kept[k] for k in order if k in kept} | {k: v for k, v in kept.items() if k not in order}
    return {k: v if k == "properties" else plain(v) for k, v in kept.items()}


def read_docstring(doc: str) -> tuple[str, dict[str, str]]:
    """The description, and what its section of arguments says of each of them."""
    sections = list(_SECTION.finditer(doc))
    description = " ".join((doc[: sections[0].start()] if sections else doc).split())
    explained: dict[str, list[str]] = {}
    for number, section in enumerate(sections):
        if section[1] not in ("Args", "Arguments", "Parameters"):
            continue
        end = sections[number + 1].start() if number + 1 < len(sections) else len(doc)
        indent, current = None, None
        for line in doc[section.end() : end].splitlines():
            found = _ARGUMENT.match(line)
            if found and (indent is None or len(found[1]) <= indent):
                indent, current = len(found[1]), explained.setdefault(found[2], [])
                current.append(found[3].strip())
            elif current is not None and line.strip():
                current.append(line.strip())
    return description, {name: " ".join(parts).strip() for name, parts in explained.items()}


def _hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, SyntaxError) as error:
        raise UserError(f"{where}: its types cannot be read: {error}") from error


def _check(parameter: inspect.Parameter, hints: Mapping[str, Any], where: str) -> None:
    if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
        shown = str(parameter.replace(annotation=parameter.empty))
        raise UserError(f"{where} takes {shown}, which no call can give by its name; name each parameter")
    if parameter.name not in hints:
        raise UserError(
            f"{where}: its parameter {parameter.name!r} has no type, so the model cannot be told what to give; write "
            f"`{parameter.name}: str` or whatever it is"
        )


def _annotated(hint: Any) -> str | None:
    """``Annotated[int, "how many"]``: the words."""
    return next((part for part in getattr(hint, "__metadata__", ()) if isinstance(part, str)), None)
