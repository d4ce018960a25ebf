"""A prompt that is a conversation already: read whole, or refused by row and field.

What a template is given must be what the row says: a part of a message that is passed over in silence is trained on as if it
had never been asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from grpo_kit.errors import UserError
from grpo_kit.types import Message

ROLES = ("system", "developer", "user", "assistant", "tool")
OTHER_NAMES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant", "function": "tool"}
INSTRUCTIONS = ("system", "developer")
PLAIN = "{prompt}"  # the template that adds nothing
LOOKS_LIKE_ONE = re.compile(r"\s*\[\s*\{")
PYTHONS = re.compile(r"\s*\[\s*\{\s*'(role|content|from|value)'")


def as_conversation(prompt: Any, where: str = "data") -> list[Any] | None:
    """The messages of a prompt that is a list of them, or the JSON text of one; None for plain text.

    Args:
        where: the row, for errors.

    Raises:
        UserError: it is the text of a conversation in another notation than JSON.
    """
    if isinstance(prompt, str) and LOOKS_LIKE_ONE.match(prompt):
        try:
            prompt = json.loads(prompt)
        except (ValueError, RecursionError):
            if PYTHONS.match(prompt):
                raise UserError(
                    f"{where}: {prompt!r:.60} is a conversation as Python prints it; write it as JSON (json.dumps), or as a list"
                ) from None
            return None
        is_one = all(isinstance(m, dict) and m.keys() & {"role", "from"} for m in prompt)
        return list(prompt) if is_one else None
    return list(prompt) if isinstance(prompt, (list, tuple)) else None


def read_conversation(messages: list[Any], where: str) -> list[Message]:
    """The messages with text as content, and every other key (tool calls, names) as it is.

    Args:
        where: the row, for errors.

    Raises:
        UserError: a message is not of a kind that can be rendered, or the conversation leaves nothing to answer.
    """
    read = [_message(m, f"{where}: message {number}") for number, m in enumerate(messages)]
    asked = [m["content"] for m in read if m["role"] == "user"]
    if not asked or not asked[-1].strip():
        what = "an empty" if asked else "no"
        raise UserError(f"{where}: the conversation has {what} user message, so nothing is asked")
    if read[-1]["role"] == "assistant":
        raise UserError(
            f"{where}: the conversation ends with the assistant's message, so the answer would stand in the prompt; leave the "
            "last message out (a column that holds it can be the answer)"
        )
    if read[-1]["role"] in INSTRUCTIONS:
        raise UserError(
            f"{where}: the conversation ends with a {read[-1]['role']} message; the user's or a tool's comes last"
        )
    return read


def _message(message: Any, where: str) -> Message:
    if not isinstance(message, Mapping) or "role" not in message:
        hint = (
            " (from and value are called role and content here)"
            if isinstance(message, Mapping) and "from" in message
            else ""
        )
        raise UserError(f"{where}: a message is an object with role and content, found {message!r:.80}{hint}")
    role = message["role"]
    if role not in ROLES:
        hint = f" Did you mean {OTHER_NAMES[role]}?" if role in OTHER_NAMES else ""
        raise UserError(f"{where}: role {role!r:.40} is none of {', '.join(ROLES)}.{hint}")
    content = message_text(message.get("content"), where)
    if content is None and not (role == "assistant" and message.get("tool_calls")):
        raise UserError(f"{where}: the {role} message has no content")
    # Arrow pads what objects lack with None, which templates take for something that is there.
    kept = {k: v for k, v in message.items() if v is not None and k != "content"}
    return cast(Message, kept | {"content": content or ""})


def message_text(content: Any, where: str) -> str | None:
    """The text of a message, its parts joined; None where it has none. Raises UserError where it is more than text."""
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, (list, tuple)):
        raise UserError(f"{where}: content is text or a list of parts, found {content!r:.60}")
    texts = []
    for part in content:
        kind = part.get("type", "text") if isinstance(part, Mapping) else "text"
        text = part.get("text") if isinstance(part, Mapping) else part
        if kind not in ("text", "input_text") or not isinstance(text, str):
            raise UserError(
                f"{where}: a part of type {kind!r:.40} is no text; models that see or hear are not trained here"
            )
        texts.append(text)
    return "".join(texts)


def framed(messages: list[Message], template: str, system: str | None, where: str) -> tuple[Message, ...]:
    """A conversation with a recipe's prompt template around its last user message and its system prompt in front.

    Raises:
        UserError: both the row and the recipe have a system prompt.
    """
    last = max(i for i, m in enumerate(messages) if m["role"] == "user")
    asked = cast(Message, {**messages[last], "content": template.replace("{prompt}", messages[last]["content"])})
    whole = [*messages[:last], asked, *messages[last + 1 :]]
    if system is None:
        return tuple(whole)
    if any(m["role"] in INSTRUCTIONS for m in messages):
        raise UserError(
            f"{where}: the conversation has a system message and the recipe has system_prompt; remove one of them"
        )
    return (Message(role="system", content=system), *whole)


def unframed(prompt: str, template: str) -> str:
    """The question that a prompt template was put around; the prompt itself where it does not fit."""
    before, _, after = template.partition(PLAIN)
    fits = prompt.startswith(before) and prompt.endswith(after) and len(prompt) >= len(before) + len(after)
    return prompt[len(before) : len(prompt) - len(after)] if fits else prompt
