"""From sequences to micro-batches: a token budget decides how many tokens go through the model at once.

The split is a matter of memory and speed only. Every sequence carries its weight in the loss of the whole step, so the
sum over micro-batches does not depend on how they were cut (law 1), nor on whether the answers to a prompt share its pass
(law 14).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

import torch
from torch import Tensor

from grpo_kit.types import Completion, Prompt

from .moving import moved
from .prefix import PrefixTree

# The share of a step's tokens that must be repetitions of prompts before prompts are passed once. Measured on a CPU: at 0.11 and
# 0.12 sharing takes 0.9 of the time, at 0.06 between 0.97 and 1.12 of it.
WORTH_SHARING = 0.1


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens of a sequence that one context holds: all of it, or a turn with a prompt of its own.

    Attributes:
        prompt_ids, ids: what stands before, and what follows: sampled tokens with what is inserted between them.
        places: where in ``ids`` each sampled token stands.
    """

    prompt_ids: Sequence[int]
    ids: list[int]
    places: list[int]

    @property
    def length(self) -> int:
        return len(self.prompt_ids) + len(self.ids)


@dataclass(slots=True)
class TrainingSequence:
    """One completion on its way to the loss.

    Attributes:
        completion_ids: [tokens] what was sampled; of an episode, of all its turns. Only these are learned, and only for them
            does anything per token exist.
        inserted: (index, ids) of what stands before the sampled token of that index and nobody sampled: context alone. Indices
            ascend, and are of tokens that exist.
        fresh: what is inserted takes the place of everything before it, the prompt included.
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
        penalised: [tokens] bool, which tokens are held to the old policy; None for none.
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
    penalised: Tensor | None = None
    inserted: Sequence[tuple[int, Sequence[int]]] = ()
    fresh: bool = False

    @classmethod
    def of(cls, prompt: Prompt, completion: Completion, group: int = 0) -> TrainingSequence:
        """What an engine sampled or a record holds, without advantage or weight yet."""
        behaviour = torch.tensor(completion.logprobs, dtype=torch.float64) if completion.logprobs else None
        inserted, fresh = tuple(completion.inserted), completion.fresh
        return cls(prompt.token_ids, completion.token_ids, 0.0, 0.0, behaviour, group, inserted=inserted, fresh=fresh)

    @property
    def branch_length(self) -> int:
        """Tokens that follow the prompt, sampled and inserted."""
        return len(self.completion_ids) + sum(len(ids) for _, ids in self.inserted)

    @property
    def length(self) -> int:
        """Tokens that go through the model."""
        return len(self.prompt_ids) + self.branch_length

    @property
    def longest(self) -> int:
        """Tokens of its longest segment."""
        return max(len(prompt) + count for prompt, count in self.outline())

    def outline(self) -> list[tuple[Sequence[int], int]]:
        """The prompt of each segment, and how many tokens follow it there."""
        if not self.fresh:
            return [(self.prompt_ids, self.branch_length)]
        starts = [0, *(index for index, _ in self.inserted)]
        counts = [end - start for start, end in zip(starts, [*starts[1:], len(self.completion_ids)], strict=True)]
        return list(zip([self.prompt_ids, *(ids for _, ids in self.inserted)], counts, strict=True))

    def segments(self) -> list[Segment]:
        """The contexts that hold the sampled tokens, in their order: one, unless each turn has a prompt of its own.

        Raises:
            ValueError: something is inserted where no sampled token follows it, or out of order.
        """
        made = [Segment(self.prompt_ids, [], [])]
        starts = [0, *(index for index, _ in self.inserted)]
        ends = [*starts[1:], len(self.completion_ids)]
        for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
            if not start <= end or (number and start == len(self.completion_ids)):
                raise ValueError(
                    f"ids are inserted before the sampled token {start}, of {len(self.completion_ids)} and before {end}"
                )
            if number and self.fresh:
                made.append(Segment(self.inserted[number - 1][1], [], []))
            elif number:
                made[-1].ids.extend(self.inserted[number - 1][1])
            made[-1].places.extend(range(len(made[-1].ids), len(made[-1].ids) + end - start))
            made[-1].ids.extend(self.completion_ids[start:end])
        return made


@dataclass(slots=True)
class MicroBatch:
    """Tokens that go through the model together, and the flat view of the sampled tokens among them.

    What the environment of an episode inserted is in ``input_ids`` and nowhere else: no tensor per token has a place for it, so
    none has to be masked.

    Either a row per sequence, or per turn where each has a prompt of its own, padded on the right (causal attention never looks
    right, so that needs no attention mask and the fastest kernels apply), or one row with a tree of prompts and their branches.

    Attributes:
        input_ids: [rows, length] long.
        rows, columns: [tokens] long: the hidden state at (row, column) predicts ``targets``.
        targets: [tokens] long; sampled tokens of all sequences, in order.
        sequence_index: [tokens] long: which sequence a token belongs to.
        ends: [sequences] long: the column of the last token of each, in the row of its last tokens.
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
        return moved(torch.tensor(of_sequences, dtype=self.weights.dtype), self.weights.device)[self.sequence_index]

    @property
    def lengths(self) -> Tensor:
        """[sequences] sampled tokens of each sequence."""
        return moved(torch.tensor([len(s.completion_ids) for s in self.sequences]), self.rows.device)

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

    @property
    def penalised(self) -> Tensor | None:
        return self._joined(s.penalised for s in self.sequences)

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
        return moved(joined, self.targets.device)

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
    ordered = sorted(units, key=lambda unit: max(s.longest for s in unit), reverse=True)
    start = 0
    while start < len(ordered):
        if share:
            count = _fitting((tree_tokens(unit) for unit in islice(ordered, start, None)), token_budget)
        else:
            longest = max(s.longest for s in ordered[start])
            padded = (longest * sum(len(s.outline()) for s in unit) for unit in islice(ordered, start, None))
            count = _fitting(padded, token_budget)
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
    yield from unit_batches([(s,) for s in sequences if len(s.completion_ids)], token_budget, device, dtype)


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
    """Tokens that go through the model where those with the same prompt share it."""
    branches: dict[tuple[int, ...], int] = {}
    for prompt, count in (part for s in sequences for part in s.outline()):
        branches[tuple(prompt)] = branches.get(tuple(prompt), 0) + count
    return sum(len(prompt) + count for prompt, count in branches.items())


