"""Re-scoring outputs that exist already: no model, the same table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from grpo_kit.scoring import Scorer, VerifierSpec
from grpo_kit.types import Completion, Group, Prompt, Task

from .files import Fields, Problem, file_fingerprint, problems_of, read_rows, resolve_fields
from .protocol import Result, versions
from .records import Record
from .summary import summarise
from .votes import BY_VALUE, count_votes


@dataclass
class Rescored:
    """A re-scored file: what `Result` holds, and every judged response."""

    result: Result
    records: list[Record]

    @property
    def disagreements(self) -> list[Record]:
        """Judged responses whose verdict differs from the label that the file gave."""
        return [r for r in self.records if r.counts and r.label is not None and r.label != r.right]

    @property
    def labelled(self) -> bool:
        return all(r.label is not None for r in self.records)

    def by_labels(self) -> Result | None:
        """The same metrics from the file's own labels: what its grader reported."""
        if not self.labelled:
            return None
        believed = [replace(r, value=float(bool(r.label)), status="ok", extracted=None) for r in self.records]
        result = Result({**self.result.model, "label": f"{self.result.model['label']}, its labels"}, self.result.run)
        (task,) = self.result.tasks
        result.add(
            task, self.result.tasks[task].protocol | {"verifier": {"name": "the file's labels"}}, summarise(believed)
        )
        return result


def rescore(path: Path, fields: Fields, verifier: VerifierSpec, workers: int = 1, limit: int | None = None) -> Rescored:
    """Judge every response of an outputs file.

    Raises:
        UserError: the file, a field or the verifier is not usable.
    """
    rows = read_rows(path)[:limit]
    fields = resolve_fields(rows, fields, path)
    problems = problems_of(rows, fields, path)
    task = path.stem
    with Scorer([verifier], workers=workers) as scorer:
        records = list(judge_problems(task, problems, scorer))
        (version,) = scorer.versions().values()
    votes = None
    if max(len(p.responses) for p in problems) > 1:
        votes = vote(records, verifier, workers)
    result = Result(
        model={"label": fields.response if "." in str(fields.response) else path.stem, "path": str(path)},
        run={"engine": "none, scored from a file", "versions": versions()},
    )
    protocol = {
        "file": str(path),
        "response_field": fields.response,
        "problems": len(problems),
        "data": file_fingerprint(path),
        "gold_field": fields.gold,
        "verifier": {"name": verifier.name, "version": version, "options": verifier.options},
    }
    result.add(task, protocol, summarise(records, votes))
    return Rescored(result, records)


def vote(records: Sequence[Record], verifier: VerifierSpec, workers: int) -> dict:
    """Votes for maj@k. A verifier of its own process pool compares; see `count_votes`."""
    if verifier.name not in BY_VALUE:
        return count_votes(records)
    with Scorer([verifier], workers=workers) as scorer:
        return count_votes(records, scorer)


def judge_problems(task: str, problems: Sequence[Problem], scorer: Scorer) -> Iterator[Record]:
    """Score the responses of each problem with the scorer's first verifier."""
    for problem, group in zip(problems, scorer.score_groups(_groups(problems)), strict=True):
        parts = [next(iter(part.values())) for part in group.parts]
        for index, (completion, score) in enumerate(zip(group.completions, parts, strict=True)):
            yield Record(
                task=task,
                id=problem.id,
                sample=index,
                prompt=problem.prompt,
                answer=problem.gold,
                response=completion.text,
                value=score.value,
                status=score.status,
                extracted=score.extracted,
                reason=score.reason,
                label=problem.labels[index] if problem.labels else None,
            )


def _groups(problems: Sequence[Problem]) -> Iterator[Group]:
    for problem in problems:
        task = Task(problem.id, ({"role": "user", "content": problem.prompt},), problem.gold, problem.meta)
        completions = [Completion(problem.id, i, [], [], text, "stop", 0) for i, text in enumerate(problem.responses)]
        yield Group(task, Prompt(problem.id, ()), completions)
