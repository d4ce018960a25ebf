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
    """Every id that ends a response: the tokenizer's end token and those of the model's generation config."""
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ids = configured if isinstance(configured, list) else [configured]
    return tuple(sorted({int(i) for i in (*ids, tokenizer.eos_token_id) if i is not None}))
