"""Verdicts of one tree on tables of answers and programs: read from the checkout that compares, judged by the tree."""

from __future__ import annotations

import hashlib
import random
import re
import runpy
from pathlib import Path
from typing import Any

# Pieces of which random answers are made.
PIECES = re.findall(
    r"\S+",
    r"""
1 2 3 10 0.5 .5 1,000 9^9 x y n i e \pi \sqrt \sqrt[3] \frac \dfrac \binom { } ( ) [ ] \{ \} | , ; : + - * / ^ _ ! = < > \le
\ne \pm \cup \in \infty \% \$ $ \text{ cm} \text{and} \circ \left( \right) \sin \cos \log \ln \overline{3} ... or and to mod
percent dollars √ π ² ∞ \mathbb{R} \emptyset ' \ \begin{pmatrix} \end{pmatrix} & \\ \sum_{k=1}^{9} \lfloor \rfloor \boxed{
""",
)
SEEDS = (
    "\\frac{\\sqrt{3}}{2}",
    "(-\\infty,3]\\cup[5,\\infty)",
    "x=1\\text{ or }x=2",
    "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
)
GOLDS = ("7", "\\frac{1}{2}", "x^2+1", "(1,2]", "\\{1,2\\}", "\\text{yes}", "x>3", "25\\%", "B", "5\\text{ cm}")
TESTS = ["assert add(1, 2) == 3", "assert add(10, -4) == 6", "assert add(0, 0) == 0"]
SCRIPT = ["x = area(2)\nassert abs(x - 12.566) < 1e-3", "x = area(1)\nassert x > 3", "x = area(1)\nassert x == 3.1415"]
ENDED = re.compile(r"the program ended by itself \(exit code \d+\)|the other process has ended")
RESPONSES = [
    "",
    "no code at all",
    "```python\ndef add(a, b):\n    return a + b\n```",
    "First.\n```python\ndef add(a, b):\n    return a - b\n```\nBetter:\n```python\ndef add(a, b):\n    return a + b\n```",
    "<think>```python\ndef add(a, b): return 0\n```</think>\n```\ndef add(a, b): return b + a\n```",
    "def add(a, b):\n    return a + b if a else None",
    "```python\ndef add(a, b)\n    return a + b\n```",
]


def boxed(answer: str) -> str:
    return f"Working it out, we get $\\boxed{{{answer}}}$."


def pairs(inputs: Path) -> list[tuple[str, str]]:
    """(gold, response) of the tables and of the docs."""
    found = []
    for name in ("pairs.txt", "kinds.txt"):
        for line in (inputs / "tests/verifiers/math" / name).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                gold, answer = line.split(" | ", 1)[1].rsplit(" | ", 1)[0].split(" | ", 1)
                text = (
                    answer[2:].replace("\\n\\n", "\n\n").replace("\\n", "\n")
                    if answer.startswith(">>")
                    else boxed(answer)
                )
                found.append((gold, text))
    docs = (inputs / "docs/math.md").read_text(encoding="utf-8")
    for block in re.findall(r"```(?:pairs|unevaluated)\n(.*?)```", docs, re.DOTALL):
        found += [
            (gold, boxed(answer)) for gold, answer, _ in (line.split(" :: ") for line in block.strip().splitlines())
        ]
    return found


def fuzz(count: int) -> list[tuple[str, str]]:
    """Random strings of the grammar's own pieces, and right answers with a few characters changed."""
    drawn, found = random.Random(20260), []
    for number in range(count):
        if number % 3:
            text = "".join(drawn.choice(PIECES) for _ in range(drawn.randint(1, 12)))
            gold = GOLDS[number % len(GOLDS)]
        else:
            gold = SEEDS[number % len(SEEDS)]
            letters = list(gold)
            for _ in range(drawn.randint(1, 3)):
                place = drawn.randrange(len(letters))
                letters[place] = drawn.choice(["", "{", "}", "\\", "(", "^", "1", letters[place] * 3])
            text = "".join(letters)
        found.append((gold, boxed(text)))
    return found


def verdict(score: Any) -> list[Any]:
    return [score.value, score.status, score.extracted, score.reason]


