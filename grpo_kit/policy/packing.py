"""From sequences to micro-batches: a token budget decides how many tokens go through the model at once.

The split is a matter of memory and speed only. Every sequence carries its weight in the loss of the whole step, so the
sum over micro-batches does not depend on how they were cut (law 1), nor on whether the answers to a prompt share its pass
(law 14).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from grpo_kit.types import Completion, Prompt

from .prefix import PrefixTree

# The share of a step's tokens that must be repetitions of prompts before prompts are passed once. Measured on a CPU: at 0.11 and
# 0.12 sharing takes 0.9 of the time, at 0.06 between 0.97 and 1.12 of it.
WORTH_SHARING = 0.1


@dataclass(slots=True)
class TrainingSequence:
    """One completion on its way to the loss.

    Attributes:
        completion_ids: [tokens] what was sampled; of an episode, of all its turns. Only these are learned, and only for them
            does anything per token exist.
        inserted: (index, ids) of what stands before the sampled token of that index and nobody sampled: context alone. Indices
            ascend, and are of tokens that exist.
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
    inserted: Sequence[tuple[int, Sequence[int]]] = ()

    @classmethod
    def of(cls, prompt: Prompt, completion: Completion, group: int = 0) -> TrainingSequence:
        """What an engine sampled or a record holds, without advantage or weight yet."""
        behaviour = torch.tensor(completion.logprobs, dtype=torch.float64) if completion.logprobs else None
        return cls(
            prompt.token_ids, completion.token_ids, 0.0, 0.0, behaviour, group, inserted=tuple(completion.inserted)
        )

    @property
    def branch_length(self) -> int:
        """Tokens that follow the prompt, sampled and inserted."""
        return len(self.completion_ids) + sum(len(ids) for _, ids in self.inserted)

    @property
    def length(self) -> int:
        """Tokens that go through the model."""
        return len(self.prompt_ids) + self.branch_length

    def branch(self) -> tuple[list[int], list[int]]:
        """The ids that follow the prompt, and where among them each sampled token stands.

        Raises:
            ValueError: something is inserted where no sampled token follows it, or out of order.
        """
        ids: list[int] = []
        places: list[int] = []
        start = 0
        for index, added in self.inserted:
            if not start <= index < len(self.completion_ids):
                raise ValueError(
                    f"ids are inserted before the sampled token {index}, of {len(self.completion_ids)} and after {start}"
                )
            places += range(len(ids), len(ids) + index - start)
            ids += self.completion_ids[start:index]
            ids += added
            start = index
        places += range(len(ids), len(ids) + len(self.completion_ids) - start)
        ids += self.completion_ids[start:]
        return ids, places


@dataclass(slots=True)
class MicroBatch:
    """Tokens that go through the model together, and the flat view of the sampled tokens among them.

    What the environment of an episode inserted is in ``input_ids`` and nowhere else: no tensor per token has a place for it, so
    none has to be masked.

    Either a row per sequence, padded on the right (causal attention never looks right, so that needs no attention mask and
    the fastest kernels apply), or one row with a tree of prompts and their completions.

    Attributes:
        input_ids: [rows, length] long.
        rows, columns: [tokens] long: the hidden state at (row, column) predicts ``targets``.
        targets: [tokens] long; sampled tokens of all sequences, in order.
        sequence_index: [tokens] long: which sequence a token belongs to.
        ends: [sequences] long: the column of the last token of each, in the row of its other tokens.
        advantages, weights: [tokens].
        sequences: the sequences in their order.
        tree: how the one row branches; None for a row per sequence.
        attention_pairs: how many pairs of tokens attend to each other; padding is not counted.
    """

    input_ids: Tensor
    rows: Tensor
    columns: Tensor
    targets: Tensor
    sequence_index: Tensor
    ends: Tensor
    advantages: Tensor
    weights: Tensor
    sequences: list[TrainingSequence]
    tree: PrefixTree | None = None
    attention_pairs: float = 0.0

    @property
    def passed(self) -> int:
        """Tokens that go through the model, without padding."""
        return sum(s.length for s in self.sequences) if self.tree is None else self.input_ids.numel()

    @property
    def entropy_weights(self) -> Tensor:
        """[tokens] what each counts in the mean entropy of the step."""
        of_sequences = [s.weight if s.entropy_weight is None else s.entropy_weight for s in self.sequences]
        return torch.tensor(of_sequences, dtype=self.weights.dtype, device=self.weights.device)[self.sequence_index]

    @property
    def lengths(self) -> Tensor:
        """[sequences] sampled tokens of each sequence."""
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

    def sum_sequences(self, values: Tensor) -> Tensor:
        """[tokens] -> [sequences]: the sum over each sequence."""
        return values.new_zeros(len(self.sequences)).index_add(0, self.sequence_index, values)

    def split(self, values: Tensor) -> list[Tensor]:
        """Cut a [tokens] tensor into one tensor per sequence."""
        return list(values.split([len(s.completion_ids) for s in self.sequences]))


