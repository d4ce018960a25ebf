"""Word problems in plain English: templates of one to three steps, filled with names, things and numbers.

The templates are data (``word_problems.yaml``). A problem's answer is that of its worked solution, which is calculated step by
step in exact fractions; numbers are drawn again until every step is one that people and things can take.
"""

from __future__ import annotations

import ast
import functools
import operator
import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from grpo_kit.errors import UserError

from .problem import Problem, written_call

# Counts in the fingerprint of the data: a run goes on only with the text that it began with.
VERSION = 2
LEVELS = (1, 2, 3, 4)
ONE_STEP_LEVELS = {1: "+-", 2: "+-*/"}  # the operations of each
ASIDE_SHARE = 0.2  # of the problems whose first word is a person
DRAWS = 10_000  # of numbers, until all of a template's conditions hold
LOOK_UP = "Look up the number that each letter in brackets stands for."
PRONOUNS = {"she": ("she", "her", "her"), "he": ("he", "him", "his")}
IRREGULAR = {
    "child": "children",
    "person": "people",
    "sheep": "sheep",
    "goose": "geese",
    "shelf": "shelves",
    "mango": "mangoes",
}
Numbers = dict[str, Fraction]
OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


@dataclass(frozen=True, slots=True)
class Template:
    """One kind of problem; the file says what its entries mean."""

    name: str
    level: int
    numbers: Mapping[str, str | list[int]]
    story: str
    steps: Mapping[str, str]
    answer: str
    held_out: bool = False
    places: int = 0
    where: tuple[str, ...] = ()
    words: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Book:
    """All that the file holds."""

    people: Mapping[str, list[str]]
    nouns: Mapping[str, list[str]]
    asides: tuple[Mapping[str, Any], ...]
    templates: tuple[Template, ...]
    one_step: tuple[Template, ...]

    def templates_of(self, level: int, held_out: bool) -> list[Template]:
        return [t for t in self.templates if (t.level, t.held_out) == (level, held_out)]

    def one_step_of(self, operation: str, held_out: bool) -> list[Template]:
        found = self.templates_of(1, held_out) if operation == "+" else self.one_step
        return [t for t in found if t.held_out == held_out and operation in t.answer]


def word_problems(rng: random.Random, level: int, slip: bool = False) -> Problem:
    """A problem of the templates that are trained on.

    Args:
        level: 1: one addition of small numbers; 2: one addition or subtraction; 3: one multiplication or division, or two
            steps; 4: three steps.

    Raises:
        UserError: there is no such level.
    """
    return _problem(rng, level, slip, held_out=False)


def of_held_out_templates(rng: random.Random, level: int, slip: bool = False) -> Problem:
    """As `word_problems`, of the templates that no training source draws from."""
    return _problem(rng, level, slip, held_out=True)


def one_step_problems(rng: random.Random, level: int, slip: bool = False) -> Problem:
    """One operation of small numbers, each operation as often as the others.

    Args:
        level: 1: additions and subtractions; 2: multiplications and divisions, too.

    Raises:
        UserError: there is no such level.
    """
    return _one_step(rng, level, slip, held_out=False)


def one_step_held_out(rng: random.Random, level: int, slip: bool = False) -> Problem:
    """As `one_step_problems`, of the templates that no training source draws from."""
    return _one_step(rng, level, slip, held_out=True)


def tool_word_problems(rng: random.Random, level: int, slip: bool = False) -> Problem:
    """As `word_problems`, with names for the numbers, which the tool ``lookup`` tells (``meta["hidden"]``: name -> number).

    A demonstration looks every number up, one turn after the other.
    """
    return _hidden(word_problems(rng, level, slip))


def tool_word_problems_held_out(rng: random.Random, level: int, slip: bool = False) -> Problem:
    """As `of_held_out_templates`, with names for the numbers."""
    return _hidden(of_held_out_templates(rng, level, slip))


def _hidden(problem: Problem) -> Problem:
    numbers: dict[str, str] = {}

    def named(match: re.Match[str]) -> str:
        name = chr(ord("A") + len(numbers))
        numbers[name] = match[0]
        return f"[{name}]"

    asked = re.sub(r"[0-9]+(?:\.[0-9]+)?", named, problem.prompt)
    meta = {**problem.meta, "hidden": numbers}
    turns = tuple((written_call("lookup", name=name), number) for name, number in numbers.items())
    return Problem(f"{asked} {LOOK_UP}", problem.answer, problem.demonstration, meta, key=problem.prompt, turns=turns)


