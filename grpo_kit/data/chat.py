"""From a task to the token ids that the engine continues."""

from __future__ import annotations

from typing import Any

from grpo_kit.types import Prompt, Task


def render(task: Task, tokenizer: Any) -> Prompt:
    """Apply the chat template once; the ids are used as they are from here to the loss."""
    ids = tokenizer.apply_chat_template(
        list(task.messages), add_generation_prompt=True, tokenize=True, return_dict=False
    )
    return Prompt(task.id, tuple(ids))


def render_text(task: Task, tokenizer: Any) -> str:
    """The prompt as the model reads it, for people."""
    return str(tokenizer.apply_chat_template(list(task.messages), add_generation_prompt=True, tokenize=False))


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
    text = str(tokenizer.apply_chat_template(turns, tokenize=False))
    _, found, rest = text.rpartition(answer)
    ids = tokenizer.encode(rest.lstrip(), add_special_tokens=False) if found and rest.strip() else []
    special = {*tokenizer.all_special_ids, *(i for i, t in tokenizer.added_tokens_decoder.items() if t.special)}
    return ids[0] if ids and ids[0] in special else tokenizer.eos_token_id
