"""Rows of a file that is learned from: a prompt with its responses and their marks, in the shapes that such files have.

What a row says twice (a prompt that its responses repeat) has to agree, and what a response holds beside its text is refused:
what is passed over in silence is never learned, and nobody knows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from grpo_kit.config import DataConfig
from grpo_kit.errors import UserError
from grpo_kit.types import Message

from .conversations import as_conversation, framed, message_text, read_conversation

CONVERSATIONS = ("messages", "conversations", "conversation")
RESPONSES = ("response", "completion")
TEXT = "text"  # a column of whole texts, of which none is the prompt
LABELS = {"true": 1.0, "false": 0.0, "good": 1.0, "bad": 0.0, "yes": 1.0, "no": 0.0}


@dataclass(frozen=True)
class Lesson:
    """One prompt with its responses, the mark of each, and by how much the first is better where the row says so.

    Attributes:
        plain: the prompt of a row that is read as plain text, and no chat.
        chat: what the row itself gives the chat template: its tools.
    """

    prompt: tuple[Message, ...]
    texts: list[str]
    marks: list[float]
    margin: float | None
    plain: str | None = None
    chat: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shape:
    """Which columns of a file hold responses. ``pairs``: each row has a better and a worse one."""

    responses: tuple[str, ...]
    pairs: bool


def find_shape(columns: Collection[str], path: str | None, texts: bool = False) -> Shape:
    """The shape of a file by its columns. Raises UserError where they are those of none.

    Args:
        texts: whether a column of whole texts will do.
    """
    if {"chosen", "rejected"} <= set(columns):
        return Shape(("chosen", "rejected"), pairs=True)
    names = RESPONSES if "prompt" in columns else CONVERSATIONS
    found = [name for name in names if name in columns]
    if len(found) == 1:
        return Shape((found[0],), pairs=False)
    if found:
        raise UserError(f"examples.path: {path} has the columns {' and '.join(found)}, and one of them is the response")
    if texts and TEXT in columns:
        return Shape((TEXT,), pairs=False)
    whole = " Texts without a prompt are learned with examples.learned=all" if TEXT in columns else ""
    raise UserError(
        f"examples.path: {path} needs columns prompt, chosen and rejected, or prompt and response, or messages (a conversation "
        f"that ends with the response); it has: {', '.join(sorted(columns))}.{whole}"
    )


def read_lesson(row: Mapping[str, Any], shape: Shape, data: DataConfig, where: str, plain: bool = False) -> Lesson:
    """One row.

    Args:
        data: whose prompt template and system prompt frame the prompt.
        where: the file and the row, for errors.
        plain: a prompt of text is read as it stands, and not as what a user says.

    Raises:
        UserError: something is missing, is no text, or contradicts something else.
    """
    if plain and not any(as_conversation(row.get(name), where) for name in ("prompt", *shape.responses)):
        return _plain_lesson(row, shape, data, where)
    asked = _prompt(row.get("prompt"), where)
    before, texts = None, []
    for name in shape.responses:
        context, text = _response(row.get(name), name, where)
        if context:
            _check_same(asked, context, name, where)
            if before is not None and context != before:
                raise UserError(
                    f"{where}: chosen and rejected are conversations that part before their last message, so they answer "
                    "different prompts"
                )
            before = context
        texts.append(text)
    prompt = before or asked
    if prompt is None:
        raise UserError(
            f"{where}: there is no prompt: give a column prompt, or conversations that hold it before the response"
        )
    framed_prompt = framed(prompt, data.prompt_template, data.system_prompt or None, where)
    return Lesson(
        framed_prompt, texts, _marks(row, shape, where), _margin(row.get("margin"), where), chat=_chat(row, where)
    )


def _plain_lesson(row: Mapping[str, Any], shape: Shape, data: DataConfig, where: str) -> Lesson:
    """A row of texts, which no chat is put around: also one whose pair holds the prompt, as what both begin with."""
    if data.system_prompt:
        raise UserError(f"{where}: data.system_prompt is of a chat, and the row is plain text; remove it")
    texts = [_response(row.get(name), name, where)[1] for name in shape.responses]
    prompt = row.get("prompt")
    if prompt is None and shape.pairs:
        prompt = _shared_beginning(texts)
        texts = [text[len(prompt) :] for text in texts]
    elif prompt is None and shape.responses == (TEXT,):
        prompt = ""
    elif not isinstance(prompt, str):
        raise UserError(f"{where}: prompt and responses must be text; the prompt is {prompt!r:.60}")
    whole = data.prompt_template.replace("{prompt}", prompt) if prompt else prompt
    asked = (Message(role="user", content=whole),)
    return Lesson(asked, texts, _marks(row, shape, where), _margin(row.get("margin"), where), plain=whole)


def _shared_beginning(texts: list[str]) -> str:
    """What both texts of a pair begin with: a blank at its end belongs to the words behind, and each has some left, as in TRL."""
    shared = texts[0][: in_common(*texts)]
    return shared[:-1] if shared.endswith(" ") or shared in texts else shared


def in_common(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many letters, or token ids, two of them begin with in common."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _marks(row: Mapping[str, Any], shape: Shape, where: str) -> list[float]:
    return [1.0, 0.0] if shape.pairs else [_label(row.get("label", True), where)]


def _chat(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What a row gives the chat template by name: the tools of its conversation, and arguments of its own."""
    tools, arguments = row.get("tools"), row.get("chat_template_kwargs")
    if isinstance(tools, str):
        try:
            tools = json.loads(tools)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}: tools is text and no JSON: {tools!r:.60}") from error
    if not isinstance(tools or [], (list, tuple)) or not isinstance(arguments or {}, Mapping):
        raise UserError(f"{where}: tools is a list of their schemas, and chat_template_kwargs an object")
    return ({"tools": list(tools)} if tools else {}) | dict(arguments or {})


