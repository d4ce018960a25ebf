"""Which samples of a problem gave the same answer: equality as the verifier sees it, not as strings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grpo_kit.types import Group, Task

from .records import Record

if TYPE_CHECKING:
    from grpo_kit.scoring import Scorer

# Verifiers that judge an answer by its value alone, so that one answer can stand as the gold of another.
BY_VALUE = ("math", "number", "choice")
ProblemKey = tuple[str, str]


@dataclass
class Votes:
    """The distinct answers of one problem: how many samples gave each, and whether it is right."""

    sizes: list[int] = field(default_factory=list)
    rights: list[float] = field(default_factory=list)
    blank: int = 0


def count_votes(records: Sequence[Record], scorer: Scorer | None = None) -> dict[ProblemKey, Votes]:
    """Votes by problem, from sampled records (greedy ones are left out).

    Samples that the verifier accepted agree with each other, because each agrees with the gold. The others are compared
    among themselves: by ``scorer``'s verifier with one of them as the gold answer, in its worker processes and within
    its deadline, or as text where ``scorer`` is None. Unjudged samples and those without an answer do not vote.
    """
    votes: dict[ProblemKey, Votes] = {}
    wrong: dict[ProblemKey, Counter[str]] = {}
    for key, group in _by_problem(records).items():
        right = sum(r.right for r in group)
        counted = Counter(" ".join(r.extracted.split()) for r in group if r.counts and not r.right and r.extracted)
        votes[key] = Votes([right] if right else [], [1.0] if right else [], len(group) - right - counted.total())
        wrong[key] = counted
    for key, classes in _classes(wrong, scorer).items():
        votes[key].sizes += classes
        votes[key].rights += [0.0] * len(classes)
    return votes


def _by_problem(records: Sequence[Record]) -> dict[ProblemKey, list[Record]]:
    groups: dict[ProblemKey, list[Record]] = defaultdict(list)
    for record in records:
        if record.sample >= 0:
            groups[record.task, record.id].append(record)
    return groups


def _classes(answers: Mapping[ProblemKey, Counter[str]], scorer: Scorer | None) -> dict[ProblemKey, list[int]]:
    """Sizes of the classes of equal answers. In each round the most frequent answer left of every problem is compared
    with all others of that problem, so that the rounds of all problems run side by side."""
    if scorer is None:
        return {key: list(counted.values()) for key, counted in answers.items()}
    found: dict[ProblemKey, list[int]] = {key: [] for key in answers}
    left = {key: counted.most_common() for key, counted in answers.items() if counted}
    while left:
        asked = {key: rest for key, rest in left.items() if len(rest) > 1}
        same = _equal_to_first(asked, scorer)
        following = {}
        for key, rest in left.items():
            equal = same.get(key, [])
            joined = [size for (_, size), yes in zip(rest[1:], equal, strict=False) if yes]
            found[key].append(rest[0][1] + sum(joined))
            others = [item for item, yes in zip(rest[1:], equal, strict=False) if not yes]
            if others:
                following[key] = others
        left = following
    return found


def _equal_to_first(asked: Mapping[ProblemKey, list[tuple[str, int]]], scorer: Scorer) -> dict[ProblemKey, list[bool]]:
    def groups() -> list[Group]:
        made = []
        for number, rest in enumerate(asked.values()):
            task = Task(str(number), ({"role": "user", "content": ""},), rest[0][0])
            made.append(Group.of_texts(task, (f"\\boxed{{{text}}}" for text, _ in rest[1:])))
        return made

    scored = scorer.score_groups(groups())
    return {key: [score.right for score in group.scores] for key, group in zip(asked, scored, strict=True)}
