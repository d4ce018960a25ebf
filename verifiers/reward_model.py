"""reward_model: the score of a sequence-classification checkpoint, batched, on the trainer's device."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.runtime.model_folder import check_folder
from grpo_kit.types import Score

from .base import VerifierError
from .register import verifier


@verifier(name="reward_model", timeout=600.0, batch=True, in_process=True)
def reward_model(
    response: list[str],
    messages: list[list[dict[str, str]]],
    model: str = "",
    device: str = "auto",
    batch_size: int = 16,
    max_tokens: int = 4096,
    label: int = 0,
    chat: dict[str, Any] | None = None,
) -> list[Score]:
    """The logit that a reward model (a Hugging Face sequence-classification checkpoint) gives to each conversation.

    It runs in the trainer's process, because that is where the device is. A conversation longer than ``max_tokens``
    abstains: judging a part of it would be judging something else. A model that the kit trained is read at the token it was
    trained at (``score_token_id`` of its config, directly behind the response); any other one where transformers reads it,
    at the last token that the chat template writes.

    Args:
        model: folder or hub name of the checkpoint.
        device: ``auto`` takes a GPU when there is one.
        label: which logit is the reward, for checkpoints with several.
        chat: arguments of its chat template, such as ``{enable_thinking: false}``.
    """
    import torch

    if not model:
        raise VerifierError("reward_model needs the option 'model': a folder or hub name of a checkpoint")
    tokenizer, network = _load(model, device)
    if not 0 <= label < network.config.num_labels:
        raise VerifierError(f"reward_model: {model} has {network.config.num_labels} logits, there is no label {label}")
    end = getattr(network.config, "score_token_id", None)
    told = chat or {}
    ids = [_tokens(tokenizer, list(before), text, end, told) for before, text in zip(messages, response, strict=True)]
    scores = [Score.abstain(f"{len(tokens)} tokens, the reward model is given at most {max_tokens}") for tokens in ids]
    # Neighbours of like length share a batch, so that little is padded.
    order = sorted((i for i, tokens in enumerate(ids) if len(tokens) <= max_tokens), key=lambda i: len(ids[i]))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        inputs = _padded([ids[i] for i in rows], network.config.pad_token_id)
        with torch.inference_mode():
            logits = network(**{name: value.to(network.device) for name, value in inputs.items()}).logits[:, label]
        for row, value in zip(rows, logits.float().tolist(), strict=True):
            scores[row] = Score(value, metrics={"tokens": float(len(ids[row]))})
    return scores


def _tokens(
    tokenizer: Any, messages: list[dict[str, str]], response: str, end: int | None, told: dict[str, Any]
) -> list[int]:
    """The conversation as ids. end: the token behind the response that a model of the kit was trained to be read at."""
    if not isinstance(response, str):
        raise TypeError(f"reward_model: a response must be text, got {type(response).__name__}")
    response = response.encode("utf-8", "replace").decode()  # tokenizers refuse lone surrogates
    if tokenizer.chat_template is None:
        text = "\n".join([*(message["content"] for message in messages), response])
        return list(tokenizer(text)["input_ids"])
    if end is not None:
        settings = {**told, "add_generation_prompt": True, "tokenize": True, "return_dict": False}
        prompt = tokenizer.apply_chat_template(messages, **settings)
        return [*prompt, *tokenizer.encode(response, add_special_tokens=False), end]
    turns = [*messages, {"role": "assistant", "content": response}]
    text = tokenizer.apply_chat_template(turns, **{**told, "tokenize": False})
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])  # the template has written the special ones


def _padded(rows: list[list[int]], pad: int) -> dict[str, Any]:
    """``input_ids`` and ``attention_mask`` [rows, longest], padded on the right."""
    import torch

    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return {"input_ids": ids, "attention_mask": mask}


@lru_cache(maxsize=2)
def _load(model: str, device: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        check_folder(model)
    except UserError as error:
        raise VerifierError(f"reward_model: {error}") from None
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(model)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    network = AutoModelForSequenceClassification.from_pretrained(
        model, dtype=torch.bfloat16 if device.startswith("cuda") else torch.float32
    )
    # transformers reads the last token that is not this one.
    end = getattr(network.config, "score_token_id", None)
    network.config.pad_token_id = tokenizer.pad_token_id if end is None else int(end == 0)
    return tokenizer, network.to(device).eval()
