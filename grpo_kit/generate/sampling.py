"""From logits to the next token: filters, one uniform number per token, and the log-probability of what was drawn."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from grpo_kit.policy.lookup import row_blocks

from .base import SamplingParams, sample_seed


def uniforms(sampling: SamplingParams, task_id: str, sample_index: int, turn: int = 0) -> np.ndarray:
    """The randomness of one turn: [turn_limit] float64 in [0, 1), a function of (seed, task, sample, turn) alone."""
    bits = np.random.Philox(key=sample_seed(sampling.seed, task_id, sample_index, turn))
    return np.random.Generator(bits).random(sampling.turn_limit)


def next_tokens(
    logits: Tensor, sampling: SamplingParams, uniform: Tensor, source: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """A token for each row, and its log-probability: so many rows at a time as a processor's cache holds.

    Args:
        logits: [prompts, vocabulary].
        uniform: [rows] float64, not read if greedy.
        source: [rows] long: which row of the logits each is drawn from; default its own.

    Returns:
        tokens [rows] long and their logprobs [rows] float32, of what `processed_logprobs` says.
    """
    width, device = logits.shape[1], logits.device
    if source is None:
        drawn = [
            draw(processed_logprobs(logits[rows], sampling), uniform[rows], sampling.greedy)
            for rows in row_blocks(len(logits), width, device)
        ]
        tokens, logprobs = (torch.cat(part) for part in zip(*drawn, strict=True))
        return tokens, logprobs
    tokens, logprobs = source.new_empty(len(source)), torch.empty(len(source), device=device)
    for prompts in row_blocks(len(logits), width, device):
        processed = processed_logprobs(logits[prompts], sampling)  # filters are of a prompt, not of each of its samples
        of_these = ((source >= prompts.start) & (source < prompts.stop)).nonzero().squeeze(-1)
        for block in row_blocks(len(of_these), width, device):
            rows = of_these[block]
            tokens[rows], logprobs[rows] = draw(processed[source[rows] - prompts.start], uniform[rows], sampling.greedy)
    return tokens, logprobs


def processed_logprobs(logits: Tensor, sampling: SamplingParams) -> Tensor:
    """Log-probabilities of the distribution that is sampled: temperature, top-k, top-p and min-p, renormalised, then epsilon.

    logits: [rows, vocabulary] -> same shape, float32. Greedy decoding reports the model's own distribution.
    """
    logits = logits.float()
    if sampling.greedy:
        return torch.log_softmax(logits, -1)
    logits = logits / sampling.temperature
    if sampling.top_k:
        kth = logits.topk(min(sampling.top_k, logits.shape[-1]), -1).values[..., -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    if sampling.top_p < 1.0:
        ordered, order = logits.sort(-1, descending=True)
        probabilities = ordered.softmax(-1)
        # A token stays if the mass before it is below top_p, so the most likely one always stays.
        outside = probabilities.cumsum(-1) - probabilities >= sampling.top_p
        logits = logits.masked_fill(outside.gather(-1, order.argsort(-1)), -torch.inf)
    if sampling.min_p > 0.0:
        probabilities = logits.softmax(-1)
        limit = sampling.min_p * probabilities.amax(-1, keepdim=True)
        logits = logits.masked_fill(probabilities < limit, -torch.inf)
    logprobs = torch.log_softmax(logits, -1)
    if sampling.epsilon == 0.0:
        return logprobs
    # A logarithm of zero is right here: a share of 1 leaves nothing of the policy.
    own = logprobs + (math.log1p(-sampling.epsilon) if sampling.epsilon < 1.0 else -math.inf)
    return torch.logaddexp(own, torch.full_like(own, math.log(sampling.epsilon / logits.shape[-1])))


def draw(logprobs: Tensor, uniform: Tensor, greedy: bool) -> tuple[Tensor, Tensor]:
    """Choose a token per row by inverting its cumulative distribution.

    One uniform number per token, rather than one per vocabulary entry, makes the choice independent of who else is in
    the batch and cheap at any vocabulary.

    Args:
        logprobs: [rows, vocabulary] float32.
        uniform: [rows] float64 in [0, 1).

    Returns:
        tokens [rows] long and their logprobs [rows] float32.
    """
    if greedy:
        tokens = logprobs.argmax(-1)
    else:
        cumulative = logprobs.exp().double().cumsum(-1)
        threshold = uniform[:, None] * cumulative[:, -1:]
        tokens = torch.searchsorted(cumulative, threshold, right=True).squeeze(-1)
        tokens = tokens.clamp(max=logprobs.shape[-1] - 1)
    return tokens, logprobs.gather(-1, tokens[:, None]).squeeze(-1)
