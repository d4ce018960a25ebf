"""Chat templates that behave as those of well-known models do, and a tokenizer that has their tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grpo_kit.policy.scratch import build_tokenizer

FOLDER = Path(__file__).parent / "templates"
# Tokens that their tokenizers know: those that end and open turns, and words that are one token but no special one.
SPECIAL = {
    "chatml": ["<|im_start|>", "<|im_end|>"],
    "smollm2": ["<|im_start|>", "<|im_end|>"],
    "qwen2.5": ["<|im_start|>", "<|im_end|>"],
    "qwen3": ["<|im_start|>", "<|im_end|>"],
    "llama3": ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>"],
    "mistral": [
        "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]",
        "[TOOL_CALLS]",
    ],
    "gemma": ["<bos>", "<start_of_turn>", "<end_of_turn>"],
}  # fmt: skip
WORDS = {
    "qwen2.5": ["<tool_call>", "</tool_call>"],
    "qwen3": ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"],
}
ENDS = {"llama3": "<|eot_id|>", "mistral": "</s>", "gemma": "<end_of_turn>"}
BEGINS = {"llama3": "<|begin_of_text|>", "mistral": "<s>", "gemma": "<bos>"}
FAMILIES = tuple(SPECIAL)
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}},
    },
}


def chat_tokenizer(family: str) -> Any:
    """Bytes and the family's own tokens, its template, and the token that ends its turns."""
    made = build_tokenizer()
    made.add_special_tokens({"additional_special_tokens": SPECIAL[family]})
    made.add_tokens(WORDS.get(family, []))
    made.chat_template = (FOLDER / f"{family}.jinja").read_text(encoding="utf-8").rstrip("\n")
    if family in BEGINS:
        made.bos_token = BEGINS[family]
    if family == "mistral":
        made.eos_token = "</s>"
    return made


def end_of_turn(family: str) -> str:
    return ENDS.get(family, "<|im_end|>")
