"""Log-probabilities of chosen tokens and entropies, without ever holding the [tokens, vocabulary] matrix.

The last layer of a language model is the memory peak of training: 16k tokens at a vocabulary of 152k are 10 GB of
float32 logits, and as much again for their gradient. Here the matrix is made and used in chunks of tokens, in the
forward pass and again in the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .lookup import look_up
from .network import CausalModel

# Logits held at once: 2^25 float32 are 128 MB. At a small vocabulary one chunk holds a whole micro-batch.
CHUNK_ELEMENTS = 2**25


@dataclass(frozen=True)
class Head:
    """How a model turns a hidden state into logits: ``softcap * tanh(scale * (W h + b) / softcap)``.

    Attributes:
        full: the product is one of float32, whatever the dtype of the model's other products is (MiniMax-M1,
            arXiv:2506.13585; ScaleRL, arXiv:2510.13786).
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None
    full: bool = False

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., hidden] -> [..., vocabulary], float32."""
        return self.finish(self.product(hidden))

    def product(self, hidden: Tensor) -> Tensor:
        """[..., hidden] -> [..., vocabulary], before scale and softcap, in the dtype of the product."""
        if not self.full:
            return nn.functional.linear(hidden, self.weight.to(hidden.dtype), self.bias)
        wide = torch.promote_types(hidden.dtype, torch.float32)
        bias = None if self.bias is None else self.bias.to(wide)
        with torch.autocast(hidden.device.type, enabled=False):
            return nn.functional.linear(hidden.to(wide), self.weight.to(wide), bias)

    def finish(self, raw: Tensor) -> Tensor:
        logits = raw.float() if raw.dtype in (torch.bfloat16, torch.float16) else raw
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.softcap is not None:
            logits = self.softcap * torch.tanh(logits / self.softcap)
        return logits


def head_of(model: CausalModel) -> Head:
    """Read the output head of a transformers causal language model."""
    output, config = model.get_output_embeddings(), model.config
    scale = getattr(config, "logit_scale", None) or 1.0  # Cohere multiplies
    scale /= getattr(config, "logits_scaling", None) or 1.0  # Granite divides
    return Head(output.weight, getattr(output, "bias", None), scale, getattr(config, "final_logit_softcapping", None))


def select_logprobs(
    hidden: Tensor,
    head: Head,
    targets: Tensor,
    temperature: float = 1.0,
    chunk_elements: int = CHUNK_ELEMENTS,
    entropy_gradient: bool = False,
) -> tuple[Tensor, Tensor]:
    """Log-probability of each target and entropy of each distribution, under ``softmax(logits / temperature)``.

    Args:
        hidden: [tokens, hidden] last hidden states at the positions that predict ``targets``.
        targets: [tokens] long.
        chunk_elements: how many logits to hold at once.
        entropy_gradient: True where a loss reads the entropies. Otherwise nothing is kept, or computed backward, for them:
            what is recomputed of a chunk for entropies that no loss reads would stay until the whole graph is gone.

    Returns:
        logprobs [tokens] and entropies [tokens] in nats, float32 (float64 for float64 input); both differentiable, the
        entropies where that is asked for.
    """
    rows = max(1, chunk_elements // head.weight.shape[0])

    def compute(part: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        return _chunk(part, head, target, temperature, entropy_gradient)

    logprobs, entropies = in_chunks(compute, (hidden, targets), rows)
    return logprobs, entropies


def select_logprobs_against(
    hidden: Tensor,
    head: Head,
    targets: Tensor,
    other_hidden: Tensor,
    other_head: Head,
    temperature: float = 1.0,
    chunk_elements: int = CHUNK_ELEMENTS,
    entropy_gradient: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """As `select_logprobs`, and KL(this || other) of each distribution over the vocabulary that both heads have.

    Models of one tokenizer may have rows of the head that no token stands for, some more than others; of these only the rows
    that both have are compared.

    Args:
        other_hidden: [tokens, its hidden] of another model at the same positions; nothing flows back into it.

    Returns:
        logprobs, entropies and divergences, [tokens] each.
    """
    rows = max(1, chunk_elements // (head.weight.shape[0] + other_head.weight.shape[0]))

    def compute(part: Tensor, target: Tensor, other: Tensor) -> tuple[Tensor, ...]:
        logits = _logits(part, head, temperature)
        with torch.no_grad():
            others = _logits(other, other_head, temperature)
        found = _looked_up(logits, target) if entropy_gradient else look_up(logits, target)
        return *found, _divergence(logits, others)

    logprobs, entropies, divergences = in_chunks(compute, (hidden, targets, other_hidden.detach()), rows)
    return logprobs, entropies, divergences


class ActionLogprobs(NamedTuple):
    """What the distributions before some tokens say of actions. [tokens] each.

    Attributes:
        taken, best: log-probabilities of the target and of the most likely token; ``best_ids``: which that is.
        chosen: of the tokens that were asked for.
        totals: logsumexp of the logits; the other numbers are log-softmax of the same.
        entropies: nats, without gradient.
    """

    taken: Tensor
    best: Tensor
    best_ids: Tensor
    chosen: Tensor
    totals: Tensor
    entropies: Tensor


def select_actions(
    hidden: Tensor, head: Head, targets: Tensor, chosen: Tensor | None = None, chunk_elements: int = CHUNK_ELEMENTS
) -> ActionLogprobs:
    """As `select_logprobs` at temperature 1, with what action values are made of; ``taken`` and ``totals`` are differentiable.

    Args:
        chosen: [tokens] long: other tokens to look up in the same distributions; default the most likely ones.
    """
    rows = max(1, chunk_elements // head.weight.shape[0])
    others = torch.full_like(targets, -1) if chosen is None else chosen

    def compute(part: Tensor, target: Tensor, other: Tensor) -> tuple[Tensor, ...]:
        logits = head.logits(part)
        totals = logits.logsumexp(-1)
        taken = logits.gather(-1, target[:, None]).squeeze(-1) - totals
        with torch.no_grad():
            found = logits - totals[:, None]
            best, best_ids = found.max(-1)
            asked = torch.where(other < 0, best_ids, other)
            looked_up = found.gather(-1, asked[:, None]).squeeze(-1)
            entropies = -(found.exp() * found).sum(-1)
        return taken, best, best_ids, looked_up, totals, entropies

    return ActionLogprobs(*in_chunks(compute, (hidden, targets, others), rows))


def _divergence(logits: Tensor, other_logits: Tensor) -> Tensor:
    """KL(softmax of one || softmax of the other), over the rows of the vocabulary that both have. [tokens]"""
    shared = min(logits.shape[-1], other_logits.shape[-1])
    ours = torch.log_softmax(logits[:, :shared], dim=-1)
    theirs = torch.log_softmax(other_logits[:, :shared], dim=-1)
    return (ours.exp() * (ours - theirs)).sum(-1)


def in_chunks(compute: Callable[..., tuple[Tensor, ...]], tensors: tuple[Tensor, ...], rows: int) -> tuple[Tensor, ...]:
    """``compute`` of so many rows at a time, joined.

    Recomputing a chunk's logits in the backward pass costs one matrix product and frees the whole matrix.
    """
    if tensors[0].shape[0] <= rows:
        return compute(*tensors)
    made = []
    for start in range(0, tensors[0].shape[0], rows):
        parts = [tensor[start : start + rows] for tensor in tensors]
        if torch.is_grad_enabled():
            made.append(
                torch.utils.checkpoint.checkpoint(compute, *parts, use_reentrant=False, preserve_rng_state=False)
            )
        else:
            made.append(compute(*parts))
    return tuple(torch.cat(part) for part in zip(*made, strict=True))


def _chunk(
    hidden: Tensor, head: Head, targets: Tensor, temperature: float, entropy_gradient: bool
) -> tuple[Tensor, Tensor]:
    if entropy_gradient:
        return _looked_up(_logits(hidden, head, temperature), targets)
    if head.softcap is None:
        return look_up(head.product(hidden), targets, head.scale / temperature)
    return look_up(head.logits(hidden), targets, 1 / temperature)


def _logits(hidden: Tensor, head: Head, temperature: float) -> Tensor:
    logits = head.logits(hidden)
    return logits / temperature if temperature != 1.0 else logits


def _looked_up(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """As `look_up`, with a gradient of the entropies."""
    log_probabilities = torch.log_softmax(logits, dim=-1)
    chosen = log_probabilities.gather(-1, targets[:, None]).squeeze(-1)
    return chosen, -(log_probabilities.exp() * log_probabilities).sum(-1)