def _pieces(group: list[TrainingSequence], token_budget: int) -> Iterator[list[TrainingSequence]]:
    """A group in pieces that fit into the budget, its completions of similar length together."""
    ordered = sorted(group, key=lambda s: s.length, reverse=True)
    trunk = len(ordered[0].prompt_ids)
    while ordered:
        count = _fitting([s.branch_length for s in ordered], token_budget - trunk)
        yield ordered[:count]
        ordered = ordered[count:]


def _fitting(sizes: Iterable[int], budget: int) -> int:
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
        moved(input_ids, device),
        moved(rows, device),
        moved(columns, device),
        moved(torch.tensor([token for s in sequences for token in s.completion_ids]), device),
        moved(sequence_index, device),
        moved(ends, device),
        moved(torch.cat([_token_advantages(s) for s in sequences]).to(dtype), device),
        moved(weights[sequence_index], device),
        sequences,
        tree,
        attention_pairs,
    )


_Layout = tuple[Tensor, Tensor, Tensor, Tensor, PrefixTree | None, float]


def _in_rows(sequences: list[TrainingSequence], device: torch.device | str) -> _Layout:
    """input_ids, rows, columns, ends, tree and attention_pairs of a `MicroBatch` with a padded row per sequence."""
    of_sequences = [s.segments() for s in sequences]
    segments = [segment for made in of_sequences for segment in made]
    input_ids = torch.zeros(len(segments), max(s.length for s in segments), dtype=torch.long)
    rows: list[Tensor] = []
    columns: list[Tensor] = []
    for row, segment in enumerate(segments):
        input_ids[row, : segment.length] = torch.tensor([*segment.prompt_ids, *segment.ids])
        # A token is predicted at the one directly before it, whoever wrote that.
        rows.append(torch.full((len(segment.places),), row))
        columns.append(torch.tensor(segment.places, dtype=torch.long) + len(segment.prompt_ids) - 1)
    ends = torch.tensor([made[-1].length - 1 for made in of_sequences])
    pairs = sum(s.length**2 / 2 for s in segments)
    return input_ids, torch.cat(rows), torch.cat(columns), ends, None, pairs


def _in_a_tree(sequences: list[TrainingSequence], device: torch.device | str) -> _Layout:
    """As `_in_rows`, with all sequences in one row, in which those with the same prompt share it."""
    trunks: dict[tuple[int, ...], list[tuple[int, Segment]]] = {}  # with the number of each among all segments
    for number, segment in enumerate(segment for s in sequences for segment in s.segments()):
        trunks.setdefault(tuple(segment.prompt_ids), []).append((number, segment))
    ids: list[int] = []
    of_segments: dict[int, list[int]] = {}  # the columns of each, by its number
    last: dict[int, int] = {}
    for prompt, branches in trunks.items():
        ids.extend(prompt)
        last_of_trunk = len(ids) - 1
        for number, segment in branches:
            # A branch's first token is predicted at the end of the trunk, each other one at the token before it.
            of_segments[number] = [len(ids) + place - 1 if place else last_of_trunk for place in segment.places]
            ids.extend(segment.ids)
            last[number] = len(ids) - 1
    columns = [column for number in range(len(of_segments)) for column in of_segments[number]]
    ends = [last[rows - 1] for rows in accumulate(len(s.outline()) for s in sequences)]
    shape = [(len(prompt), [len(segment.ids) for _, segment in branches]) for prompt, branches in trunks.items()]
    pairs = sum(trunk**2 / 2 + sum(n * trunk + n * n / 2 for n in branches) for trunk, branches in shape)
    rows = torch.zeros(len(columns), dtype=torch.long)
    tree = PrefixTree.of(shape, device)
    return torch.tensor([ids]), rows, torch.tensor(columns), torch.tensor(ends), tree, pairs


def _token_advantages(sequence: TrainingSequence) -> Tensor:
    if sequence.token_advantages is not None:
        return sequence.token_advantages.cpu()
    return torch.full((len(sequence.completion_ids),), sequence.advantage, dtype=torch.float64)
