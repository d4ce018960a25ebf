"""What the vLLM engines share: a request from our sampling settings, a completion from what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grpo_kit.errors import RunFailed
from grpo_kit.types import Completion, Prompt

from .base import SamplingParams, sample_seed


def request_fields(sampling: SamplingParams, task_id: str) -> dict[str, Any]:
    """Fields of ``vllm.SamplingParams`` for one group.

    Everything that shapes the distribution is spelled out: a server fills what is missing from the model's
    generation_config.json, where many models ask for top_p, top_k or a repetition penalty.
    """
    return {
        "n": 1 if sampling.greedy else sampling.n,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "max_tokens": sampling.max_tokens,
        "stop": list(sampling.stop),
        "stop_token_ids": list(sampling.stop_token_ids),
        # The ids that end a response are those above; the model's own list may be another one.
        "ignore_eos": True,
        # vLLM samples the i-th of a group's n completions with seed + i. Halved, so that the sum stays below 2^63.
        "seed": sample_seed(sampling.seed, task_id, 0) // 2,
        "logprobs": 0,
        "detokenize": bool(sampling.stop),
    }


def group_of(
    prompt: Prompt,
    samples: Sequence[tuple[Sequence[int], Sequence[float], str, int]],
    sampling: SamplingParams,
    tokenizer: Any,
) -> list[Completion]:
    """A prompt's completions from (token ids, logprobs, finish reason, policy version) of each sample, in order."""
    if sampling.greedy:
        samples = [samples[0]] * sampling.n
    if len(samples) != sampling.n:
        raise RunFailed(f"vLLM returned {len(samples)} of the {sampling.n} completions of {prompt.task_id}")
    return [_completion(prompt, i, *sample, sampling.stop, tokenizer) for i, sample in enumerate(samples)]


def _completion(
    prompt: Prompt,
    index: int,
    token_ids: Sequence[int],
    logprobs: Sequence[float],
    finish_reason: str,
    version: int,
    stop: tuple[str, ...],
    tokenizer: Any,
) -> Completion:
    if finish_reason not in ("stop", "length") or len(logprobs) != len(token_ids):
        raise RunFailed(
            f"vLLM ended completion {index} of {prompt.task_id} with {finish_reason!r}, {len(token_ids)} tokens and "
            f"{len(logprobs)} log-probabilities"
        )
    text = str(tokenizer.decode(list(token_ids), skip_special_tokens=True))
    found = [at for s in stop if (at := text.find(s)) >= 0]
    return Completion(
        prompt.task_id,
        index,
        list(token_ids),
        list(logprobs),
        text[: min(found)] if found else text,
        "stop" if finish_reason == "stop" else "length",
        version,
    )
