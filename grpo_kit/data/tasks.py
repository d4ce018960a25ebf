"""Procedural tasks: short prompts, exact answers, worked demonstrations, and held-out sets that training never meets.

Whether a problem is held out is decided by a hash of the problem itself, so a training stream and an evaluation set are
disjoint whatever their seeds.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.types import Message, Task

from .conversations import PLAIN, framed
from .problem import Problem, written_call
from .word_problems import (
    VERSION,
    of_held_out_templates,
    one_step_held_out,
    one_step_problems,
    tool_word_problems,
    tool_word_problems_held_out,
    word_problems,
)

HELD_OUT_SHARE = 0.1
PATIENCE = 2000  # draws without a new problem after which a small problem space counts as exhausted


def boxed(answer: Any) -> str:
    return f"\\boxed{{{answer}}}"


def slipped(rng: random.Random, value: int) -> int:
    """A result that is off by one: the mistake of somebody in a hurry."""
    return value + (1 if value == 0 else rng.choice((-1, 1)))


def addition(rng: random.Random, level: int, slip: bool = False) -> Problem:
    """Add two numbers of ``level + 1`` digits, column by column from the right: ``47+85=``."""
    places = level + 1
    a, b = rng.randrange(10**places), rng.randrange(10**places)
    bad = rng.randrange(places) if slip else None
    steps, carry, value = [], 0, 0
    for place in range(places):
        x, y = a // 10**place % 10, b // 10**place % 10
        total = x + y + carry
        total = slipped(rng, total) if place == bad else total
        steps.append(f"{x}+{y}+{carry}={total}" if carry else f"{x}+{y}={total}")
        carry, digit = divmod(total, 10)
        value += digit * 10**place
    value += carry * 10**places
    return Problem(f"{a}+{b}=", str(a + b), f"{' '.join(steps)} {boxed(value)}", {})


def chain_sum(rng: random.Random, level: int, slip: bool = False) -> Problem:
    """Add and subtract ``level + 2`` one-digit numbers from left to right: ``7+5-9=``."""
    first = rng.randrange(10)
    terms = [(rng.choice("+-"), rng.randrange(10)) for _ in range(level + 1)]
    bad = rng.randrange(len(terms)) if slip else None
    value, answer, steps = first, first, []
    for index, (sign, term) in enumerate(terms):
        change = term if sign == "+" else -term
        answer += change
        result = slipped(rng, value + change) if index == bad else value + change
        steps.append(f"{value}{sign}{term}={result}")
        value = result
    prompt = f"{first}{''.join(f'{sign}{term}' for sign, term in terms)}="
    return Problem(prompt, str(answer), f"{' '.join(steps)} {boxed(value)}", {})


def sort_letters(rng: random.Random, level: int, slip: bool = False) -> Problem:
    """Sort ``level + 3`` different letters: ``sort qbda``."""
    letters = "".join(rng.sample("abcdefghijklmnopqrstuvwxyz", level + 3))
    ordered = sorted(letters)
    written = list(ordered)
    if slip:
        at = rng.randrange(len(written) - 1)
        written[at], written[at + 1] = written[at + 1], written[at]
    return Problem(f"sort {letters}", "".join(ordered), boxed("".join(written)), {})


def count_letters(rng: random.Random, level: int, slip: bool = False) -> Problem:
    """Count a letter in a word of ``4 * level + 4`` letters, position by position: ``a in banana``."""
    word = "".join(rng.choice("abcd") for _ in range(4 * level + 4))
    letter = rng.choice("abcd")
    bad = rng.randrange(len(word)) if slip else None
    count, steps = 0, []
    for index, symbol in enumerate(word):
        count += symbol == letter
        count = slipped(rng, count) if index == bad else count
        steps.append(f"{symbol}{count}")
    return Problem(f"{letter} in {word}", str(word.count(letter)), f"{' '.join(steps)} {boxed(count)}", {})


def countdown(rng: random.Random, level: int, slip: bool = False) -> Problem:
    """Make a target from ``level + 2`` numbers with + - *, each used once: ``make 14 from 2 3 8``."""
    numbers = [rng.randrange(1, 10) for _ in range(level + 2)]
    shuffled = rng.sample(numbers, len(numbers))
    signs = [rng.choice("+-*") for _ in shuffled[1:]]
    bad = rng.randrange(len(signs)) if slip else None
    value, expression, steps, written = shuffled[0], str(shuffled[0]), [], str(shuffled[0])
    for index, (sign, term) in enumerate(zip(signs, shuffled[1:], strict=True)):
        result = {"+": value + term, "-": value - term, "*": value * term}[sign]
        steps.append(f"{value}{sign}{term}={result}")
        expression = f"({expression}){sign}{term}" if index else f"{expression}{sign}{term}"
        other = rng.choice([s for s in "+-*" if s != sign]) if index == bad else sign
        written = f"({written}){other}{term}" if index else f"{written}{other}{term}"
        value = result
    return Problem(
        f"make {value} from {' '.join(map(str, numbers))}",
        expression,
        f"{' '.join(steps)} {boxed(written)}",
        {"numbers": numbers, "target": value},
    )


def one_line_function(rng: random.Random, level: int, slip: bool = False) -> Problem:
    """Write a function of ``level + 1`` operations, judged by running it: ``f(x): add 3, times 2``."""
    words = {"+": "add", "-": "minus", "*": "times"}
    steps = [(rng.choice("+-*"), rng.randrange(2, 10)) for _ in range(level + 1)]
    inputs = rng.sample(range(-9, 30), 4)
    bad = rng.randrange(len(steps)) if slip else None
    tests, code = [], "x"
    for given in inputs:
        value = given
        for sign, number in steps:
            value = {"+": value + number, "-": value - number, "*": value * number}[sign]
        tests.append(f"assert f({given}) == {value}")
    for index, (sign, number) in enumerate(steps):
        code = f"({code}){sign}" if index else f"{code}{sign}"
        code += str(slipped(rng, number) if index == bad else number)
    prompt = f"f(x): {', '.join(f'{words[sign]} {number}' for sign, number in steps)}"
    answer = {"kind": "assert", "tests": tests, "entry_point": "f"}
    return Problem(prompt, answer, f"def f(x): return {code}", {})


def big_arithmetic(rng: random.Random, level: int, slip: bool = False) -> Problem:
    """Multiply two numbers of ``level + 1`` digits, which is more than a small model does by itself: ``48*73=``.

    A demonstration asks the tool `calculator`; one with a slip calculates without it, and not quite right.
    """
    low, high = 10**level, 10 ** (level + 1)
    a, b = rng.randrange(low, high), rng.randrange(low, high)
    if slip:
        return Problem(f"{a}*{b}=", str(a * b), boxed(slipped(rng, a * b)), {})
    call = written_call("calculator", expression=f"{a}*{b}")
    return Problem(f"{a}*{b}=", str(a * b), boxed(a * b), {}, turns=((call, str(a * b)),))


def guess_number(rng: random.Random, level: int, slip: bool = False) -> Problem:
    """A number among ``2**(level + 2) - 1`` that the environment `guess_number` thinks of: ``guess 4201 to 4207``.

    The prompt is the same for all of a range. A demonstration halves what is left, and is through after ``level + 2`` guesses
    at most; one with a slip guesses at random in the whole range, as if nobody had answered, until that many are made.
    """
    width = 2 ** (level + 2) - 1
    low = 100 * rng.randint(1, 99) + 1
    high = low + width - 1
    secret = rng.randint(low, high)
    turns, guess, left = [], 0, (low, high)
    for _ in range(level + 2):
        guess = rng.randint(low, high) if slip else sum(left) // 2
        if guess == secret:
            break
        turns.append((str(guess), "higher" if guess < secret else "lower"))
        left = (guess + 1, left[1]) if guess < secret else (left[0], guess - 1)
    last = str(guess) if guess == secret else turns.pop()[0]
    prompt = f"guess {low} to {high}"
    return Problem(
        prompt, str(secret), last, {"low": low, "high": high}, key=f"{secret} in {prompt}", turns=tuple(turns)
    )


TASKS: dict[str, Callable[[random.Random, int, bool], Problem]] = {
    "addition": addition,
    "chain_sum": chain_sum,
    "sort_letters": sort_letters,
    "count_letters": count_letters,
    "countdown": countdown,
    "one_line_function": one_line_function,
    "word_problems": word_problems,
    "word_problems_seen": word_problems,
    "one_step_problems": one_step_problems,
    "big_arithmetic": big_arithmetic,
    "guess_number": guess_number,
    "tool_word_problems": tool_word_problems,
}

# Tasks whose held-out problems are of other kinds than those that are trained on, not only other numbers.
HELD_OUT_KINDS: dict[str, Callable[[random.Random, int, bool], Problem]] = {
    "word_problems": of_held_out_templates,
    "one_step_problems": one_step_held_out,
    "tool_word_problems": tool_word_problems_held_out,
}

# Of tasks whose text may change from one release to the next: it counts in the fingerprint.
VERSIONS = dict.fromkeys(("word_problems", "word_problems_seen", "one_step_problems", "tool_word_problems"), VERSION)

# The shipped verifier that tells whether an answer to a task is right.
VERIFIERS = {
    "addition": "math",
    "chain_sum": "math",
    "sort_letters": "exact",
    "count_letters": "math",
    "countdown": "countdown",
    "one_line_function": "code",
    "word_problems": "math",
    "word_problems_seen": "math",
    "one_step_problems": "math",
    "big_arithmetic": "math",
    "guess_number": "number",
    "tool_word_problems": "math",
}


class ProceduralSource:
    """A random-access source of tasks, endless by itself: task i depends only on (name, level, seed, held_out, i).

    Args:
        template, system: what stands around each problem (`framed`); which problem is held out does not depend on them.
        limit: only the first so many different problems.
    """

    def __init__(
        self,
        name: str,
        level: int,
        seed: int,
        held_out: bool,
        *,
        template: str = PLAIN,
        system: str | None = None,
        limit: int | None = None,
    ) -> None:
        if name not in TASKS:
            raise UserError(f"data.task: there is no procedural task {name!r}; there are {', '.join(TASKS)}")
        self.name, self.level, self.seed, self.held_out = name, level, seed, held_out
        self.template, self.system = template, system or None
        self._chosen: list[int] | None = None
        if limit is not None:
            self._chosen = self.unique_indices(limit, "data.limit")

    @property
    def size(self) -> int | None:
        return None if self._chosen is None else len(self._chosen)

    @property
    def fingerprint(self) -> str:
        # Runs recorded before there was a frame go on with the data they had.
        frame = f"{self.system}\x1f{self.template}"
        around = "" if (self.template, self.system) == (PLAIN, None) else f":{_digest(frame):016x}"
        version = f":version={VERSIONS[self.name]}" if self.name in VERSIONS else ""
        limit = "" if self._chosen is None else f":limit={len(self._chosen)}"
        return f"procedural:{self.name}:level={self.level}:seed={self.seed}:held_out={self.held_out}{limit}{version}{around}"

    def problem(self, index: int, slip: bool = False) -> Problem:
        """Problem ``index``, drawn again until it lies on this source's side of the split."""
        kinds = TASKS | HELD_OUT_KINDS if self.held_out else TASKS
        index = index if self._chosen is None else self._chosen[index]
        for attempt in range(100_000):
            rng = random.Random(f"{self.name}/{self.level}/{self.seed}/{self.held_out}/{index}/{attempt}")
            problem = kinds[self.name](rng, self.level, slip)
            if is_held_out(problem.identity) == self.held_out:
                return problem
        raise UserError(f"data.task: {self.name} at level {self.level} has too few problems to hold some out")

    def task(self, index: int) -> Task:
        problem = self.problem(index)
        asked = [Message(role="user", content=problem.prompt)]
        messages = framed(asked, self.template, self.system, f"data.task: {self.name}")
        return Task(f"{self.name}/{problem.identity}", messages, problem.answer, problem.meta)

    def unique_tasks(self, count: int) -> list[Task]:
        """The first ``count`` different tasks of the stream: an evaluation set counts no problem twice."""
        return [self.task(index) for index in self.unique_indices(count)]

    def unique_indices(self, count: int, key: str = "evaluation.tasks") -> list[int]:
        """Where in the stream they stand. Raises UserError where there are fewer."""
        found: dict[str, int] = {}
        index = last_new = 0
        while len(found) < count and index - last_new < PATIENCE:
            identity = self.problem(index).identity
            if identity not in found:
                found[identity] = last_new = index
            index += 1
        if len(found) == count:
            return list(found.values())
        kind = "held-out problems" if self.held_out else "problems"
        raise UserError(f"{key}: {self.name} at level {self.level} has only {len(found)} {kind}")


def is_held_out(identity: str) -> bool:
    return _digest(identity) < HELD_OUT_SHARE * 2**64


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
