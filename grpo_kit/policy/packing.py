"""From sequences to micro-batches: a token budget decides how many rows go through the model at once.

The split is a matter of memory and speed only. Every sequence carries its weight in the loss of the whole step, so the
sum over micro-batches does not depend on how they were cut (law 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(slots=True)
class TrainingSequence:
    """One completion on its way to the loss.

    Attributes:
        weight: what each of its tokens counts in the loss of the step.
        entropy_weight: what each of its tokens counts in the mean entropy of the step; None: as in the loss.
        behaviour_logprobs: [tokens] the engine's log-probabilities of ``completion_ids``; None for demonstrations, which no
            policy sampled.
        group: which prompt of the batch it answers.
        old_logprobs, reference_logprobs, entropies, values: [tokens], filled by a pass before the first update, when the
            objective needs them.
        token_advantages: [tokens], in place of ``advantage`` where every token has its own; ``returns``: [tokens], what a
            critic is to learn.
        token_mask: [tokens] bool, which tokens carry the policy gradient; None for all.
    """

    prompt_ids: Sequence[int]
    completion_ids: Sequence[int]
    advantage: float
    weight: float
    behaviour_logprobs: Tensor | None = None
    group: int = 0
    entropy_weight: float | None = None
    old_logprobs: Tensor | None = None
    reference_logprobs: Tensor | None = None
    entropies: Tensor | None = None
    values: Tensor | None = None
    token_advantages: Tensor | None = None
    returns: Tensor | None = None
    token_mask: Tensor | None = None

    @property
    def length(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


@dataclass(slots=True)
class MicroBatch:
    """Rows padded on the right, and the flat view of their completion tokens.

    Causal attention never looks right, so right padding needs no attention mask and the fastest kernels apply.

    Attributes:
        input_ids: [rows, length] long.
        rows, columns: [tokens] long: the hidden state at (row, column) predicts ``targets``.
        targets: [tokens] long; completion tokens of all sequences, in order.
        sequence_index: [tokens] long: which sequence (row) a token belongs to.
        advantages, weights: [tokens].
        sequences: the sequences in row order.
    """

    input_ids: Tensor
    rows: Tensor
    columns: Tensor
    targets: Tensor
    advantages: Tensor
    weights: Tensor
    sequences: list[TrainingSequence]

    @property
    def sequence_index(self) -> Tensor:
        return self.rows

    @property
    def entropy_weights(self) -> Tensor:
        """[tokens] what each counts in the mean entropy of the step."""
        of_rows = [s.weight if s.entropy_weight is None else s.entropy_weight for s in self.sequences]
        return torch.tensor(of_rows, dtype=self.weights.dtype, device=self.weights.device)[self.rows]

    @property
    def lengths(self) -> Tensor:
        """[rows] completion tokens of each sequence."""
        return torch.tensor([len(s.completion_ids) for s in self.sequences], device=self.rows.device)

    # The sequences' tensors of the same names, one after another: [tokens]; None where the sequences have none.

    @property
    def behaviour_logprobs(self) -> Tensor | None:
        return self._joined(s.behaviour_logprobs for s in self.sequences)

    @property
    def old_logprobs(self) -> Tensor | None:
        return self._joined(s.old_logprobs for s in self.sequences)

    @property
    def reference_logprobs(self) -> Tensor | None:
        return self._joined(s.reference_logprobs for s in self.sequences)

    @property
    def values(self) -> Tensor | None:
        return self._joined(s.values for s in self.sequences)

    @property
    def returns(self) -> Tensor | None:
        return self._joined(s.returns for s in self.sequences)

    @property
    def token_mask(self) -> Tensor | None:
        return self._joined(s.token_mask for s in self.sequences)

    def _joined(self, parts: Iterable[Tensor | None]) -> Tensor | None:
        known = [part for part in parts if part is not None]
        if not known:
            return None
        if len(known) < len(self.sequences):
            raise ValueError(
                f"{len(self.sequences) - len(known)} of {len(self.sequences)} sequences lack what others have"
            )
        joined = torch.cat(known)
        joined = joined if joined.dtype == torch.bool else joined.to(self.weights.dtype)
        return joined.to(self.targets.device)

    def sum_rows(self, values: Tensor) -> Tensor:
        """[tokens] -> [rows]: the sum over each sequence."""
        return values.new_zeros(len(self.sequences)).index_add(0, self.rows, values)

    def split(self, values: Tensor) -> list[Tensor]:
        """Cut a [tokens] tensor into one tensor per sequence."""
        return list(values.split([len(s.completion_ids) for s in self.sequences]))


def unit_batches(
    units: Sequence[Sequence[TrainingSequence]],
    token_budget: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Iterator[MicroBatch]:
    """As `micro_batches`, with units of equally many sequences (pairs) that must share a micro-batch, in their order."""
    ordered = sorted(units, key=lambda unit: max(s.length for s in unit), reverse=True)
    start = 0
    while start < len(ordered):
        longest = max(s.length for s in ordered[start])
        count = max(1, token_budget // (longest * len(ordered[start])))
        yield _collate([s for unit in ordered[start : start + count] for s in unit], device, dtype)
        start += count


def micro_batches(
    sequences: Sequence[TrainingSequence],
    token_budget: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Iterator[MicroBatch]:
    """Cut sequences into micro-batches of at most ``token_budget`` padded tokens (one sequence may exceed it alone).

    Sequences of similar length share a micro-batch, so that padding stays small; order inside the step is free.
    """
    ordered = sorted((s for s in sequences if len(s.completion_ids)), key=lambda s: s.length, reverse=True)
    start = 0
    while start < len(ordered):
        rows = max(1, token_budget // ordered[start].length)
        yield _collate(ordered[start : start + rows], device, dtype)
        start += rows


def _collate(sequences: list[TrainingSequence], device: torch.device | str, dtype: torch.dtype) -> MicroBatch:
    length = max(s.length for s in sequences)
    input_ids = torch.zeros(len(sequences), length, dtype=torch.long)
    rows: list[Tensor] = []
    columns: list[Tensor] = []
    targets: list[int] = []
    for row, sequence in enumerate(sequences):
        ids = [*sequence.prompt_ids, *sequence.completion_ids]
        input_ids[row, : len(ids)] = torch.tensor(ids)
        first = len(sequence.prompt_ids) - 1
        rows.append(torch.full((len(sequence.completion_ids),), row))
        columns.append(torch.arange(first, first + len(sequence.completion_ids)))
        targets.extend(sequence.completion_ids)
    row_index = torch.cat(rows)
    advantages = torch.cat([_token_advantages(s) for s in sequences]).to(dtype)
    weights = torch.tensor([s.weight for s in sequences], dtype=dtype)
    return MicroBatch(
        input_ids.to(device),
        row_index.to(device),
        torch.cat(columns).to(device),
        torch.tensor(targets).to(device),
        advantages.to(device),
        weights[row_index].to(device),
        sequences,
    )


def _token_advantages(sequence: TrainingSequence) -> Tensor:
    if sequence.token_advantages is not None:
        return sequence.token_advantages.cpu()
    return torch.full((len(sequence.completion_ids),), sequence.advantage, dtype=torch.float64)
