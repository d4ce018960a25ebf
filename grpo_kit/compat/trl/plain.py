"""Prompts of plain text: TRL reads them as they are, so no chat template stands around them here either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

VERBATIM = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def verbatim(tokenizer: Any) -> str:
    """The template that renders a text to what the tokenizer makes of it: behind its first token, where it puts one."""
    ids, begin = tokenizer("a")["input_ids"], tokenizer.bos_token_id
    return ("{{ bos_token }}" if begin is not None and ids[:1] == [begin] else "") + VERBATIM


def verbatim_of(model: Any) -> tuple[str, str]:
    """The template for a model that is named, and what is to be said of it; nothing is downloaded."""
    if not isinstance(model, str) or not Path(model).is_dir():
        said = (
            "of a tokenizer that begins every text with a token of its own, as Llama's, put {{ bos_token }} before it"
        )
        return VERBATIM, said
    from transformers import AutoTokenizer

    try:
        return verbatim(AutoTokenizer.from_pretrained(model, local_files_only=True)), "no chat template, as in TRL"
    except (OSError, ValueError, KeyError) as error:
        return VERBATIM, f"its tokenizer could not be read: {str(error).splitlines()[0]:.100}"
