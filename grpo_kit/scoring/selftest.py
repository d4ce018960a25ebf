"""What every verifier is held to: its own gold answers score full marks, and a list of attacks does not."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grpo_kit.runtime.case_file import read_case_file
from grpo_kit.types import Completion, Score, Task
from grpo_kit.verifiers.cases import Case

from .attacks import CONTROL, Attack, another, attacks, boxed, wrong_answer

if TYPE_CHECKING:
    from grpo_kit.verifiers.base import Verifier

TOLERANCE = 1e-6
# From this share of the way between a wrong answer and the gold on, an attack has the gold's score: a penalty for length
# or a bonus for form moves both a little, and hides nothing.
CLOSE = 0.9


@dataclass(frozen=True)
class Row:
    """One line of the report. ``problem`` is empty when all is well."""

    kind: str
    label: str
    score: Score
    seconds: float
    problem: str = ""
    warning: bool = False


def read_cases(path: Path) -> list[Case]:
    """Cases from JSONL rows with ``answer`` and, optional, ``response, expected, prompt, meta, options, label``.

    Raises:
        ValueError: names the line that cannot be read.
    """
    known = set(Case.__dataclass_fields__)
    cases = []
    for where, line, row in read_case_file(path):
        if not isinstance(row, dict) or not row.keys() <= known or not row.keys() & {"answer", "response"}:
            raise ValueError(
                f"{where}: a case is an object with 'response' or 'answer' and, optional, "
                f"{', '.join(sorted(known - {'response', 'answer'}))}; got {line[:100]}"
            )
        cases.append(_with_response(row, where))
    return cases


def _with_response(row: dict[str, Any], where: str) -> Case:
    if "response" not in row:
        return Case(**{"response": boxed(row["answer"]), "gold": "expected" not in row, **row})
    case = Case(**row)
    if isinstance(case.response, list) and not case.response:
        raise ValueError(f"{where}: 'response' is an empty list")
    if len(case.values) != len(case.responses):
        raise ValueError(
            f"{where}: {len(case.responses)} responses and {len(case.values)} expected values; give one value for all, or "
            "a list with one for each"
        )
    bad = [v for v in case.values if v is not None and (isinstance(v, bool) or not isinstance(v, (int, float)))]
    if bad:
        raise ValueError(
            f"{where}: 'expected' is a number, null (it must abstain) or a list of these, got {bad[0]!r:.80}"
        )
    for name in ("meta", "options"):
        if not isinstance(getattr(case, name), dict):
            raise ValueError(f"{where}: {name!r} is an object, got {getattr(case, name)!r:.80}")
    return case


def default_cases(verifier: Verifier) -> list[Case]:
    """For a verifier without cases of its own: a number as the answer, given in the usual ways."""
    if not verifier.wants("answer"):
        return [Case("The answer is \\boxed{42}.", expected=None, label="any response")]
    return [
        Case(response, "42", label=f"gold as '{response}'", gold=True)
        for response in (boxed(42), "42", "<answer>42</answer>")
    ]


def examine(
    reference: str,
    cases: Sequence[Case] | None = None,
    options: Mapping[str, Any] | None = None,
    meta: Mapping[str, Any] | None = None,
) -> list[Row]:
    """Score the cases, then the attacks, in a worker process; one row for each response.

    Args:
        meta: the task's other columns, for cases that do not say them.

    Raises:
        VerifierError, ScoringError: the verifier cannot be found or loaded.
    """
    from grpo_kit.verifiers.lookup import get_verifier

    found = get_verifier(reference)
    if cases is None:
        cases = list(found.cases()) if found.cases else default_cases(found)
    cases = [replace(case, meta={**(meta or {}), **case.meta}) for case in cases]
    # Cases with options of their own are for a verifier set up that way.
    settings = [{**case.options, **(options or {})} for case in cases]
    # A gold response stands beside a wrong one: what it must beat, and for a group verifier what it is compared with.
    trials = [_Trial.of(case, [*case.responses, *_controls(case)]) for case in cases]
    rows: list[Row] = []
    chosen: tuple[float, _Gold] | None = None
    for case, setting, trial, scored in zip(cases, settings, trials, _score(reference, trials, settings), strict=True):
        rows += _case_rows(case, scored)
        for at, score in enumerate([score for score, _ in scored][: len(case.responses)]):
            # Cheating is possible where there is a gold answer, so such a case is attacked first.
            rank = score.value + (1e6 if case.answer is not None else 0.0)
            if score.counts and (chosen is None or rank > chosen[0]):
                chosen = rank, _Gold(case, trial, at, score, setting)
    if all(case.label.startswith("gold as") for case in cases) and any(not row.problem for row in rows):
        rows = [row for row in rows if not row.problem]  # one way of giving the answer is enough
    if chosen is None:
        return rows
    return rows + list(_attack(reference, found.group, chosen[1]))


@dataclass(frozen=True)
class _Trial:
    """Responses that are scored in one call where the verifier takes several."""

    responses: list[Any]
    answer: Any
    prompt: str
    meta: Mapping[str, Any]

    @classmethod
    def of(cls, case: Case, responses: list[Any]) -> _Trial:
        return cls(responses, case.answer, case.prompt, case.meta)


@dataclass(frozen=True)
class _Gold:
    """The response whose score the attacks are measured by, with what stood beside it."""

    case: Case
    trial: _Trial
    at: int
    score: Score
    setting: Mapping[str, Any]

    @property
    def response(self) -> Any:
        return self.trial.responses[self.at]


def _controls(case: Case) -> list[str]:
    wrong = wrong_answer(case.response, str(case.answer)) if case.gold and case.answer is not None else None
    return [] if wrong is None else [wrong]


def _case_rows(case: Case, scored: Sequence[tuple[Score, float]]) -> Iterator[Row]:
    count = len(case.responses)
    wrong = [score for score, _ in scored[count:]]
    for number, ((score, seconds), expected) in enumerate(zip(scored[:count], case.values, strict=True)):
        label = case.label or f"'{case.responses[number]!s:.50}'"
        if case.label and count > 1:
            label = f"{case.label}, response {number}"
        problem = ""
        if score.status in ("error", "timeout"):
            problem = f"{score.status}: {score.reason}"
        elif case.gold:
            least = max((other.value for other in wrong if other.counts), default=0.0)
            if not score.counts:
                problem = "abstains on the gold answer"
            elif score.value <= least + TOLERANCE:
                problem = f"should score more than {'a wrong answer, ' if wrong else ''}{least:g}"
        elif expected is None:
            problem = "" if score.status == "abstain" or case.label == "any response" else "should abstain"
        elif not score.counts or abs(score.value - expected) > TOLERANCE:
            problem = f"should score {expected:g}"
        yield Row("case", label, score, seconds, problem)


def _attack(reference: str, group: bool, gold: _Gold) -> Iterator[Row]:
    case = gold.case
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder) / "canary"
        text = gold.score.extracted or (str(case.answer) if case.answer is not None else "42")
        listed = list(attacks(gold.response, text, case.answer, case.prompt, canary))
        # A group verifier compares: the attack is tried beside the responses that it has to be told from.
        beside = gold.trial.responses if group else []
        trials = [replace(gold.trial, responses=[*beside, attack.response]) for attack in listed]
        scored = [list(one) for one in _score(reference, trials, [gold.setting] * len(trials))]
        judge = _in_its_group(gold, scored) if group else _alone(reference, gold, listed, scored)
        for number, (attack, results) in enumerate(zip(listed, scored, strict=True)):
            score, seconds = results[-1]
            problem = ""
            if score.status in ("error", "timeout"):
                problem = f"{score.status}: {score.reason}"
            elif attack.cheats and case.answer is not None and score.counts:
                problem = judge(number)
            # A response is always text in training, so stumbling over None is worth a warning only.
            yield Row("attack", attack.label, score, seconds, problem, warning=attack.response is None)
        if canary.exists():
            yield Row("attack", "canary", Score(), 0.0, "the response was executed: it wrote a file")


Scored = list[list[tuple[Score, float]]]


def _in_its_group(gold: _Gold, scored: Scored) -> Callable[[int], str]:
    def judge(number: int) -> str:
        scores = [score for score, _ in scored[number]]
        if not scores[gold.at].counts:
            return ""
        least = min(score.value for score in scores if score.counts)
        return _reaches(scores[-1].value, scores[gold.at].value, least)

    return judge


def _alone(reference: str, gold: _Gold, listed: Sequence[Attack], scored: Scored) -> Callable[[int], str]:
    """Each attack against the gold's score, and against what the gold earns for being right.

    The same responses are scored with another gold answer. What is lost by that was earned by the answer, and not by
    length or form: an attack that earns as much of it as the gold has fooled the verifier, whatever else it pays for.
    """
    values = [results[-1][0] for results in scored]
    wrong = [
        score.value for attack, score in zip(listed, values, strict=True) if attack.label == CONTROL and score.counts
    ]
    empty = [values[0].value] if values[0].counts else []
    least = min([*(wrong or empty or [0.0]), gold.score.value])
    if least == gold.score.value <= 0.0 and not gold.case.gold:
        return lambda number: ""  # no case shows what is right
    earned, lost = _earned(reference, gold, listed, values, least)

    def judge(number: int) -> str:
        value = values[number].value
        problem = _reaches(value, gold.score.value, least)
        if not problem and number in lost and lost[number] >= CLOSE * earned:
            problem = (
                f"{lost[number]:g} of its {value:g} is for an answer it does not give; the gold earns {earned:g} so"
            )
        return problem

    return judge


def _earned(
    reference: str, gold: _Gold, listed: Sequence[Attack], values: Sequence[Score], least: float
) -> tuple[float, dict[int, float]]:
    """What the gold response, and what each attack by its number, loses when the gold answer is another one."""
    other = another(gold.case.answer)
    asked = [
        number
        for number, (attack, score) in enumerate(zip(listed, values, strict=True))
        if attack.cheats and score.counts and abs(score.value - least) > TOLERANCE
    ]
    if other is None or not asked:
        return 0.0, {}
    trial = replace(gold.trial, answer=other)
    trials = [replace(trial, responses=[r]) for r in (gold.response, *(listed[number].response for number in asked))]
    (of_gold, *rest) = [results[0][0] for results in _score(reference, trials, [gold.setting] * len(trials))]
    earned = gold.score.value - of_gold.value if of_gold.counts else 0.0
    if earned <= TOLERANCE:
        return 0.0, {}
    return earned, {n: values[n].value - score.value for n, score in zip(asked, rest, strict=True) if score.counts}


def _reaches(value: float, gold: float, least: float) -> str:
    """What is wrong when an attack has ``value``, the gold ``gold`` and a wrong answer ``least``."""
    if value >= gold - TOLERANCE:
        return f"full marks for an attack: {value:g}, the gold has {gold:g}"
    if value - least >= CLOSE * (gold - least):
        return f"nearly the gold's score for an attack: {value:g}, the gold has {gold:g}, a wrong answer {least:g}"
    return ""


def _score(
    reference: str, trials: Sequence[_Trial], settings: Sequence[Mapping[str, Any]]
) -> Iterable[list[tuple[Score, float]]]:
    from grpo_kit.scoring import Scorer, VerifierSpec

    results: list[list[tuple[Score, float]]] = [[] for _ in trials]
    for key in dict.fromkeys(_text(setting) for setting in settings):
        members = [i for i, setting in enumerate(settings) if _text(setting) == key]
        spec = VerifierSpec(reference, options=dict(settings[members[0]]))
        with Scorer([spec], workers=1, error_patience=10**9) as scorer:
            for i in members:
                trial = trials[i]
                messages = ({"role": "user", "content": trial.prompt},)
                task = Task(f"case-{i}", messages, trial.answer, dict(trial.meta))  # type: ignore[arg-type]
                completions = [
                    Completion.of_text(task.id, at, response, range(len(str(response).split())))
                    for at, response in enumerate(trial.responses)
                ]
                scored = [next(iter(parts.items())) for _, parts in scorer.score_completions(task, completions)]
                seconds = scorer.statistics()[f"verifier/{scored[0][0]}/latency_p50"]
                results[i] = [(score, seconds) for _, score in scored]
    return results


def _text(setting: Mapping[str, Any]) -> str:
    return json.dumps(setting, sort_keys=True, default=repr)