def _prompt(prompt: Any, where: str) -> list[Message] | None:
    if prompt is None:
        return None
    conversation = as_conversation(prompt, where)
    if conversation is not None:
        return read_conversation(conversation, where)
    if not isinstance(prompt, str) or not prompt.strip():
        raise UserError(f"{where}: prompt and responses must be text, and not empty; the prompt is {prompt!r:.60}")
    return [Message(role="user", content=prompt)]


def _check_same(asked: list[Message] | None, context: list[Message], name: str, where: str) -> None:
    """A prompt may be given alone as well; as text it is the last message of the user."""
    if asked is not None and context[-len(asked) :] != asked:
        raise UserError(
            f"{where}: {name} is a conversation whose beginning is not the prompt of the row: {asked[-1]['content']!r:.60} in "
            f"prompt, {context[-1]['content']!r:.60} in {name}"
        )


def _response(response: Any, name: str, where: str) -> tuple[list[Message], str]:
    """What comes before a response in its own column, and its text."""
    conversation = as_conversation(response, where)
    context: list[Message] = []
    if conversation is not None:
        last = conversation[-1] if conversation else None
        if not isinstance(last, Mapping) or last.get("role") != "assistant":
            hint = (
                " (from and value are called role and content here)"
                if isinstance(last, Mapping) and "from" in last
                else ""
            )
            raise UserError(f"{where}: {name} is a conversation that does not end with the assistant's message{hint}")
        more = sorted(k for k, v in last.items() if v is not None and k not in ("role", "content"))
        if more:
            raise UserError(
                f"{where}: the response in {name} holds {', '.join(more)} beside its text, which is not learned"
            )
        if len(conversation) > 1:
            context = read_conversation(conversation[:-1], f"{where}, {name}")
        response = message_text(last.get("content"), f"{where}: {name}")
    if not isinstance(response, str) or not response:
        raise UserError(f"{where}: prompt and responses must be text, and not empty; {name} is {response!r:.60}")
    return context, response


def _label(label: Any, where: str) -> float:
    mark = LABELS.get(label.strip().lower()) if isinstance(label, str) else None
    mark = _number(label) if mark is None else mark
    if mark is None:
        raise UserError(
            f"{where}: the label is {label!r:.40}; it says whether the response is good: true, false, 1 or 0"
        )
    return mark


def _margin(margin: Any, where: str) -> float | None:
    if margin is None or margin == "":
        return None
    found = _number(margin)
    if found is None:
        raise UserError(f"{where}: the margin is {margin!r:.40}, and not a number")
    return found


def _number(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
