"""Dealing the sequences of a step to the ranks: equal work, equally many micro-batches, one gradient.

Every rank knows all sequences and their weights in the loss of the whole step, so a share needs no messages to be agreed
on, and the sum over ranks and micro-batches is the loss of one process (law 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from grpo_kit.runtime import ranks

from .attention import attends_to_trees
from .network import Network
from .packing import (
    MicroBatch,
    TrainingSequence,
    by_prompt,
    micro_batches,
    tree_tokens,
    unit_batches,
    worth_sharing,
)

Unit = Sequence[TrainingSequence]


def work(length: int, attention_length: float) -> float:
    """Estimated work of one sequence, in tokens: matrix products grow with its length, attention with the square.

    Args:
        attention_length: the length at which attention costs as much as all matrix products.
    """
    return length + length * length / attention_length


def attention_length(config: Any, parameters: int) -> float:
    """Matrix products cost 2 flops per parameter and token, causal attention 2 * layers * width * length per token."""
    return max(1.0, parameters / (config.num_hidden_layers * config.hidden_size))


def deal(costs: Sequence[float], hands: int) -> list[list[int]]:
    """Indices of the units of each hand: the costliest go first, each to the hand that has least work so far.

    Among equal work the hand with fewer units gets it, so that counts stay near each other as well.
    """
    given: list[list[int]] = [[] for _ in range(hands)]
    loads = [0.0] * hands
    for index in sorted(range(len(costs)), key=lambda i: (-costs[i], i)):
        least = min(range(hands), key=lambda h: (loads[h], len(given[h]), h))
        given[least].append(index)
        loads[least] += costs[index]
    return given


def _mine(units: Sequence[Unit], model: Network, share: bool) -> list[Unit]:
    """The units that this rank works on."""
    if not ranks.together():
        return list(units)
    parameters = sum(p.numel() for p in model.parameters())
    middle = attention_length(model.config, parameters)

    def cost(unit: Unit) -> float:
        whole = sum(work(s.length, middle) for s in unit)
        repeated = sum(s.length for s in unit) - tree_tokens(unit) if share else 0
        return whole - work(repeated, middle) if repeated else whole

    return [units[i] for i in deal([cost(unit) for unit in units], ranks.world_size())[ranks.rank()]]


def rank_batches(
    sequences: Sequence[TrainingSequence], token_budget: int, device: torch.device, model: Network
) -> Iterator[MicroBatch]:
    """This rank's micro-batches of a step's sequences; empty ones make up the number that the busiest rank has.

    Every forward and backward pass of a sharded model is a meeting of all ranks, so they must be equally many.
    """
    groups = by_prompt(sequences)
    share = attends_to_trees(model) and worth_sharing(groups)
    units: Sequence[Unit] = _halved(groups) if share else [(s,) for s in sequences if len(s.completion_ids)]
    mine = [s for unit in _mine(units, model, share) for s in unit]
    return _level(micro_batches(mine, token_budget, device, _dtype(model), share), device, model)


def _halved(groups: Sequence[Unit]) -> Sequence[Unit]:
    """Groups in halves until there is something to deal: every rank has its own trunk then, and none waits for long."""
    units = groups
    while ranks.together() and len(units) < 2 * ranks.world_size() and any(len(unit) > 1 for unit in units):
        units = [half for unit in units for half in (unit[: len(unit) // 2], unit[len(unit) // 2 :]) if half]
    return units


def rank_unit_batches(
    units: Sequence[Unit], token_budget: int, device: torch.device, model: Network
) -> Iterator[MicroBatch]:
    """As `rank_batches`, with units (pairs) that must share a micro-batch."""
    share = attends_to_trees(model) and worth_sharing(units)
    mine = _mine(units, model, share)
    return _level(unit_batches(mine, token_budget, device, _dtype(model), share), device, model)


def _dtype(model: Network) -> torch.dtype:
    return next(model.parameters()).dtype


def _level(batches: Iterator[MicroBatch], device: torch.device, model: Network) -> Iterator[MicroBatch]:
    if not ranks.together():
        yield from batches
        return
    made = list(batches)
    most = max(ranks.all_gather(len(made), "agreeing on the number of micro-batches"))
    yield from made
    for _ in range(most - len(made)):
        yield empty_batch(device, _dtype(model))


def empty_batch(device: torch.device, dtype: torch.dtype = torch.float32) -> MicroBatch:
    """One row of one token that nothing is read from: it goes through the model, and its gradient is zero."""
    none = torch.zeros(0, dtype=torch.long, device=device)
    numbers = torch.zeros(0, dtype=dtype, device=device)
    ids = torch.zeros(1, 1, dtype=torch.long, device=device)
    return MicroBatch(ids, none, none, none, none, none, numbers, numbers, [])


def computed(
    sequences: Sequence[TrainingSequence],
    batches: Iterable[MicroBatch],
    compute: Callable[[MicroBatch], tuple[Tensor, ...]],
    purpose: str,
) -> list[tuple[TrainingSequence, tuple[Tensor, ...]]]:
    """Each sequence that has tokens, with its part of what ``compute`` makes of the micro-batches: [tokens] tensors.

    Args:
        batches: this rank's micro-batches of ``sequences``; every rank gets to know what all have computed.
    """
    places = {id(sequence): index for index, sequence in enumerate(sequences)}
    known: dict[int, tuple[Tensor, ...]] = {}
    for batch in batches:
        parts = [batch.split(values) for values in compute(batch)]
        known |= {places[id(s)]: tuple(values) for s, *values in zip(batch.sequences, *parts, strict=True)}
    if ranks.together():
        mine = {index: tuple(values.cpu() for values in parts) for index, parts in known.items()}
        known = {index: parts for share in ranks.all_gather(mine, purpose) for index, parts in share.items()}
    return [(sequences[index], values) for index, values in known.items()]
