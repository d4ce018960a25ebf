"""reward_model: the score of a sequence-classification checkpoint, batched, on the trainer's device."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from .base import VerifierError, verifier
from .score import Score


@verifier(name="reward_model", timeout=600.0, batch=True, in_process=True)
def reward_model(
    response: list[str],
    messages: list[list[dict[str, str]]],
    model: str = "",
    device: str = "auto",
    batch_size: int = 16,
    max_tokens: int = 4096,
    label: int = 0,
) -> list[Score]:
    """The logit that a reward model (a Hugging Face sequence-classification checkpoint) gives to each conversation.

    It runs in the trainer's process, because that is where the device is. A conversation longer than ``max_tokens``
    abstains: judging a part of it would be judging something else.

    Args:
        model: folder or hub name of the checkpoint.
        device: ``auto`` takes a GPU when there is one.
        label: which logit is the reward, for checkpoints with several.
    """
    import torch

    if not model:
        raise VerifierError("reward_model needs the option 'model': a folder or hub name of a checkpoint")
    tokenizer, network = _load(model, device)
    if not 0 <= label < network.config.num_labels:
        raise VerifierError(f"reward_model: {model} has {network.config.num_labels} logits, there is no label {label}")
    texts = [_render(tokenizer, list(before), text) for before, text in zip(messages, response, strict=True)]
    # the template has written the special tokens already
    special = tokenizer.chat_template is None
    ids = [tokenizer(text, add_special_tokens=special)["input_ids"] for text in texts]
    scores = [Score.abstain(f"{len(tokens)} tokens, the reward model is given at most {max_tokens}") for tokens in ids]
    # Neighbours of like length share a batch, so that little is padded.
    order = sorted((i for i, tokens in enumerate(ids) if len(tokens) <= max_tokens), key=lambda i: len(ids[i]))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        batch = tokenizer.pad({"input_ids": [ids[i] for i in rows]}, padding_side="right", return_tensors="pt")
        with torch.inference_mode():
            logits = network(**{name: value.to(network.device) for name, value in batch.items()}).logits[:, label]
        for row, value in zip(rows, logits.float().tolist(), strict=True):
            scores[row] = Score(value, metrics={"tokens": float(len(ids[row]))})
    return scores


def _render(tokenizer: Any, messages: list[dict[str, str]], response: str) -> str:
    if not isinstance(response, str):
        raise TypeError(f"reward_model: a response must be text, got {type(response).__name__}")
    response = response.encode("utf-8", "replace").decode()  # tokenizers refuse lone surrogates
    if tokenizer.chat_template is not None:
        turns = [*messages, {"role": "assistant", "content": response}]
        return tokenizer.apply_chat_template(turns, tokenize=False)
    return "\n".join([*(message["content"] for message in messages), response])


@lru_cache(maxsize=2)
def _load(model: str, device: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(model)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    network = AutoModelForSequenceClassification.from_pretrained(
        model, dtype=torch.bfloat16 if device.startswith("cuda") else torch.float32
    )
    network.config.pad_token_id = tokenizer.pad_token_id  # the pooled token is found by it
    return tokenizer, network.to(device).eval()
