"""Word problems: exact answers that three ways agree on, natural sentences, and templates that training never meets."""

import ast
import functools
import hashlib
import operator
import random
import re
from fractions import Fraction

import pytest

from grpo_kit.data.tasks import HELD_OUT_KINDS, TASKS, ProceduralSource
from grpo_kit.data.word_problems import LEVELS, ONE_STEP_LEVELS, VERSION, fill, plural, read_book
from grpo_kit.errors import UserError
from grpo_kit.verifiers import get_verifier

BOOK = read_book()
TEMPLATES = (*BOOK.templates, *BOOK.one_step)
PER_TEMPLATE = 40
# Of what the version says; whoever changes a template raises VERSION and puts the new digest here.
DIGESTS = {2: "4312167540dde483be89a26172cb7b1ab74b3f706eb2c079422866f40cc68431"}
ONE_STEP_DIGESTS = {2: "f7f3da7d621efe396b0f0610ed72f47103f15fc04e1dd1263778662242d17ab2"}


def problems(template, count=PER_TEMPLATE, slip=False):
    return [fill(BOOK, template, random.Random(f"{template.name}/{i}"), slip) for i in range(count)]


@functools.cache
def every():
    return [(template, problem) for template in TEMPLATES for problem in problems(template)]


def evaluate(node):
    """Exact arithmetic that shares nothing with the generator's."""
    operations = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
    if isinstance(node, ast.BinOp):
        return operations[type(node.op)](evaluate(node.left), evaluate(node.right))
    assert isinstance(node, ast.Constant)
    return Fraction(str(node.value))


def test_there_are_many_templates_of_every_level_and_operation_on_both_sides():
    assert len(BOOK.templates) >= 60
    assert len({t.name for t in TEMPLATES}) == len(TEMPLATES)
    for held_out, least in ((False, 12), (True, 6)):
        for level in LEVELS:
            found = BOOK.templates_of(level, held_out)
            assert len(found) >= least
            operations = set(re.findall(r" ([-+*/]) ", " ".join(step for t in found for step in t.steps)))
            assert operations == {1: set("+"), 2: set("+-")}.get(level, set("+-*/"))
    for template in BOOK.templates:
        steps = len(template.steps)
        one_product = bool(re.search(r"[*/]", " ".join(template.steps)))
        assert (template.level, steps) in ((1, 1), (2, 1), (3, 1), (3, 2), (4, 3))
        assert template.level > 2 or not one_product
        assert "a" not in template.numbers, "the article"


def test_the_answer_is_that_of_the_expression_and_of_the_worked_solution():
    for template, problem in every():
        answer = evaluate(ast.parse(problem.meta["expression"], mode="eval").body)
        equations = re.findall(r"so (\S+ [-+*/] \S+) = (\S+)\.(?= |$)", problem.demonstration)
        assert len(equations) == len(template.steps)
        for left, right in equations:
            assert evaluate(ast.parse(left, mode="eval").body) == Fraction(right), problem.demonstration
        assert Fraction(problem.answer) == answer == Fraction(equations[-1][1])
        assert problem.demonstration.endswith(f" The answer is {problem.answer}.")
        numbers = re.findall(r"\d+(?:\.\d+)?", problem.prompt)
        drawn = re.sub(r"\b[a-z]\b", "#", template.answer).count("#")
        used = re.findall(r"\d+(?:\.\d+)?", problem.meta["expression"])
        assert sum(number in numbers for number in used) >= drawn, "a number of the calculation is not in the problem"


def test_nothing_is_negative_none_or_in_parts():
    for template, problem in every():
        for value in re.findall(r"-?\d+(?:\.\d+)?", f"{problem.prompt} {problem.demonstration}"):
            assert Fraction(value) > 0
        in_parts = re.search(r"\d\.\d", problem.prompt + problem.demonstration)
        assert not in_parts or template.places, problem.prompt
        if template.places == 2:
            assert not re.search(r"\d\.\d(?!\d)", problem.prompt + problem.demonstration), "cents have two places"


def test_the_math_verifier_pays_the_worked_solution_and_no_slip():
    math = get_verifier("math")
    for template in TEMPLATES:
        for right, wrong in zip(problems(template, 10), problems(template, 10, slip=True), strict=True):
            assert (right.prompt, right.answer) == (wrong.prompt, wrong.answer)
            assert math(response=right.demonstration, answer=right.answer).value == 1.0
            assert math(response=wrong.demonstration, answer=right.answer).value == 0.0, wrong.demonstration


def test_a_slip_carries_through():
    template = next(t for t in BOOK.templates if t.name == "overtime")
    for problem in problems(template, slip=True):
        equations = re.findall(r"so (\S+ [-+*/] \S+) = (\S+)\.(?= |$)", problem.demonstration)
        wrong = [evaluate(ast.parse(left, mode="eval").body) != Fraction(right) for left, right in equations]
        assert sum(wrong) == 1, problem.demonstration


