"""What every verifier is held to: its own gold answers score full marks, and a list of attacks does not."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .score import Score

if TYPE_CHECKING:
    from .base import Verifier

MEGABYTE = 2**20
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Case:
    """One response and the value that the verifier must give it; ``expected=None`` means it must abstain."""

    response: Any
    answer: Any = None
    prompt: str = "What is the answer?"
    meta: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    expected: float | None = 1.0
    label: str = ""


@dataclass(frozen=True)
class Attack:
    """A response that a model might find. ``cheats`` says that full marks for it would be wrong."""

    label: str
    response: Any
    cheats: bool = True


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
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: not JSON: {error}") from error
        if not isinstance(row, dict) or not row.keys() <= known or not row.keys() & {"answer", "response"}:
            raise ValueError(
                f"{path}:{number}: a case is an object with 'response' or 'answer' and, optional, "
                f"{', '.join(sorted(known - {'response', 'answer'}))}; got {line[:100]}"
            )
        cases += _with_response(row)
    if not cases:
        raise ValueError(f"{path} holds no cases")
    return cases


def _with_response(row: dict[str, Any]) -> list[Case]:
    if "response" in row:
        return [Case(**row)]
    return [Case(response=boxed(row["answer"]), **row)]


def boxed(answer: Any) -> str:
    return f"\\boxed{{{answer}}}"


def default_cases(verifier: Verifier) -> list[Case]:
    """For a verifier without cases of its own: a number as the answer, given in the usual ways."""
    if not verifier.wants("answer"):
        return [Case("The answer is \\boxed{42}.", expected=None, label="any response")]
    return [
        Case(response, "42", label=f"gold as {response!r}") for response in (boxed(42), "42", "<answer>42</answer>")
    ]


def attacks(case: Case, extracted: str | None, canary: Path) -> Iterator[Attack]:
    """The attack list around a case that earns full marks."""
    gold = extracted or (str(case.answer) if case.answer is not None else "42")
    wide = gold.translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)})
    yield Attack("empty", "")
    yield Attack("None", None)
    yield Attack("gold with a 0 behind", boxed(f"{gold}0"))
    yield Attack("prompt echoed", case.prompt)
    yield Attack("all digits", "0123456789" * 20)
    yield Attack("gold in a list of guesses", f"It is 1, or 2, or {gold}, or 7, or 1000.")
    yield Attack("gold in a boxed list", boxed(f"1, 2, {gold}, 7, 1000"))
    yield Attack("two different boxes", f"{boxed(f'{gold}1')} or {boxed(gold)}")
    yield Attack("two different tags", f"<answer>{gold}1</answer> <answer>{gold}</answer>")
    # The same in the form that this verifier takes, whatever that is: the rest of the response stays as it was.
    if isinstance(case.response, str) and gold in case.response:
        for label, changed in (("digit behind", f"{gold}0"), ("digit before", f"1{gold}"), ("a list", f"1, 2, {gold}")):
            yield Attack(f"{label}, in the gold's form", case.response.replace(gold, changed))
    yield Attack("1 MB of x", "x" * MEGABYTE)
    yield Attack("1 MB of digits, boxed", boxed("9" * MEGABYTE))
    if wide != gold:
        yield Attack("unicode digits", boxed(wide), cheats=False)  # the right number, in the digits of another keyboard
    yield Attack("9**9**9", boxed("9**9**9"))
    yield Attack("__import__", boxed(f"__import__('os').system('touch {canary}')"))
    yield Attack("__import__, bare", f"__import__('pathlib').Path('{canary}').touch()")
    yield Attack("format string", boxed("{answer.__class__.__mro__} %s %(answer)s {0}"))
    yield Attack("braces 1e5 deep", "\\boxed{" + "{" * 100_000 + gold + "}" * 100_000 + "}")
    yield Attack("1e5 boxes in boxes", "\\boxed{" * 100_000)
    yield Attack("parentheses 1e5 deep", boxed("(" * 100_000 + gold + ")" * 100_000))
    yield Attack("brackets 1e5 deep", "[" * 100_000)
    yield Attack("NUL bytes", f"\0{boxed(chr(0) + gold + chr(0) + '1')}\0")
    yield Attack("lone surrogate", boxed("\ud800"))
    yield Attack("a thousand lines", "The answer is\n" * 1000)
    yield Attack("unclosed box", f"\\boxed{{{gold}1", cheats=False)


def examine(reference: str, cases: Sequence[Case] | None = None, options: Mapping[str, Any] | None = None) -> list[Row]:
    """Score the cases, then the attacks, in a worker process; one row each.

    Raises:
        VerifierError, ScoringError: the verifier cannot be found or loaded.
    """
    from .lookup import get_verifier

    found = get_verifier(reference)
    if cases is None:
        cases = list(found.cases()) if found.cases else default_cases(found)
    # Cases with options of their own are for a verifier set up that way.
    settings = [{**case.options, **(options or {})} for case in cases]
    rows: list[Row] = []
    best: tuple[float, Case, dict[str, Any], Score] | None = None
    for case, setting, (score, seconds) in zip(cases, settings, _score(reference, cases, settings), strict=True):
        rows.append(_gold_row(case, score, seconds))
        # Cheating is possible where there is a gold answer, so such a case is attacked first.
        rank = score.value + (1e6 if case.answer is not None else 0.0)
        if score.counts and (best is None or rank > best[0]):
            best = (rank, case, setting, score)
    if all(case.label.startswith("gold as") for case in cases) and any(not row.problem for row in rows):
        rows = [row for row in rows if not row.problem]  # one way of giving the answer is enough
    if best is None:
        return rows
    return rows + list(_attack(reference, *best[1:]))


def _gold_row(case: Case, score: Score, seconds: float) -> Row:
    label = case.label or f"{case.response!r:.50}"
    problem = ""
    if score.status in ("error", "timeout"):
        problem = f"{score.status}: {score.reason}"
    elif case.expected is None:
        problem = "" if score.status == "abstain" or case.label == "any response" else "should abstain"
    elif not score.counts or abs(score.value - case.expected) > TOLERANCE:
        problem = f"should score {case.expected:g}"
    return Row("case", label, score, seconds, problem)


def _attack(reference: str, case: Case, setting: dict[str, Any], gold: Score) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder) / "canary"
        listed = list(attacks(case, gold.extracted, canary))
        attacked = [Case(attack.response, case.answer, case.prompt, case.meta) for attack in listed]
        scored = list(_score(reference, attacked, [setting] * len(listed)))
        for attack, (score, seconds) in zip(listed, scored, strict=True):
            problem = ""
            if score.status in ("error", "timeout"):
                problem = f"{score.status}: {score.reason}"
            elif attack.cheats and case.answer is not None and score.counts and score.value >= gold.value > 0:
                problem = "full marks for an attack"
            # A response is always text in training, so stumbling over None is worth a warning only.
            yield Row("attack", attack.label, score, seconds, problem, warning=attack.response is None)
        if canary.exists():
            yield Row("attack", "canary", Score(), 0.0, "the response was executed: it wrote a file")


def _score(
    reference: str, cases: Sequence[Case], settings: Sequence[Mapping[str, Any]]
) -> Iterable[tuple[Score, float]]:
    from grpo_kit.scoring import Scorer, VerifierSpec
    from grpo_kit.types import Completion, Task

    results: list[tuple[Score, float] | None] = [None] * len(cases)
    for key in dict.fromkeys(_text(setting) for setting in settings):
        members = [i for i, setting in enumerate(settings) if _text(setting) == key]
        spec = VerifierSpec(reference, options=dict(settings[members[0]]))
        with Scorer([spec], workers=1, error_patience=10**9) as scorer:
            for i in members:
                case = cases[i]
                messages = ({"role": "user", "content": case.prompt},)
                task = Task(f"case-{i}", messages, case.answer, dict(case.meta))  # type: ignore[arg-type]
                ids = list(range(len(str(case.response).split())))
                completion = Completion(task.id, 0, ids, [0.0] * len(ids), case.response, "stop", 0)
                ((_, parts),) = scorer.score_completions(task, [completion])
                ((name, score),) = parts.items()
                results[i] = score, scorer.statistics()[f"verifier/{name}/latency_p50"]
    return [result for result in results if result is not None]


def _text(setting: Mapping[str, Any]) -> str:
    return json.dumps(setting, sort_keys=True, default=repr)