@functools.cache
def read_book() -> Book:
    source = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    templates, one_step = (tuple(Template(**entry) for entry in source[name]) for name in ("templates", "one_step"))
    return Book(source["people"], source["nouns"], tuple(source["asides"]), templates, one_step)


def _problem(rng: random.Random, level: int, slip: bool, held_out: bool) -> Problem:
    _check("word_problems", level, LEVELS)
    return fill(read_book(), rng.choice(read_book().templates_of(level, held_out)), rng, slip)


def _one_step(rng: random.Random, level: int, slip: bool, held_out: bool) -> Problem:
    _check("one_step_problems", level, ONE_STEP_LEVELS)
    operation = rng.choice(ONE_STEP_LEVELS[level])
    return fill(read_book(), rng.choice(read_book().one_step_of(operation, held_out)), rng, slip)


def _check(task: str, level: int, levels: Iterable[int]) -> None:
    if level not in levels:
        raise UserError(f"data.level: {task} has the levels {', '.join(map(str, levels))}, found {level}")


def fill(book: Book, template: Template, rng: random.Random, slip: bool = False) -> Problem:
    """A problem of one template."""
    numbers, results = _draw_numbers(template, rng)
    text = _Text(template.places, numbers | results, _draw_people(book, rng), _draw_words(book, template, rng))
    prompt = text.written(_with_aside(book, _chosen(template.story, rng), rng))
    answer = text.number(list(results.values())[-1])
    written = results if not slip else _with_slip(template, numbers, results, rng)
    meta = {"template": template.name, "expression": text.calculation(template.answer)}
    return Problem(prompt, answer, _solution(template, text.of(numbers | written), written), meta)


def _draw_numbers(template: Template, rng: random.Random) -> tuple[Numbers, Numbers]:
    """Numbers for which the conditions hold and every result is one that can be counted or paid; and these results."""
    for _ in range(DRAWS):
        numbers: Numbers = {}
        for name, drawn_from in template.numbers.items():
            numbers[name] = _draw(drawn_from, numbers, rng)
        results = _calculate(template, numbers)
        possible = all(_possible(value, template.places) for value in (*numbers.values(), *results.values()))
        if possible and all(_evaluate(condition, numbers) for condition in template.where):
            return numbers, results
    raise AssertionError(f"word problem {template.name}: no numbers were found for which its conditions hold")


