"""Re-scoring outputs that exist already: no model, the same table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from grpo_kit.errors import UserError
from grpo_kit.scoring import Scorer, VerifierSpec
from grpo_kit.types import Completion, Group, Message, Score, Task

from .files import Fields, Problem, describe_fields, problems_of, read_labels, resolve_fields
from .judging import judged
from .outputs import outputs_label, read_outputs
from .protocol import Result, versions
from .records import GREEDY, Record
from .summary import summarise
from .votes import BY_VALUE, count_votes

NAMED = 8  # rows without a response that are named one by one


@dataclass
class Rescored:
    """Outputs that were scored again: what `Result` holds, and every judged response.

    Attributes:
        said: what a reader must know first: the fields, how labels were read, rows without a response.
        label_field: whose verdicts stood there already; None without any.
    """

    result: Result
    records: list[Record]
    said: list[str] = field(default_factory=list)
    label_field: str | None = None

    @property
    def disagreements(self) -> list[Record]:
        """Judged responses whose verdict differs from the label that they came with."""
        return [r for r in self.records if r.counts and r.label is not None and r.label != r.right]

    @property
    def labelled(self) -> bool:
        return any(r.label is not None for r in self.records)

    @property
    def compared(self) -> int:
        return sum(r.counts and r.label is not None for r in self.records)

    def by_labels(self) -> Result | None:
        """The same metrics from the labels: what the file's grader, or the run's reward, reported."""
        if not self.labelled:
            return None
        label = f"{self.result.model['label']}, its {'reward' if self.label_field == 'reward' else 'labels'}"
        result = Result({**self.result.model, "label": label}, self.result.run)
        for name, task in self.result.tasks.items():
            believed = [
                replace(
                    r, value=float(bool(r.label)), status="ok" if r.label is not None else "no label", extracted=None
                )
                for r in self.records
                if r.task == name
            ]
            judge = {"verifier": {"name": f"the labels in {self.label_field}"}}
            result.add(name, task.protocol | judge, summarise(believed))
        return result


def rescore(
    path: Path,
    fields: Fields,
    verifier: VerifierSpec,
    workers: int = 1,
    limit: int | None = None,
    *,
    step: str | None = None,
    threshold: float | None = None,
) -> Rescored:
    """Judge every response of an outputs file, a run's rollouts or an evaluation.

    Args:
        step: of a run, which steps; default: the last.
        threshold: a label of so much is right; default: `Labels.of`.

    Raises:
        UserError: the outputs, a field or the verifier are not usable.
    """
    outputs = read_outputs(path, step, limit)
    rows = [row for part in outputs for row in part.rows]
    named, fields = fields, resolve_fields(rows, fields, path)
    labels = read_labels(rows, fields, path, threshold)
    problems = {part.name: problems_of(part.rows, fields, part.path, labels) for part in outputs}
    said = [describe_fields(rows, named, fields)]
    if labels is not None:
        said.append(labels.describe([mark for part in problems.values() for p in part for mark in p.labels]))
    said += _blank(path, fields, problems)
    result = Result(
        model={"label": fields.response if "." in str(fields.response) else outputs_label(path)},
        run={"engine": "none, scored from a file", "versions": versions()},
    )
    result.model["path"] = str(path)
    records: list[Record] = []
    with Scorer([verifier], workers=workers) as scorer:
        (version,) = scorer.versions().values()
        for part in outputs:
            found = list(judge_problems(part.name, problems[part.name], scorer))
            several = any(sum(s != GREEDY for s in p.samples) > 1 for p in problems[part.name])
            votes = vote(found, verifier, workers) if several else None
            protocol = {
                "file": str(part.path),
                "response_field": fields.response,
                "problems": len(problems[part.name]),
                **({"limit": limit} if limit is not None and len(part.rows) == limit else {}),
                "data": part.fingerprint(),
                "gold_field": fields.gold,
                "verifier": {"name": verifier.name, "version": version, "options": verifier.options},
            }
            result.add(part.name, protocol, summarise(found, votes))
            records += found
    return Rescored(result, records, said, fields.label)


def _blank(path: Path, fields: Fields, problems: Mapping[str, Sequence[Problem]]) -> list[str]:
    """Names the rows without a response. Raises UserError where no row has one."""
    found = {name: [row for p in part for row in p.blank] for name, part in problems.items()}
    blank, total = sum(map(len, found.values())), sum(len(p.responses) for part in problems.values() for p in part)
    if blank == total:
        raise UserError(
            f"{path}: none of its {total} responses holds any text (field {fields.response}). Name another one with "
            "--response-field"
        )
    if not blank:
        return []
    several = len(found) > 1
    rows = [f"{name} row {row}" if several else str(row) for name, numbers in found.items() for row in numbers]
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return [f"warning: {blank} of {total} responses are empty and count as wrong: rows {', '.join(rows[:NAMED])}{more}"]


def vote(records: Sequence[Record], verifier: VerifierSpec, workers: int) -> dict:
    """Votes for maj@k. A verifier of its own process pool compares; see `count_votes`."""
    if verifier.name not in BY_VALUE:
        return count_votes(records)
    with Scorer([verifier], workers=workers) as scorer:
        return count_votes(records, scorer)


def judge_problems(task: str, problems: Sequence[Problem], scorer: Scorer) -> Iterator[Record]:
    """Score the responses of each problem with the scorer's first verifier; an empty response is wrong unasked."""
    for problem, found in zip(problems, judged(map(_asked, problems), scorer, task), strict=True):
        answers = iter(found)
        for index, text in enumerate(problem.responses):
            record = next(answers) if _answers(problem, index) else _without_response(task, problem, text)
            label = problem.labels[index] if problem.labels else None
            yield replace(record, sample=problem.samples[index], label=label, finish="")  # how it ended nobody knows


def _asked(problem: Problem) -> Group:
    """What is to be judged of a problem; of an episode, the last turn with the whole conversation."""
    chosen = [index for index in range(len(problem.responses)) if _answers(problem, index)]
    group = Group.of_texts(_task(problem), (problem.responses[index] for index in chosen))
    for completion, index in zip(group.completions, chosen, strict=True):
        problem.episodes[index].put_into(completion)
    return group


def _answers(problem: Problem, index: int) -> bool:
    return bool(problem.responses[index].strip() or problem.episodes[index])


def _task(problem: Problem) -> Task:
    messages = problem.opening or (Message(role="user", content=problem.prompt),)
    return Task(problem.id, messages, problem.gold, problem.meta)


def _without_response(name: str, problem: Problem, text: str) -> Record:
    return Record.judged(name, _task(problem), Completion.of_text(problem.id, 0, text), Score(reason="no response"))