@pytest.mark.parametrize(
    ("noun", "many"),
    [
        ("box", "boxes"), ("cherry", "cherries"), ("toy car", "toy cars"), ("slice of pie", "slices of pie"), ("day", "days"),
        ("person", "people"), ("shelf", "shelves"), ("peach", "peaches"), ("bus", "buses"), ("sheep", "sheep"),
    ],
)  # fmt: skip
def test_plurals(noun, many):
    assert plural(noun) == many


def test_sentences_are_english():
    people = {name: kind for kind, names in BOOK.people.items() for name in names}
    nouns = {noun for kind in BOOK.nouns.values() for noun in kind} | {"hour", "day", "page", "dollar", "meter", "bird"}
    for _, problem in every():
        for text in (problem.prompt, problem.demonstration):
            assert not re.search(r"[{}\[\]|]|  | [.,?]|\.\.", text), text
            assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n (?!hour\b)[^aeiou]", text), text
            assert not re.search(r"(?<![.\d$])\b1 (?!dollar\b|Mill\b)\w+s\b", text), text
            for many, noun in re.findall(r"(?<![.\d])\b([2-9]|\d\d+) (\w+)\b", text):
                assert noun not in nouns or plural(noun) == noun, f"{many} {noun}: {text}"
            assert all(s[0].isupper() or s[0].isdigit() for s in re.split(r"(?<=[.?]) ", text)), text
        assert problem.prompt.endswith("?")
        named = [people[word] for word in re.findall(r"[A-Z][a-z]+", problem.prompt) if word in people]
        for she, pronouns in (("she", r"\b(she|her)\b"), ("he", r"\b(he|him|his)\b")):
            assert she in named or not re.search(pronouns, problem.prompt, re.IGNORECASE), problem.prompt


def test_some_problems_hold_numbers_that_have_no_part_in_them():
    beside = [
        p for _, p in every() if len(re.findall(r"\d+", p.prompt)) > len(re.findall(r"\d+", p.meta["expression"]))
    ]
    assert 0.08 < len(beside) / len(every()) < 0.5


@pytest.mark.parametrize("level", ONE_STEP_LEVELS)
def test_one_step_problems_are_of_each_operation_in_equal_parts(level):
    trained, unseen = (ProceduralSource("one_step_problems", level, 0, held_out) for held_out in (False, True))
    names = [{p.meta["template"] for p in map(source.problem, range(400))} for source in (trained, unseen)]
    assert len(names[0]) == {1: 35, 2: 59}[level]
    assert len(names[1]) == {1: 12, 2: 20}[level]
    assert not names[0] & names[1]
    for source in (trained, unseen):
        expressions = [p.meta["expression"] for p in map(source.problem, range(400))]
        counts = {o: sum(f" {o} " in e for e in expressions) for o in ONE_STEP_LEVELS[level]}
        assert sum(counts.values()) == 400
        assert min(counts.values()) > 0.7 * 400 / len(counts)
        assert all(evaluate(ast.parse(e, mode="eval").body) <= 90 for e in expressions)
    assert len(unseen.unique_tasks(256)) == 256


@pytest.mark.parametrize("level", LEVELS)
def test_held_out_problems_are_of_templates_that_are_never_trained_on(level):
    def drawn(name, held_out, count):
        source = ProceduralSource(name, level, 0, held_out)
        return {(p.prompt, p.meta["template"]) for p in map(source.problem, range(count))}

    trained = drawn("word_problems", False, 400)
    unseen, seen = drawn("word_problems", True, 60), drawn("word_problems_seen", True, 60)
    apart = {t.name for t in BOOK.templates if t.held_out}
    assert {template for _, template in trained | seen} & apart == set()
    assert {template for _, template in unseen} <= apart
    assert not trained & seen
    assert {template for _, template in seen} & {template for _, template in trained}
    assert len(ProceduralSource("word_problems", level, 0, True).unique_tasks(200)) == 200


@pytest.mark.parametrize(
    ("names", "levels", "digests"),
    [
        (("word_problems", "word_problems_seen"), LEVELS, DIGESTS),
        (("one_step_problems",), ONE_STEP_LEVELS, ONE_STEP_DIGESTS),
    ],
)
def test_the_text_of_a_version_stays_as_it_is(names, levels, digests):
    digest = hashlib.sha256()
    for name in names:
        for level in levels:
            for make in (TASKS[name], HELD_OUT_KINDS.get(name, TASKS[name])):
                for seed in range(100):
                    problem = make(random.Random(f"stable {seed}"), level, seed % 2 == 1)
                    digest.update(f"{problem.prompt}\n{problem.answer}\n{problem.demonstration}\n".encode())
    assert digest.hexdigest() == digests[VERSION], "the templates say something else than before: raise VERSION"
    for name in names:
        assert ProceduralSource(name, 1, 0, False).fingerprint.endswith(f":version={VERSION}")


@pytest.mark.parametrize(("task", "levels"), [("word_problems", LEVELS), ("one_step_problems", ONE_STEP_LEVELS)])
def test_levels_beyond_the_last_are_refused(task, levels):
    beyond = max(levels) + 1
    with pytest.raises(UserError, match=f"{task} has the levels {', '.join(map(str, levels))}, found {beyond}"):
        ProceduralSource(task, beyond, 0, False).task(0)
