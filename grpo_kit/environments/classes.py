"""Episodes of what users write: objects with ``begin`` and ``reply``, objects with tools, and plain functions."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pydantic import BaseModel

from grpo_kit.errors import UserError
from grpo_kit.runtime.suggest import closest, did_you_mean
from grpo_kit.types import Message, Task, plain_number

from .base import Answer, Done, Say, ToolError
from .formats import Call, Fault, Format, read
from .tools import Tool

ROLES = ("user", "tool")
LONGEST_RESULT = 16_384  # characters of a tool's result; the middle of a longer one is left out


@dataclass(frozen=True)
class Part:
    """What one class or one function brings into an episode.

    Attributes:
        make: makes the object that lives for an episode; None for a function.
        begin, reply: names of what these methods are given; None where the class has none.
        tools: bound to the object where there is one.
        options: keywords of the class, with whether each has a default.
        turns: of an episode at most; None where it does not say.
        cases: gives the environment's scripted episodes.
        source: the class or the function itself.
    """

    name: str
    origin: str
    version: str
    timeout: float
    make: Callable[..., Any] | None = None
    begin: tuple[str, ...] | None = None
    reply: tuple[str, ...] | None = None
    tools: tuple[Tool, ...] = ()
    options: Mapping[str, bool] = field(default_factory=dict)
    turns: int | None = None
    cases: Callable[[], Sequence[Any]] | None = None
    doc: str = ""
    source: Any = None

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raises UserError for an option that the class does not take, one that it needs, or what its ``check`` refuses."""
        if unknown := [name for name in options if name not in self.options and "**" not in self.options]:
            has = ", ".join(self.options) or "none"
            raise UserError(
                f"environment {self.name!r} ({self.origin}) has no option {unknown[0]!r}; it has: {has}."
                f"{did_you_mean(unknown[0], self.options)}"
            )
        if missing := [name for name, optional in self.options.items() if not optional and name not in options]:
            raise UserError(
                f"environment {self.name!r} ({self.origin}) needs the option {missing[0]!r}: environment.options.{missing[0]}"
            )
        if isinstance(inspect.getattr_static(self.source, "check", None), (staticmethod, classmethod)):
            self.source.check(**options)


class PartsEpisode:
    """An episode in which the turns' calls are answered by tools, and turns without a call by a part's ``reply``.

    Where no part has a ``reply``, a turn without a call is the answer, and the episode is over.
    """

    def __init__(
        self, parts: Sequence[Part], task: Task, seed: int, options: Mapping[str, Any], format: Format
    ) -> None:
        self._task, self._seed, self._format = task, seed, format
        self._parts = parts
        self._stack = ExitStack()
        self._runner: asyncio.Runner | None = None
        self._objects: list[Any] = []
        try:
            for part in parts:
                made = part.make(**options) if part.make is not None else None
                self._objects.append(made)
                close = getattr(made, "close", None)
                if callable(close):
                    self._stack.callback(self._finish, close)
        except BaseException:
            self.close()
            raise
        pairs = zip(parts, self._objects, strict=True)
        self._tools = {tool.name: (tool, made) for part, made in pairs for tool in part.tools}

    def begin(self) -> Sequence[Message]:
        offered = {"task": self._task, "seed": self._seed}
        messages: list[Message] = []
        for part, made in zip(self._parts, self._objects, strict=True):
            if part.begin is not None:
                draw = random.Random(self._seed)
                said = self._run(made.begin(**_chosen(part.begin, offered | {"random": draw})))
                where = f"{part.name}.begin ({part.origin})"
                messages += [] if said is None else as_messages(said, where, may_pay=False)
        return messages

    def reply(self, text: str, raw: str) -> Answer:
        if self._tools and (calls := read(raw, self._format)):
            return self._answers(calls)
        for part, made in zip(self._parts, self._objects, strict=True):
            if part.reply is not None:
                offered = {"response": text, "raw": raw}
                try:
                    result = self._run(made.reply(**_chosen(part.reply, offered)))
                except ToolError as error:
                    said = _message("user", shortened(str(error)))
                    return Answer((said,), invalid=1)
                return as_answer(result, f"{part.name}.reply ({part.origin})")
        return Answer(done=True)

    def close(self) -> None:
        try:
            self._stack.close()
        finally:
            if self._runner is not None:
                self._runner.close()
                self._runner = None

    def _finish(self, close: Callable[[], Any]) -> None:
        self._run(close())

    def _run(self, result: Any) -> Any:
        """What ``async def`` gives, waited for: in one loop for the whole episode, in which its connections live."""
        if not inspect.isawaitable(result):
            return result
        self._runner = self._runner or asyncio.Runner()
        return self._runner.run(_awaited(result))

    def _answers(self, calls: Sequence[Call | Fault]) -> Answer:
        messages: list[Message] = []
        reward, invalid, failed = 0.0, 0, 0
        for call in calls:
            try:
                tool, made, arguments = self._understood(call)
            except ToolError as error:
                invalid += 1
                messages.append(_message("tool", shortened(str(error))))
                continue
            given = () if made is None else (made,)
            try:
                result = self._run(tool.function(*given, **arguments))
            except ToolError as error:
                failed += 1
                messages.append(_message("tool", shortened(str(error)) or "the call failed"))
                continue
            if isinstance(result, Done):
                total = _number(result.reward, f"{tool.name} ({tool.origin})")
                return Answer((), True, total, reward, len(calls), invalid, failed)
            if isinstance(result, Say):
                reward += _number(result.reward, f"{tool.name} ({tool.origin})") or 0.0
                result = result.said
            messages.append(_message("tool", shortened(as_text(result))))
        return Answer(tuple(messages), False, None, reward, len(calls), invalid, failed)

    def _understood(self, call: Call | Fault) -> tuple[Tool, Any, dict[str, Any]]:
        if isinstance(call, Fault):
            raise ToolError(call.text)
        if call.name not in self._tools:
            name = call.name[:64]
            near = closest(name, self._tools)
            meant = f" Did you mean {near}?" if near else ""
            raise ToolError(f"There is no tool {name!r}; there are: {', '.join(self._tools)}.{meant}")
        tool, made = self._tools[call.name]
        return tool, made, tool.read(call.arguments)


