"""Calls of tools in what a policy writes: the ways that chat templates teach, read without trust and in linear time.

| format | a call |
|---|---|
| hermes | ``<tool_call>{"name": .., "arguments": {..}}</tool_call>`` (Hermes, Qwen2.5, Qwen3, SmolLM3) |
| llama | ``{"name": .., "parameters": {..}}`` as the whole turn, ``<|python_tag|>`` before it or not (Llama 3.1 to 3.3) |
| mistral | ``[TOOL_CALLS][{"name": .., "arguments": {..}}]``, or ``[TOOL_CALLS]name[ARGS]{..}`` |
| json | ``{"name": .., "arguments": {..}}`` as the whole turn or in a fenced block |

A turn that calls nothing is an answer. One that means to call and cannot be read is a `Fault`, whose text is for the policy.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from grpo_kit.errors import UserError

Format = Literal["hermes", "llama", "mistral", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)
# Of one turn; those behind them are not read, so that reading costs a multiple of the text's length however it is made.
MOST_CALLS = 16
END_OF_THINKING = "</think>"
_TAG, _END_TAG = "<tool_call>", "</tool_call>"
_PYTHON_TAG = "<|python_tag|>"
_TOOL_CALLS = "[TOOL_CALLS]"
_FENCE = re.compile(r"```(?:json|tool_call|tool_code)?[ \t]*\r?\n", re.IGNORECASE)
_MARKS: dict[Format, re.Pattern[str]] = {
    "hermes": re.compile(re.escape(_TAG)),
    "llama": re.compile(re.escape(_PYTHON_TAG)),
    "mistral": re.compile(re.escape(_TOOL_CALLS)),
    "json": _FENCE,
}
_BARE = re.compile(r"[\s;,]*(?=[\[{])")
_BLANK = re.compile(r"\s*")
_NAMED = re.compile(r"\s*([A-Za-z_][\w.-]{0,63})(?:\[CALL_ID\][A-Za-z0-9]{0,64})?(?:\[ARGS\])?\s*(?=\{)")
_MEANT = re.compile(r'"name"\s*:')
_ARGUMENTS = ("arguments", "parameters")


def _finite(number: str) -> float:
    """Raises ValueError for what is no number: Python reads ``NaN``, ``Infinity`` and ``1e999``, and no tool expects them."""
    if not math.isfinite(value := float(number)):
        raise ValueError(f"{number} is not finite")
    return value


# Line breaks in a text, as models write programs into arguments, are no reason to refuse it.
_DECODER = json.JSONDecoder(strict=False, parse_float=_finite, parse_constant=_finite)


@dataclass(frozen=True)
class Call:
    """A tool that is to be called. Scripted policies write calls so, in whatever format is asked for."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """A call that cannot be read; the text says why, and how it is written."""

    text: str


Read = Sequence["Call | Fault"]


def format_of_template(template: str | None) -> Format:
    """The format that a chat template writes the calls of a conversation in; ``json`` where it writes none."""
    template = template or ""
    if _TOOL_CALLS in template:
        return "mistral"
    if _TAG in template:
        return "hermes"
    if _PYTHON_TAG in template or ("tool_call" in template and '"parameters"' in template):
        return "llama"
    return "json"


def takes_tools(template: str | None) -> bool:
    """Whether a chat template has a place for tools; where not, `instructions` go into the system prompt."""
    return re.search(r"\btools\b", template or "") is not None


def instructions(tools: Sequence[Mapping[str, Any]], format: Format) -> str:
    """What a model is told of its tools by hand, where its chat template does not tell it."""
    schemas = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    return f"You can call these tools:\n{schemas}\nTo call one, write {example(format)}. Its result comes back to you."


def example(format: Format) -> str:
    """How a call is written, with words where values stand."""
    return {
        "hermes": '<tool_call>{"name": "NAME", "arguments": {"ARGUMENT": VALUE}}</tool_call>',
        "llama": '{"name": "NAME", "parameters": {"ARGUMENT": VALUE}} and nothing else',
        "mistral": '[TOOL_CALLS][{"name": "NAME", "arguments": {"ARGUMENT": VALUE}}]',
        "json": 'a ```json block that holds {"name": "NAME", "arguments": {"ARGUMENT": VALUE}}',
    }[format]


def write(calls: Sequence[Call], format: Format) -> str:
    """Calls as a policy writes them: for scripted policies, demonstrations and examples."""
    key = "parameters" if format == "llama" else "arguments"
    written = [
        json.dumps({"name": call.name, key: dict(call.arguments)}, ensure_ascii=False, default=str) for call in calls
    ]
    if format == "hermes":
        return "\n".join(f"{_TAG}\n{one}\n{_END_TAG}" for one in written)
    if format == "mistral":
        return f"{_TOOL_CALLS}[{', '.join(written)}]"
    if format == "llama":
        return "; ".join(written)
    return "\n".join(f"```json\n{one}\n```" for one in written)


def read(raw: str, format: Format) -> list[Call | Fault]:
    """The calls of a turn, in order; empty for a turn that is an answer.

    Args:
        raw: the turn with special tokens, some of which are parts of calls. What stands before the end of its reasoning
            (the last ``</think>`` outside of a call's arguments) calls nothing.
    """
    if format not in READERS:
        raise UserError(f"environment.format: there is no format {format!r}; there are {', '.join(FORMATS)}")
    found: list[Call | Fault] = []
    for one in READERS[format](_thought_through(raw, format)):
        if len(found) == MOST_CALLS:
            found.append(Fault(f"A turn may hold {MOST_CALLS} calls; those behind them were not read."))
            break
        found.append(one)
    return found


def _thought_through(raw: str, format: Format) -> str:
    """What stands behind the reasoning of a turn. A program or a question in the arguments of a call may hold its end as text."""
    begin = scan = unread = 0
    bare, at = True, raw.find(END_OF_THINKING)
    while at >= 0 and unread <= MOST_CALLS:  # to find out that it is no JSON costs as much as all that stands before it
        while scan < at and unread <= MOST_CALLS and (opening := _opening(raw, scan, at, format, bare)) is not None:
            _, end = _decoded(raw, opening)
            bare, scan, unread = end is not None, end or opening, unread + (end is None)
        if scan <= at:
            bare, begin, scan = True, at + len(END_OF_THINKING), at + len(END_OF_THINKING)
        at = raw.find(END_OF_THINKING, scan)
    return raw[begin:] if at < 0 else raw.rpartition(END_OF_THINKING)[2]


def _opening(raw: str, start: int, stop: int, format: Format, bare: bool) -> int | None:
    """Where the next value that may be a call begins. bare: one that nothing announces may stand at ``start``."""
    if bare and format in ("llama", "json") and (found := _BARE.match(raw, start, stop)):
        return found.end()
    marked = _MARKS[format].search(raw, start, stop)
    if marked is None:
        return None
    named = _NAMED.match(raw, marked.end()) if format == "mistral" else None
    return named.end() if named else marked.end()


def _hermes(text: str) -> Iterator[Call | Fault]:
    at = text.find(_TAG)
    while at >= 0:
        start = at + len(_TAG)
        value, end = _decoded(text, start)
        if end is not None:  # a program in the arguments may hold the closing tag itself
            end = _BLANK.match(text, end).end()  # type: ignore[union-attr]
        close = end if end is not None and text.startswith(_END_TAG, end) else text.find(_END_TAG, start)
        if close < 0:
            yield Fault(f"The call is not closed: {_END_TAG} is missing. Write {example('hermes')}.")
            return
        yield _call(value, "hermes") if close == end else _unreadable("hermes")
        at = text.find(_TAG, close)


def _llama(text: str) -> Iterator[Call | Fault]:
    before, tag, behind = text.partition(_PYTHON_TAG)
    if tag:
        yield from _values(behind, "llama", explicit=True)
    elif before.lstrip().startswith("{"):
        yield from _values(before, "llama", explicit=False)


def _mistral(text: str) -> Iterator[Call | Fault]:
    at = text.find(_TOOL_CALLS)
    while at >= 0:
        start = at + len(_TOOL_CALLS)
        named = _NAMED.match(text, start)
        value, end = _decoded(text, named.end() if named else start)
        if end is None:
            yield _unreadable("mistral")
        elif named:
            yield _call({"name": named[1], "arguments": value}, "mistral")
        else:
            for one in value if isinstance(value, list) else [value]:
                yield _call(one, "mistral")
            if value == []:
                yield Fault(f"The list of calls is empty. Write {example('mistral')}.")
        at = text.find(_TOOL_CALLS, start if end is None else end)


def _json(text: str) -> Iterator[Call | Fault]:
    stripped = text.strip()
    if stripped[:1] in ("{", "["):
        yield from _values(stripped, "json", explicit=False)
        return
    at, looked = _FENCE.search(text), 0
    while at is not None and looked <= MOST_CALLS:  # blocks that hold other things cost time as well
        looked += 1
        close = text.find("```", at.end())
        block = text[at.end() : close] if close >= 0 else text[at.end() :]
        if block.lstrip()[:1] in ("{", "["):
            yield from _values(block, "json", explicit=False)
        if close < 0:
            return
        at = _FENCE.search(text, close + 3)


def _values(text: str, format: Format, explicit: bool) -> Iterator[Call | Fault]:
    """Objects one behind the other, with blanks, commas or semicolons between them, or a list of them.

    Args:
        explicit: calls were announced; otherwise an object that is no call is an answer that happens to be JSON.
    """
    at, first = 0, True
    while True:
        at = _BLANK.match(text, at).end()  # type: ignore[union-attr]
        if not first and at < len(text) and text[at] in ";,":
            at = _BLANK.match(text, at + 1).end()  # type: ignore[union-attr]
        if at >= len(text) and not (first and explicit):
            return
        value, end = _decoded(text, at)
        if end is None:
            if explicit or not first or _meant(text):
                yield _unreadable(format)
            return
        for one in value if isinstance(value, list) else [value]:
            if not explicit and not _is_call(one):
                return
            yield _call(one, format)
        at, first = end, False


def _is_call(value: Any) -> bool:
    """Whether an object without any sign around it is meant as a call: it has arguments, or a name and nothing else."""
    return isinstance(value, dict) and (any(key in value for key in _ARGUMENTS) or set(value) == {"name"})


def _meant(text: str) -> bool:
    return _MEANT.search(text) is not None and any(f'"{key}"' in text for key in _ARGUMENTS)


def _decoded(text: str, at: int) -> tuple[Any, int | None]:
    """The JSON value that begins at ``at``, and where it ends; None for none."""
    at = _BLANK.match(text, at).end()  # type: ignore[union-attr]
    try:
        return _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):  # a number of thousands of digits, brackets in brackets
        return None, None


def _unreadable(format: Format) -> Fault:
    return Fault(f"The call is not valid JSON. Write {example(format)}.")


def _call(value: Any, format: Format) -> Call | Fault:
    if not isinstance(value, dict):
        return Fault(f"A call is a JSON object. Write {example(format)}.")
    inner = value.get("function")
    if isinstance(inner, dict):  # as an OpenAI client writes it
        value = inner
    name = value.get("name")
    if not isinstance(name, str) or not name.strip():
        return Fault(f"The call has no name. Write {example(format)}.")
    arguments: Any = next((value[key] for key in _ARGUMENTS if key in value), {})
    if isinstance(arguments, str):
        inner, end = _decoded(arguments, 0)
        arguments = inner if end is not None and not arguments[end:].strip() else arguments
    if not isinstance(arguments, dict):
        return Fault(f"The arguments of a call are a JSON object. Write {example(format)}.")
    return Call(name.strip(), arguments)


READERS = {"hermes": _hermes, "llama": _llama, "mistral": _mistral, "json": _json}
