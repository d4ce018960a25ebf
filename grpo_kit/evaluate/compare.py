"""Two evaluations of the same problems: is one better, by how much, and where did they part?"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from grpo_kit.errors import UserError

from .metrics import Difference, holm, mcnemar, paired_difference, standard_error
from .protocol import Result, differences
from .records import GREEDY, Record


@dataclass(frozen=True)
class Evaluated:
    """One side of a comparison."""

    result: Result
    records: Sequence[Record]

    @property
    def label(self) -> str:
        return str(self.result.model["label"])


@dataclass(frozen=True)
class Flip:
    """A problem on which the two verdicts differ, with an answer of each that shows it."""

    id: str
    first: Record
    second: Record

    @property
    def gained(self) -> bool:
        return self.second.right


@dataclass(frozen=True)
class Comparison:
    """The second model against the first one on one task.

    Attributes:
        first_value, second_value: accuracies on the problems that both answered.
        difference: of the problems' shares of right samples (or of greedy answers where a side has no samples).
        verdicts: what a problem's single verdict is, for the flips and McNemar's test.
        gained, lost: problems that only the second, only the first gets right.
        p_corrected: ``difference.p_value`` corrected (Holm) for the number of comparisons shown together.
        unpaired_error: what the error would be without pairing.
        only_one: problems that only one side has a judged answer to; they are left out.
        warnings: where the protocols differ.
    """

    task: str
    first: str
    second: str
    first_value: float
    second_value: float
    difference: Difference
    verdicts: str
    gained: int
    lost: int
    mcnemar_p: float
    p_corrected: float
    unpaired_error: float
    only_one: int
    flips: list[Flip]
    warnings: list[str]

    def as_json(self) -> dict[str, Any]:
        return {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in ("flips", "difference")
        } | {"difference": dataclasses.asdict(self.difference)}


def compare(sides: Sequence[Evaluated]) -> list[Comparison]:
    """Every later side against the first one, on every task that both have.

    Raises:
        UserError: two sides have no task or no problem in common.
    """
    found = []
    first = sides[0]
    for second in sides[1:]:
        shared = [task for task in first.result.tasks if task in second.result.tasks]
        pairs = [(task, task) for task in shared]
        if not pairs and len(first.result.tasks) == len(second.result.tasks) == 1:
            # Re-scored files carry their own names; the problems' ids decide whether they can be paired.
            pairs = [(next(iter(first.result.tasks)), next(iter(second.result.tasks)))]
        if not pairs:
            raise UserError(
                f"{first.label} and {second.label} share no task: {', '.join(first.result.tasks)} against "
                f"{', '.join(second.result.tasks)}"
            )
        found += [_compare_task(first, second, *pair) for pair in pairs]
    corrected = holm([comparison.difference.p_value for comparison in found])
    return [dataclasses.replace(c, p_corrected=p) for c, p in zip(found, corrected, strict=True)]


def _compare_task(first: Evaluated, second: Evaluated, first_task: str, second_task: str) -> Comparison:
    mine, theirs = _problems(first.records, first_task), _problems(second.records, second_task)
    greedy = not all(any(r.sample != GREEDY for r in group) for group in (*mine.values(), *theirs.values()))
    a, b = _shares(mine, greedy), _shares(theirs, greedy)
    common = [id for id in a if id in b]
    if not common:
        raise UserError(f"{first.label} and {second.label} have no judged problem of {first_task} in common")
    wrong = [id for id in common if mine[id][0].answer != theirs[id][0].answer]
    if wrong:
        raise UserError(
            f"{first_task}: problem {wrong[0]} has the gold {mine[wrong[0]][0].answer!r:.80} in {first.label} and "
            f"{theirs[wrong[0]][0].answer!r:.80} in {second.label}: these are not the same problems"
        )
    left, right = [a[id] for id in common], [b[id] for id in common]
    kind, verdicts = _verdicts(mine, theirs, common)
    flips = [Flip(id, *_examples(mine[id], theirs[id], two)) for id, (one, two) in verdicts.items() if one != two]
    gained = sum(flip.gained for flip in flips)
    protocols = first.result.tasks[first_task].protocol, second.result.tasks[second_task].protocol
    return Comparison(
        task=first_task,
        first=first.label,
        second=second.label,
        first_value=fmean(left),
        second_value=fmean(right),
        difference=paired_difference(left, right),
        verdicts=kind,
        gained=gained,
        lost=len(flips) - gained,
        mcnemar_p=mcnemar(gained, len(flips) - gained),
        p_corrected=1.0,
        unpaired_error=float((standard_error(left) ** 2 + standard_error(right) ** 2) ** 0.5),
        only_one=len({*a, *b}) - len(common),
        flips=flips,
        warnings=differences(*protocols) + differences(first.result.run, second.result.run),
    )


def _problems(records: Sequence[Record], task: str) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.task == task and record.counts:
            found[record.id].append(record)
    return found


def _shares(problems: dict[str, list[Record]], greedy: bool) -> dict[str, float]:
    chosen = {id: [r.right for r in group if (r.sample == GREEDY) == greedy] for id, group in problems.items()}
    return {id: fmean(rights) for id, rights in chosen.items() if rights}


def _verdicts(
    mine: dict[str, list[Record]], theirs: dict[str, list[Record]], common: Sequence[str]
) -> tuple[str, dict[str, tuple[bool, bool]]]:
    """One yes or no per problem and side: McNemar's test knows no shares."""
    both = [group for id in common for group in (mine[id], theirs[id])]
    if all(any(r.sample == GREEDY for r in group) for group in both):
        pick, kind = GREEDY, "greedy answers"
    elif all(len(group) == 1 for group in both):
        pick, kind = both[0][0].sample, "answers"
    else:
        halves = {id: (_most(mine[id]), _most(theirs[id])) for id in common}
        return "whether more than half of the samples are right", halves
    return kind, {id: (_right(mine[id], pick), _right(theirs[id], pick)) for id in common}


def _right(group: Sequence[Record], sample: int) -> bool:
    return next((r.right for r in group if r.sample == sample), group[0].right)


def _most(group: Sequence[Record]) -> bool:
    rights = [r.right for r in group if r.sample != GREEDY]
    return 2 * sum(rights) > len(rights)


def _examples(mine: Sequence[Record], theirs: Sequence[Record], second_right: bool) -> tuple[Record, Record]:
    """An answer of each side that bears its verdict out; the greedy one where there is one."""

    def pick(group: Sequence[Record], right: bool) -> Record:
        ordered = sorted(group, key=lambda r: (r.right != right, r.sample))
        return ordered[0]

    return pick(mine, not second_right), pick(theirs, second_right)