def unit_batches(
    units: Sequence[Sequence[TrainingSequence]],
    token_budget: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    share: bool = False,
) -> Iterator[MicroBatch]:
    """As `micro_batches`, with units of equally many sequences (pairs) that must share a micro-batch, in their order."""
    ordered = sorted(units, key=lambda unit: max(s.length for s in unit), reverse=True)
    start = 0
    while start < len(ordered):
        if share:
            count = _fitting([tree_tokens(unit) for unit in ordered[start:]], token_budget)
        else:
            longest = max(s.length for s in ordered[start])
            count = max(1, token_budget // (longest * len(ordered[start])))
        yield _collate([s for unit in ordered[start : start + count] for s in unit], device, dtype, share)
        start += count


def micro_batches(
    sequences: Sequence[TrainingSequence],
    token_budget: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    share: bool = False,
) -> Iterator[MicroBatch]:
    """Cut sequences into micro-batches of at most ``token_budget`` tokens (one sequence may exceed it alone).

    Without ``share`` padding counts, and sequences of similar length share a micro-batch, so that it stays small; order
    inside the step is free.

    Args:
        share: pass each prompt once, and the completions that answer it as branches of it.
    """
    if share:
        pieces = [piece for group in by_prompt(sequences) for piece in _pieces(group, token_budget)]
        yield from unit_batches(pieces, token_budget, device, dtype, share=True)
        return
    ordered = sorted((s for s in sequences if len(s.completion_ids)), key=lambda s: s.length, reverse=True)
    start = 0
    while start < len(ordered):
        rows = max(1, token_budget // ordered[start].length)
        yield _collate(ordered[start : start + rows], device, dtype, share=False)
        start += rows


def by_prompt(sequences: Sequence[TrainingSequence]) -> list[list[TrainingSequence]]:
    """The sequences that have tokens, those that answer the same prompt together, in the order of their first ones."""
    groups: dict[tuple[int, ...], list[TrainingSequence]] = {}
    for sequence in sequences:
        if len(sequence.completion_ids):
            groups.setdefault(tuple(sequence.prompt_ids), []).append(sequence)
    return list(groups.values())


def worth_sharing(units: Sequence[Sequence[TrainingSequence]]) -> bool:
    """Whether passing prompts once in each unit saves a good part of the tokens."""
    apart = sum(s.length for unit in units for s in unit)
    return apart > 0 and apart - sum(map(tree_tokens, units)) >= WORTH_SHARING * apart


def tree_tokens(sequences: Sequence[TrainingSequence]) -> int:
    """Tokens that go through the model where neighbours with the same prompt share it."""
    return sum(trunk + sum(branches) for trunk, branches in _tree(sequences))


def _tree(sequences: Sequence[TrainingSequence]) -> list[tuple[int, list[int]]]:
    """Tokens of each trunk and of its branches."""
    neighbours = groupby(sequences, key=lambda s: tuple(s.prompt_ids))
    return [(len(prompt), [s.branch_length for s in group]) for prompt, group in neighbours]


def _pieces(group: list[TrainingSequence], token_budget: int) -> Iterator[list[TrainingSequence]]:
    """A group in pieces that fit into the budget, its completions of similar length together."""
    ordered = sorted(group, key=lambda s: s.length, reverse=True)
    trunk = len(ordered[0].prompt_ids)
    while ordered:
        count = _fitting([s.branch_length for s in ordered], token_budget - trunk)
        yield ordered[:count]
        ordered = ordered[count:]


def _fitting(sizes: Sequence[int], budget: int) -> int:
    """How many of the first sizes fit into the budget together; one at least."""
    count, total = 0, 0
    for size in sizes:
        total += size
        if count and total > budget:
            break
        count += 1
    return count


def _collate(
    sequences: list[TrainingSequence], device: torch.device | str, dtype: torch.dtype, share: bool
) -> MicroBatch:
    sequence_index = torch.cat([torch.full((len(s.completion_ids),), i) for i, s in enumerate(sequences)])
    weights = torch.tensor([s.weight for s in sequences], dtype=dtype)
    lay_out = _in_a_tree if share else _in_rows
    input_ids, rows, columns, ends, tree, attention_pairs = lay_out(sequences, device)
    return MicroBatch(
        input_ids.to(device),
        rows.to(device),
        columns.to(device),
        torch.tensor([token for s in sequences for token in s.completion_ids]).to(device),
        sequence_index.to(device),
        ends.to(device),
        torch.cat([_token_advantages(s) for s in sequences]).to(dtype).to(device),
        weights[sequence_index].to(device),
        sequences,
        tree,
        attention_pairs,
    )


_Layout = tuple[Tensor, Tensor, Tensor, Tensor, PrefixTree | None, float]


def _in_rows(sequences: list[TrainingSequence], device: torch.device | str) -> _Layout:
    """input_ids, rows, columns, ends, tree and attention_pairs of a `MicroBatch` with a padded row per sequence."""
    length = max(s.length for s in sequences)
    input_ids = torch.zeros(len(sequences), length, dtype=torch.long)
    rows: list[Tensor] = []
    columns: list[Tensor] = []
    for row, sequence in enumerate(sequences):
        branch, places = sequence.branch()
        input_ids[row, : sequence.length] = torch.tensor([*sequence.prompt_ids, *branch])
        # A token is predicted at the one directly before it, whoever wrote that.
        rows.append(torch.full((len(places),), row))
        columns.append(torch.tensor(places) + len(sequence.prompt_ids) - 1)
    ends = torch.tensor([s.length - 1 for s in sequences])
    pairs = sum(s.length**2 / 2 for s in sequences)
    return input_ids, torch.cat(rows), torch.cat(columns), ends, None, pairs


def _in_a_tree(sequences: list[TrainingSequence], device: torch.device | str) -> _Layout:
    """As `_in_rows`, with all sequences in one row, in which neighbours with the same prompt share it."""
    shape = _tree(sequences)
    ids: list[int] = []
    columns: list[int] = []
    ends: list[int] = []
    remaining = iter(sequences)
    for _, branches in shape:
        group = [next(remaining) for _ in branches]
        ids.extend(group[0].prompt_ids)
        last_of_trunk = len(ids) - 1
        for sequence in group:
            # A branch's first token is predicted at the end of the trunk, each other one at the token before it.
            branch, places = sequence.branch()
            columns.extend(len(ids) + place - 1 if place else last_of_trunk for place in places)
            ids.extend(branch)
            ends.append(len(ids) - 1)
    pairs = sum(trunk**2 / 2 + sum(n * trunk + n * n / 2 for n in branches) for trunk, branches in shape)
    rows = torch.zeros(len(columns), dtype=torch.long)
    tree = PrefixTree.of(shape, device)
    return torch.tensor([ids]), rows, torch.tensor(columns), torch.tensor(ends), tree, pairs


def _token_advantages(sequence: TrainingSequence) -> Tensor:
    if sequence.token_advantages is not None:
        return sequence.token_advantages.cpu()
    return torch.full((len(sequence.completion_ids),), sequence.advantage, dtype=torch.float64)
