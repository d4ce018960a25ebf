"""Every example of docs/grading.md, and the verdicts that it tells."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from grpo_kit.sandbox import Limits, Sandbox, TestError
from tests.kit.places import ROOT

PAGE = (ROOT / "docs" / "grading.md").read_text(encoding="utf-8")
LIMITS = Limits(cpu_s=1, wall_s=10)


@dataclass(frozen=True)
class Example:
    setup: str
    program: str
    entry_point: str | None
    test: str
    verdict: str


def examples() -> list[Example]:
    return [example for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) for example in _of(block)]


def _of(block: str) -> list[Example]:
    code, told, tests = re.split(r"^# the tests(?:; entry point: (\w+))?\n", block, maxsplit=1, flags=re.MULTILINE)
    setup, _, program = code.rpartition("# the program\n")
    parts = re.split(r" *# (passes|fails|refused)\b.*\n", tests)
    assert not parts.pop().strip(), "a test without its verdict"
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [Example(setup, program, told, test.strip(), verdict) for test, verdict in pairs]


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(LIMITS, workers=1) as made:
        yield made


@pytest.mark.parametrize("example", examples(), ids=lambda e: e.test.splitlines()[-1])
def test_example(sandbox, example):
    def judged():
        return sandbox.run_tests(example.program, [example.test], entry_point=example.entry_point, setup=example.setup)

    if example.verdict == "refused":
        with pytest.raises(TestError):
            judged()
        return
    result = judged()
    assert result.verdict == {"passes": "pass", "fails": "fail"}[example.verdict], result.reason
    assert not result.reason.startswith(("NameError", "SyntaxError", "ImportError"))


def test_there_are_examples():
    assert len(examples()) >= 50