async def _awaited(result: Any) -> Any:
    return await result


def _chosen(names: Sequence[str], offered: Mapping[str, Any]) -> dict[str, Any]:
    return {name: offered[name] for name in names}


def as_answer(result: Any, where: str) -> Answer:
    """What ``reply`` returned: text or messages, `Say` with a reward for the turn, or `Done`.

    Raises:
        TypeError: it is something else, or a reward is no finite number.
    """
    if isinstance(result, Done):
        return Answer(done=True, reward=_number(result.reward, where))
    reward = 0.0
    if isinstance(result, Say):
        reward, result = _number(result.reward, where) or 0.0, result.said
    messages = as_messages(result, where)
    if not messages:
        raise TypeError(f"{where} returned no message; return text, messages, Say(...) or Done(...)")
    return Answer(tuple(messages), turn_reward=reward)


def as_messages(said: Any, where: str, may_pay: bool = True) -> list[Message]:
    """Text as a message of the user, a message as it is, or a list of both. Raises TypeError for anything else.

    Args:
        may_pay: whether there could have been `Say` or `Done` as well; for the message.
    """
    others = "a list of these, Say(...) or Done(...)" if may_pay else "or a list of these"
    listed = said if isinstance(said, (list, tuple)) else [said]
    messages = []
    for one in listed:
        if isinstance(one, str):
            messages.append(_message("user", one))
            continue
        if not isinstance(one, Mapping) or not isinstance(one.get("content"), str) or one.get("role") not in ROLES:
            raise TypeError(
                f"{where} returned {one!r:.120}; return text, a message of {' or '.join(ROLES)} with text as its content, "
                f"{others}"
            )
        messages.append(_message(one["role"], one["content"]))
    return messages


def as_text(result: Any) -> str:
    """A tool's result as the policy reads it: text as it is, nothing said so, other values as JSON."""
    if isinstance(result, str):
        return result
    if result is None:
        return "(no result)"
    try:
        return json.dumps(plain_number(result), ensure_ascii=False, default=_plain)
    except (TypeError, ValueError):
        return str(result)


def _plain(value: Any) -> Any:
    """What JSON knows no form of. Sets are put in order, since theirs is another one in every process."""
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=lambda member: json.dumps(member, default=_plain))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Enum):
        return value.value
    number = plain_number(value)
    return str(value) if number is value else number


def shortened(text: str, longest: int = LONGEST_RESULT) -> str:
    """A text whose middle is left out where it is too long, and which says so."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n... ({len(text) - 2 * half} characters left out) ...\n{text[-half:]}"


def _message(role: str, content: str) -> Message:
    # Half of a surrogate pair is no text: no tokenizer and no file takes it.
    return Message(role=role, content=content.encode("utf-8", "replace").decode("utf-8"))


def _number(reward: Any, where: str) -> float | None:
    if reward is None:
        return None
    reward = plain_number(reward)
    if not isinstance(reward, (bool, int, float)) or not math.isfinite(reward):
        raise TypeError(f"{where} paid {reward!r:.80}; a reward is a finite number")
    return float(reward)