def verdict_of(judge: Any, response: str, gold: str) -> Any:
    try:
        return verdict(judge(response=response, answer=gold))
    except (ValueError, TypeError) as error:  # a letter is no gold of the verifier of numbers
        return f"{type(error).__name__}: {error}"


def math(inputs: Path, quick: bool) -> dict[str, Any]:
    """By (gold, response): value, status, what was extracted and why."""
    from grpo_kit.verifiers.math import equal, verify

    found: dict[str, Any] = {}
    tables = pairs(inputs)
    for mode in ("default",) if quick else ("default", "strict", "lenient"):
        for gold, response in tables:
            found[f"{mode}: {gold} <- {response}"] = verdict(verify(response, gold, mode))
    for gold, response in fuzz(600 if quick else 3000):
        found[f"fuzz: {gold} <- {response}"] = verdict(verify(response, gold))
    for gold, response in tables[:: 8 if quick else 2]:
        found[f"equal: {gold} <- {response}"] = equal(gold, response)
    return found


def answers(inputs: Path) -> dict[str, Any]:
    """The tables of final answers, by each verifier that looks for one."""
    from grpo_kit.verifiers import get_verifier

    judges = {name: get_verifier(name) for name in ("choice", "exact", "math", "number")}
    found: dict[str, Any] = {}
    for table in ("letters.txt", "values.txt", "numbers.txt"):
        for line in (inputs / "tests/verifiers/final_answer" / table).read_text(encoding="utf-8").splitlines():
            if " :: " in line and not line.startswith("#"):
                gold, response, _ = line.split(" :: ")
                text = re.sub(r"\\n(?!eq)", "\n", response)
                for name, judge in judges.items():
                    found[f"{name}: {gold} <- {response}"] = verdict_of(judge, text, gold)
    return found


def ended(reason: str) -> str:
    """Of two processes that end together, which is seen first is a race."""
    return ENDED.sub("ended", reason)


def sandbox(inputs: Path, quick: bool) -> dict[str, Any]:
    """Programs that cheat, look out, break things, and honest ones; and programs taken out of responses."""
    from grpo_kit.sandbox import Limits, Sandbox
    from grpo_kit.verifiers import get_verifier

    programs = runpy.run_path(str(inputs / "tests/sandbox/attack_programs.py"))
    patient = Limits(cpu_s=1, wall_s=60, processes=16)
    found: dict[str, Any] = {}
    with Sandbox(patient, workers=1) as box:
        for kind in ("HONEST", "REFEREED", "REWARD"):
            for name, code in list(programs[kind].items())[:: 3 if quick else 1]:
                tests, entry = (SCRIPT, "area") if kind == "REFEREED" else (TESTS, "add")
                result = box.run_tests(code, tests, entry_point=entry, limits=patient)
                verdicts = [[test.verdict, ended(test.reason)] for test in result.tests]
                found[f"{kind}: {name}"] = [
                    result.verdict, result.grading, ended(result.reason), result.sandbox_error, verdicts
                ]  # fmt: skip
        for kind, test in (
            ("stdio", {"input": "1 2\n", "output": "3\n"}),
            ("function", {"input": [1, 2], "output": 3}),
        ):
            code = "print(sum(map(int, input().split())))\ndef add(a, b): return a + b"
            result = box.run_tests(code, [test], entry_point="add", kind=kind, limits=patient)
            found[f"kind {kind}"] = [result.verdict, result.reason, result.stdout]
    judge = get_verifier("code")
    for response in RESPONSES:
        found[f"code: {response}"] = verdict(judge(response=response, answer={"tests": TESTS, "entry_point": "add"}))
    return found


def digests(inputs: Path) -> dict[str, str]:
    """Hashes of what `math` and `answers` give, by table."""
    texts: dict[str, list[str]] = {}
    for key, found in [*math(inputs, quick=True).items(), *answers(inputs).items()]:
        texts.setdefault(key.partition(":")[0], []).append(f"{key}: {found}")
    return {name: hashlib.sha256("\n".join(lines).encode()).hexdigest() for name, lines in texts.items()}
