"""From a task to the token ids that the engine continues: the chat template, its arguments, and what it leaves out."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from jinja2.exceptions import TemplateError

from grpo_kit.errors import UserError
from grpo_kit.types import Message, Prompt, Task

OPENS_THINKING = "<think>"
NO_ARGUMENTS: Mapping[str, Any] = MappingProxyType({})


def use_arguments(tokenizer: Any, arguments: Mapping[str, Any]) -> Any:
    """The same tokenizer, every rendering of which is given ``arguments`` (``enable_thinking`` and the like).

    They belong to a run and not to the model, so they are not saved with the tokenizer; but for the template of one that has
    none, without which what is trained could not be asked anything.

    Raises:
        UserError: there is no chat template.
    """
    if not tokenizer.chat_template:
        tokenizer.chat_template = arguments.get("chat_template")
    _check_template(tokenizer)
    if arguments:
        plain = functools.partial(type(tokenizer).apply_chat_template, tokenizer)
        tokenizer.apply_chat_template = functools.partial(plain, **arguments)
    return tokenizer


def render(task: Task, tokenizer: Any, arguments: Mapping[str, Any] = NO_ARGUMENTS) -> Prompt:
    """Apply the chat template once; the ids are used as they are from here to the loss. Raises UserError if it refuses.

    Args:
        arguments: for this rendering alone, beside those that the tokenizer gives every one (`use_arguments`).
    """
    settings = {"add_generation_prompt": True, "tokenize": True, "return_dict": False, **arguments}
    ids = apply_template(tokenizer, task.messages, task.id, **settings)
    return Prompt(task.id, tuple(ids))


def render_text(task: Task, tokenizer: Any, arguments: Mapping[str, Any] = NO_ARGUMENTS) -> str:
    """The prompt as the model reads it, for people. Raises UserError if the template refuses the conversation."""
    return str(
        apply_template(tokenizer, task.messages, task.id, add_generation_prompt=True, tokenize=False, **arguments)
    )


def _check_template(tokenizer: Any) -> None:
    if not tokenizer.chat_template:
        raise UserError(
            f"model.path: the tokenizer of {tokenizer.name_or_path or 'the model'} has no chat template. Start from the "
            "instruction-tuned variant of the model, add one to its tokenizer_config.json, or give it as "
            "chat.arguments.chat_template (docs/data.md)"
        )


def apply_template(tokenizer: Any, messages: Sequence[Message], name: str, **settings: Any) -> Any:
    if "chat_template" not in settings:
        _check_template(tokenizer)
    try:
        return tokenizer.apply_chat_template(list(messages), **settings)
    except (
        TemplateError,
        TypeError,
        KeyError,
        ValueError,
    ) as error:  # what a template runs into is its writer's choice
        roles = ", ".join(m["role"] for m in messages)
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"the chat template of {tokenizer.name_or_path or 'the model'} refuses the prompt {name} (messages: {roles}): "
            f"{reason:.300}. Leave out what it does not take (data.system_prompt, a tool message), or mend chat_template"
        ) from error


def left_out(task: Task, tokenizer: Any, arguments: Mapping[str, Any] = NO_ARGUMENTS) -> list[str]:
    """What the template drops of a prompt, found by rendering it again with a part changed.

    Raises:
        UserError: it drops the question itself.
    """
    whole, found = render_text(task, tokenizer, arguments), []
    for number, message in enumerate(task.messages):
        if not message["content"].strip():
            continue
        changed = [*task.messages]
        changed[number] = {**message, "content": message["content"] + " (and so on)"}
        if render_text(Task(task.id, tuple(changed), None), tokenizer, arguments) == whole:
            if message["role"] == "user" and message["content"] == task.prompt:
                raise UserError(
                    f"the chat template of {tokenizer.name_or_path or 'the model'} leaves out the question of the prompt "
                    f"{task.id}; mend chat_template in the model's folder"
                )
            found.append(f"the {message['role']} message of {task.id}")
    closed = {"add_generation_prompt": False, "tokenize": False, **arguments}
    unannounced = whole == str(apply_template(tokenizer, task.messages, task.id, **closed))
    if unannounced and not _answer_follows(task, tokenizer, closed, whole):
        found.append("the generation prompt, which tells a model that its turn begins")
    return found


def _answer_follows(task: Task, tokenizer: Any, settings: Mapping[str, Any], prompt: str) -> bool:
    """Whether an answer stands directly behind the prompt, so that nothing has to announce it (``[INST] .. [/INST]``)."""
    answered = [*task.messages, Message(role="assistant", content="An answer.")]
    try:
        text = str(tokenizer.apply_chat_template(answered, **settings))
    except TemplateError:
        return False
    return text.startswith(prompt) and text[len(prompt) :].lstrip().startswith("An answer.")


def opens_thinking(task: Task, tokenizer: Any) -> bool:
    """Whether the template has written the tag that reasoning begins with, so that responses start inside it."""
    return render_text(task, tokenizer).rstrip().endswith(OPENS_THINKING)


def check_stop_strings(stop: Sequence[str], tokenizer: Any, where: str = "rollout.stop") -> None:
    """Raises UserError for a stop string that no text can hold: special tokens are left out of what is searched.

    Args:
        where: the key that holds them, for the message.
    """
    special = {str(t) for i, t in tokenizer.added_tokens_decoder.items() if t.special} | set(
        tokenizer.all_special_tokens
    )
    never = [s for s in stop if any(token in s for token in special)]
    if never:
        raise UserError(
            f"{where}: {never[0]!r} holds a special token of the model, which the text of a response never shows; the "
            "tokens that end a turn end responses without it"
        )


def stop_token_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Every id that ends a response: that of the template, the tokenizer's end token, those of the generation config."""
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ids = configured if isinstance(configured, list) else [configured]
    ends = (*ids, tokenizer.eos_token_id, end_of_turn_id(tokenizer))
    return tuple(sorted({int(i) for i in ends if i is not None}))


def end_of_turn_id(tokenizer: Any) -> int | None:
    """The token that the chat template ends an answer with; the tokenizer's end token where it ends with none of its own.

    The two differ in base models whose template was made for a chat model: the tokenizer's end is that of a document.
    """
    if tokenizer.chat_template is None:
        return tokenizer.eos_token_id
    answer = "An answer."
    turns = [{"role": "user", "content": "A question?"}, {"role": "assistant", "content": answer}]
    try:
        text = str(tokenizer.apply_chat_template(turns, tokenize=False))
    except TemplateError:  # one that takes no answers ends them with nothing of its own
        return tokenizer.eos_token_id
    _, found, rest = text.rpartition(answer)
    ids = tokenizer.encode(rest.lstrip(), add_special_tokens=False) if found and rest.strip() else []
    special = {*tokenizer.all_special_ids, *(i for i, t in tokenizer.added_tokens_decoder.items() if t.special)}
    return ids[0] if ids and ids[0] in special else tokenizer.eos_token_id
