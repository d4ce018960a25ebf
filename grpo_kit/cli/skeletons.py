"""What ``grpo-kit verifiers new`` writes: a verifier of each kind, with cases that it passes and a pytest file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Kind(StrEnum):
    plain = "plain"
    batch = "batch"
    group = "group"
    async_ = "async"


@dataclass(frozen=True)
class Skeleton:
    """Templates with ``__NAME__``, ``__FILE__`` and ``__CASES__`` in them; format fields would clash with the code's braces."""

    verifier: str
    cases: tuple[dict[str, Any], ...]

    def write(self, file: Path, test: Path, cases: Path) -> None:
        name = file.stem
        texts = {
            file: HEAD + self.verifier,
            test: TEST,
            cases: "".join(json.dumps(case) + "\n" for case in self.cases),
        }
        for path, text in texts.items():
            named = text.replace("__FILE__", file.name).replace("__CASES__", cases.name).replace("__NAME__", name)
            path.write_text(named, encoding="utf-8")


HEAD = '''"""A verifier. Test it:  grpo-kit verifiers test __FILE__:__NAME__ --cases __CASES__"""

'''
LAST_LINE = """

def last_line(response: str) -> str:
    lines = response.strip().splitlines()
    return lines[-1].strip() if lines else ""
"""
PLAIN = '''from grpo_kit.verifiers import Score, verifier


@verifier(name="__NAME__", timeout=5.0, version="1")
def __NAME__(response: str, answer) -> Score:
    """1 when the last line of the response is the answer."""
    given = last_line(response)
    return Score(float(given == str(answer)), extracted=given)
'''
BATCH = '''from grpo_kit.verifiers import Score, verifier


@verifier(name="__NAME__", batch=True, timeout=30.0, version="1")
def __NAME__(response: list[str], answer: list) -> list[Score]:
    """1 when the last line of a response is its answer; one call for responses of many tasks, with one deadline."""
    given = [last_line(text) for text in response]
    return [Score(float(text == str(gold)), extracted=text) for text, gold in zip(given, answer, strict=True)]
'''
GROUP = '''from grpo_kit.verifiers import Score, verifier


@verifier(name="__NAME__", group=True, timeout=5.0, version="1")
def __NAME__(response: list[str], answer) -> list[Score]:
    """All responses to one task: 1 for the shortest right one, down to 0.5 for the longest; 0 for wrong ones."""
    given = [last_line(text) for text in response]
    lengths = [len(text) for text, found in zip(response, given, strict=True) if found == str(answer)]
    low, high = min(lengths, default=0), max(lengths, default=0)

    def value(text: str, found: str) -> float:
        if found != str(answer):
            return 0.0
        return 1.0 - 0.5 * (len(text) - low) / (high - low) if high > low else 1.0

    return [Score(value(text, found), extracted=found) for text, found in zip(response, given, strict=True)]
'''
ASYNC = '''import asyncio

from grpo_kit.verifiers import Score, verifier


@verifier(name="__NAME__", timeout=30.0, concurrency=16, version="1")
async def __NAME__(response: str, answer) -> Score:
    """1 when the service says so; up to 16 calls wait side by side in one worker."""
    given = last_line(response)
    return Score(await ask(given, str(answer)), extracted=given)


async def ask(given: str, answer: str) -> float:
    """The call to your service stands here (`await client.post(...)`); until then, texts are compared."""
    await asyncio.sleep(0)
    return float(given == answer)
'''
TEST = '''"""Run with pytest. A case is a response, or a list of them that is scored in one call."""

import json
from pathlib import Path

import pytest

from grpo_kit.verifiers import get_verifier

HERE = Path(__file__).parent
CASES = [json.loads(line) for line in (HERE / "__CASES__").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", CASES)
def test___NAME__(case):
    several = isinstance(case["response"], list)
    responses = case["response"] if several else [case["response"]]
    asked = [{**case, "response": response} for response in responses]
    scores = get_verifier(f"{HERE / '__FILE__'}:__NAME__").score_many(asked)
    assert [score.value for score in scores] == (case["expected"] if several else [case["expected"]])
'''
SINGLE_CASES = (
    {"response": "Six times seven is\n42", "answer": "42", "expected": 1.0},
    {"response": "41", "answer": "42", "expected": 0.0},
    {"response": "41, or\n42, or 43", "answer": "42", "expected": 0.0},
)
GROUP_CASES = (
    {"response": ["42", "Six times seven is\n42", "41"], "answer": "42", "expected": [1.0, 0.5, 0.0]},
    {"response": ["41", "7"], "answer": "42", "expected": [0.0, 0.0]},
)
SKELETONS = {
    Kind.plain: Skeleton(PLAIN + LAST_LINE, SINGLE_CASES),
    Kind.batch: Skeleton(BATCH + LAST_LINE, SINGLE_CASES),
    Kind.group: Skeleton(GROUP + LAST_LINE, GROUP_CASES),
    Kind.async_: Skeleton(ASYNC + LAST_LINE, SINGLE_CASES),
}