def _draw(drawn_from: str | list[int], numbers: Numbers, rng: random.Random) -> Fraction:
    if isinstance(drawn_from, list):
        return Fraction(rng.choice(drawn_from))
    ends, _, step = drawn_from.partition(" by ")
    low, dots, high = ends.partition("..")
    if not dots:
        return Fraction(_evaluate(drawn_from, numbers))
    by = Fraction(step or 1)
    return Fraction(low) + by * rng.randint(0, (Fraction(high) - Fraction(low)) // by)


def _calculate(template: Template, numbers: Numbers, slip: tuple[str, Fraction] | None = None) -> Numbers:
    """The result of every step. slip: the step that goes wrong, and the result that it is given."""
    results: Numbers = {}
    for step in template.steps:
        name, operation = step.split(" = ")
        value = Fraction(_evaluate(operation, numbers | results))
        results[name] = slip[1] if slip is not None and slip[0] == name else value
    return results


def _evaluate(expression: str, numbers: Numbers) -> Any:
    """The file's own arithmetic, of whole numbers and the drawn fractions alone."""
    return _value(_parsed(expression), numbers)


@functools.cache
def _parsed(expression: str) -> ast.expr:
    return ast.parse(expression, "word_problems.yaml", "eval").body


def _value(node: ast.expr, numbers: Numbers) -> Any:
    match node:
        case ast.Constant(value=int() as number):
            return number
        case ast.Name(id=name):
            return numbers[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_value(left, numbers), _value(right, numbers))
        case ast.Compare(left=left, ops=ops, comparators=rights) if all(type(op) in OPERATORS for op in ops):
            values = [_value(part, numbers) for part in (left, *rights)]
            return all(OPERATORS[type(op)](x, y) for op, x, y in zip(ops, values, values[1:], strict=False))
        case ast.BoolOp(op=op, values=parts):
            return (all if isinstance(op, ast.And) else any)(_value(part, numbers) for part in parts)
    raise AssertionError(f"word_problems.yaml: {ast.unparse(node)} is no arithmetic")


def _possible(value: Fraction, places: int) -> bool:
    return value > 0 and (value * 10**places).denominator == 1


def _with_slip(template: Template, numbers: Numbers, results: Numbers, rng: random.Random) -> Numbers:
    """The results where one step is off by one; the last one, where nothing after the drawn one would come out even."""
    names = list(results)
    for name in (rng.choice(names), names[-1]):
        wrong = results[name] + rng.choice((-1, 1))
        found = _calculate(template, numbers, (name, wrong))
        if found[names[-1]] != results[names[-1]] and all(_possible(v, template.places) for v in found.values()):
            return found
    return results | {names[-1]: results[names[-1]] + 1}


def _draw_people(book: Book, rng: random.Random) -> dict[str, str]:
    drawn = rng.sample([(name, kind) for kind, names in book.people.items() for name in names], 3)
    forms: dict[str, str] = {}
    for letter, (name, kind) in zip("ABC", drawn, strict=True):
        subject, object_, possessive = PRONOUNS[kind]
        forms |= {letter: name, f"{letter}'s": f"{name}'s"}
        forms |= {f"{letter}.he": subject, f"{letter}.him": object_, f"{letter}.his": possessive}
        forms |= {f"{letter}.He": subject.capitalize(), f"{letter}.His": possessive.capitalize()}
    return forms


def _draw_words(book: Book, template: Template, rng: random.Random) -> dict[str, str]:
    words: dict[str, str] = {}
    for slot, kind in (template.words or {}).items():
        words[slot] = rng.choice([noun for noun in book.nouns[kind] if noun not in words.values()])
    return words


def _chosen(story: str, rng: random.Random) -> str:
    """The story with one of every ``[one|other]``."""
    return re.sub(r"\[([^]]*)\]", lambda match: rng.choice(match[1].split("|")), story)


def _with_aside(book: Book, story: str, rng: random.Random) -> str:
    """Now and then, something about the first person that has no part in the matter."""
    aside, wanted = rng.choice(book.asides), rng.random() < ASIDE_SHARE
    number = _draw(aside["numbers"]["n"], {}, rng)
    if not wanted or not story.startswith("{A} "):
        return story
    said = _Text(0, {"n": number}, {}, {}).written(aside["text"], capital=False)
    return story.replace("{A} ", f"{{A}}, {said}, ", 1)


def _solution(template: Template, text: _Text, results: Numbers) -> str:
    sentences = []
    for step, reason in template.steps.items():
        name, operation = step.split(" = ")
        sentences.append(f"{text.written(reason)}, so {text.calculation(operation)} = {text.number(results[name])}.")
    return " ".join([*sentences, f"The answer is {text.number(list(results.values())[-1])}."])


@dataclass(frozen=True)
class _Text:
    """What stands for the slots of a template.

    Attributes:
        places: decimals of a number that is not whole.
        numbers: the drawn ones and the results of the steps.
        people, words: by their slots.
    """

    places: int
    numbers: Numbers
    people: Mapping[str, str]
    words: Mapping[str, str]

    def of(self, numbers: Numbers) -> _Text:
        return _Text(self.places, numbers, self.people, self.words)

    def written(self, pattern: str, capital: bool = True) -> str:
        text = re.sub(r"\{([^}]*)\}", lambda match: self._slot(match[1]), pattern)
        return text[0].upper() + text[1:] if capital else text

    def calculation(self, expression: str) -> str:
        return re.sub(r"[a-z]", lambda match: self.number(self.numbers[match[0]]), expression)

    def number(self, value: Fraction) -> str:
        return str(value.numerator) if value.denominator == 1 else f"{float(value):.{self.places}f}"

    def _slot(self, slot: str) -> str:
        if slot in self.people:
            return self.people[slot]
        if slot in self.numbers:
            return self.number(self.numbers[slot])
        if slot in self.words:
            return self.words[slot]
        if slot.removesuffix("s") in self.words:
            return plural(self.words[slot.removesuffix("s")])
        first, _, noun = slot.partition(" ")
        noun = self.words.get(noun, noun)
        if first == "a":
            return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
        value = self.numbers[first]
        return f"{self.number(value)} {noun if value == 1 else plural(noun)}"


@functools.cache
def plural(noun: str) -> str:
    """``slice of pie`` -> ``slices of pie``."""
    head, of, rest = noun.partition(" of ")
    before, blank, last = head.rpartition(" ")
    if last in IRREGULAR:
        last = IRREGULAR[last]
    elif last.endswith(("s", "x", "ch", "sh")):
        last += "es"
    elif last.endswith("y") and last[-2] not in "aeiou":
        last = f"{last[:-1]}ies"
    else:
        last += "s"
    return f"{before}{blank}{last}{of}{rest}"
