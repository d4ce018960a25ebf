"""Procedural tasks: short prompts, exact answers, worked demonstrations, and held-out sets that training never meets.

Whether a problem is held out is decided by a hash of the problem itself, so a training stream and an evaluation set are
disjoint whatever their seeds.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.types import Task

HELD_OUT_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem with a gold answer and a worked solution that ends in a box."""

    prompt: str
    answer: Any
    demonstration: str
    meta: dict[str, Any]


def boxed(answer: Any) -> str:
    return f"\\boxed{{{answer}}}"


def addition(rng: random.Random, level: int) -> Problem:
    """Add two numbers of ``level + 1`` digits, column by column from the right: ``47+85=``."""
    top = 10 ** (level + 1)
    a, b = rng.randrange(top), rng.randrange(top)
    steps, carry = [], 0
    for place in range(level + 1):
        x, y = a // 10**place % 10, b // 10**place % 10
        terms = f"{x}+{y}+{carry}" if carry else f"{x}+{y}"
        total = x + y + carry
        steps.append(f"{terms}={total}")
        carry = total // 10
    return Problem(f"{a}+{b}=", str(a + b), f"{' '.join(steps)} {boxed(a + b)}", {})


def chain_sum(rng: random.Random, level: int) -> Problem:
    """Add and subtract ``level + 2`` one-digit numbers from left to right: ``7+5-9=``."""
    value = rng.randrange(10)
    prompt, steps = str(value), []
    for _ in range(level + 1):
        sign, term = rng.choice("+-"), rng.randrange(10)
        result = value + term if sign == "+" else value - term
        prompt += f"{sign}{term}"
        steps.append(f"{value}{sign}{term}={result}")
        value = result
    return Problem(f"{prompt}=", str(value), f"{' '.join(steps)} {boxed(value)}", {})


def sort_letters(rng: random.Random, level: int) -> Problem:
    """Sort ``level + 3`` letters: ``sort qbda``."""
    letters = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(level + 3))
    ordered = "".join(sorted(letters))
    return Problem(f"sort {letters}", ordered, boxed(ordered), {})


def count_letters(rng: random.Random, level: int) -> Problem:
    """Count a letter in a word of ``4 * level + 4`` letters, position by position: ``a in banana``."""
    word = "".join(rng.choice("abcd") for _ in range(4 * level + 4))
    letter, count, steps = rng.choice("abcd"), 0, []
    for symbol in word:
        count += symbol == letter
        steps.append(f"{symbol}{count}")
    return Problem(f"{letter} in {word}", str(count), f"{' '.join(steps)} {boxed(count)}", {})


def countdown(rng: random.Random, level: int) -> Problem:
    """Make a target from ``level + 2`` numbers with + - *, each used once: ``make 14 from 2 3 8``."""
    numbers = [rng.randrange(1, 10) for _ in range(level + 2)]
    shuffled = rng.sample(numbers, len(numbers))
    expression, value, steps = str(shuffled[0]), shuffled[0], []
    for term in shuffled[1:]:
        sign = rng.choice("+-*")
        result = {"+": value + term, "-": value - term, "*": value * term}[sign]
        steps.append(f"{value}{sign}{term}={result}")
        expression, value = f"({expression}){sign}{term}" if steps[1:] else f"{expression}{sign}{term}", result
    return Problem(
        f"make {value} from {' '.join(map(str, numbers))}",
        expression,
        f"{' '.join(steps)} {boxed(expression)}",
        {"numbers": numbers, "target": value},
    )


TASKS: dict[str, Callable[[random.Random, int], Problem]] = {
    "addition": addition,
    "chain_sum": chain_sum,
    "sort_letters": sort_letters,
    "count_letters": count_letters,
    "countdown": countdown,
}


class ProceduralSource:
    """An endless, random-access source of tasks: task i depends only on (name, level, seed, held_out, i)."""

    def __init__(self, name: str, level: int, seed: int, held_out: bool) -> None:
        if name not in TASKS:
            raise UserError(f"data.task: there is no procedural task {name!r}; there are {', '.join(TASKS)}")
        self.name, self.level, self.seed, self.held_out = name, level, seed, held_out

    def __len__(self) -> int:
        raise TypeError("a procedural source has no end")

    @property
    def size(self) -> None:
        return None

    @property
    def fingerprint(self) -> str:
        return f"procedural:{self.name}:level={self.level}:seed={self.seed}:held_out={self.held_out}"

    def problem(self, index: int) -> Problem:
        """Problem ``index``, drawn again until it lies on this source's side of the split."""
        rng = random.Random(f"{self.name}/{self.level}/{self.seed}/{self.held_out}/{index}")
        for _ in range(100_000):
            problem = TASKS[self.name](rng, self.level)
            if is_held_out(problem.prompt) == self.held_out:
                return problem
        raise UserError(f"data.task: {self.name} at level {self.level} has too few problems to hold some out")

    def task(self, index: int) -> Task:
        problem = self.problem(index)
        messages = ({"role": "user", "content": problem.prompt},)
        return Task(f"{self.name}/{problem.prompt}", messages, problem.answer, problem.meta)  # type: ignore[arg-type]

    def unique_tasks(self, count: int) -> list[Task]:
        """The first ``count`` different tasks of the stream: an evaluation set counts no problem twice."""
        found: dict[str, Task] = {}
        for index in range(count * 50):
            task = self.task(index)
            found.setdefault(task.id, task)
            if len(found) == count:
                return list(found.values())
        raise UserError(f"evaluation.tasks: {self.name} at level {self.level} has only {len(found)} held-out problems")


def is_held_out(prompt: str) -> bool:
    digest = hashlib.blake2b(prompt.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") < HELD_OUT_SHARE * 2**64
