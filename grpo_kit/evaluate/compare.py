"""Two evaluations of the same problems: is one better, by how much, and where did they part?"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
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
        measure: what accuracy is: ``avg@n``, or ``greedy`` where a side has no sampled answer at all.
        first_value, second_value: accuracies on the problems that both answered.
        difference: of the problems' shares of right answers in that measure.
        verdicts: what a problem's single verdict is, for the flips and McNemar's test; made of the same answers.
        gained, lost: problems that only the second, only the first gets right.
        p_corrected: ``difference.p_value`` corrected (Holm) for the number of comparisons shown together.
        unpaired_error: what the error would be without pairing.
        only_one: problems without a judged answer of both sides in that measure; they are left out.
        judges: who says what is right, of the first side and of the second; empty where it is not known.
        warnings: where the protocols differ.
    """

    task: str
    first: str
    second: str
    measure: str
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
    judges: tuple[str, str] = ("", "")

    @property
    def same_judge(self) -> bool:
        return self.judges[0] == self.judges[1]

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
    sides = [(first, mine), (second, theirs)]
    # Decided by what was sampled, not by what could be judged: one problem whose samples all timed out must not turn
    # the whole comparison into another one.
    greedy = any(all(r.sample == GREEDY for group in side.values() for r in group) for _, side in sides)
    a, b = _measured(mine, greedy), _measured(theirs, greedy)
    common = [id for id in a if id in b]
    if not common:
        kind = "greedy" if greedy else "sampled"
        without = [side.label for (side, _), found in zip(sides, (a, b), strict=True) if not found]
        why = f": {' and '.join(without)} has no judged {kind} answer" if without else ""
        raise UserError(
            f"{first.label} and {second.label} have no judged problem of {first_task} in common, of {kind} answers{why}"
        )
    wrong = [id for id in common if a[id][0].answer != b[id][0].answer]
    if wrong:
        raise UserError(
            f"{first_task}: problem {wrong[0]} has the gold {a[wrong[0]][0].answer!r:.80} in {first.label} and "
            f"{b[wrong[0]][0].answer!r:.80} in {second.label}: these are not the same problems"
        )
    left, right = ([fmean(r.right for r in side[id]) for id in common] for side in (a, b))
    verdicts = {id: (_verdict(a[id]), _verdict(b[id])) for id in common}
    flips = [Flip(id, *_examples(a[id], b[id], two)) for id, (one, two) in verdicts.items() if one != two]
    gained = sum(flip.gained for flip in flips)
    protocols = first.result.tasks[first_task].protocol, second.result.tasks[second_task].protocol
    return Comparison(
        task=first_task,
        first=first.label,
        second=second.label,
        measure="greedy" if greedy else _average_of(mine, theirs),
        first_value=fmean(left),
        second_value=fmean(right),
        difference=paired_difference(left, right),
        verdicts=_verdicts(greedy, [group for id in common for group in (a[id], b[id])]),
        gained=gained,
        lost=len(flips) - gained,
        mcnemar_p=mcnemar(gained, len(flips) - gained),
        p_corrected=1.0,
        unpaired_error=float((standard_error(left) ** 2 + standard_error(right) ** 2) ** 0.5),
        only_one=len({*mine, *theirs}) - len(common),
        flips=flips,
        warnings=differences(*protocols) + differences(first.result.run, second.result.run),
        judges=(judge_of(protocols[0]), judge_of(protocols[1])),
    )


def judge_of(protocol: Mapping[str, Any]) -> str:
    """The verifier of a protocol with its version and its options, as a person reads it; empty where there is none."""
    verifier = protocol.get("verifier")
    if not isinstance(verifier, Mapping):
        return str(verifier or "")
    version, options = verifier.get("version"), verifier.get("options")
    words = [str(verifier.get("name", "")), f"version {version}" if version else "", str(options) if options else ""]
    return ", ".join(word for word in words if word)


def _problems(records: Sequence[Record], task: str) -> dict[str, list[Record]]:
    """Everything that was answered to each problem, judged or not."""
    found: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.task == task:
            found[record.id].append(record)
    return found


def _measured(problems: dict[str, list[Record]], greedy: bool) -> dict[str, list[Record]]:
    """The judged answers of the measure, of the problems that have any."""
    chosen = {id: [r for r in group if r.counts and (r.sample == GREEDY) == greedy] for id, group in problems.items()}
    return {id: group for id, group in chosen.items() if group}


def _average_of(*sides: dict[str, list[Record]]) -> str:
    """``avg@n``, or its span where problems or sides have different numbers of samples."""
    counts = {sum(r.sample != GREEDY for r in group) for side in sides for group in side.values()} - {0}
    return f"avg@{min(counts)}" + (f" to {max(counts)}" if len(counts) > 1 else "")


def _verdicts(greedy: bool, groups: Sequence[list[Record]]) -> str:
    if greedy:
        return "greedy answers"
    return "answers" if all(len(group) == 1 for group in groups) else "whether more than half of the samples are right"


def _verdict(group: Sequence[Record]) -> bool:
    """One yes or no: McNemar's test knows no shares."""
    return 2 * sum(r.right for r in group) > len(group)


def _examples(mine: Sequence[Record], theirs: Sequence[Record], second_right: bool) -> tuple[Record, Record]:
    """An answer of each side that bears its verdict out."""

    def pick(group: Sequence[Record], right: bool) -> Record:
        return min(group, key=lambda r: (r.right != right, r.sample))

    return pick(mine, not second_right), pick(theirs, second_right)
