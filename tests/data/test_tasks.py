"""Procedural tasks: right answers, worked solutions that reach them, and a split that holds."""

import itertools
import random
import re
from fractions import Fraction

import pytest

from grpo_kit.data.tasks import TASKS, ProceduralSource, is_held_out
from grpo_kit.errors import UserError
from grpo_kit.verifiers import get_verifier

CASES = list(itertools.product(TASKS, (1, 2, 3)))
BOXED = [case for case in CASES if case[0] != "one_line_function"]


def problems(name, level, count=200, slip=False):
    return [TASKS[name](random.Random(i), level, slip) for i in range(count)]


@pytest.mark.parametrize("level", [1, 2, 3])
def test_addition_and_chain_sum_answers(level):
    for name in ("addition", "chain_sum"):
        for problem in problems(name, level):
            terms = re.findall(r"[+-]?\d+", problem.prompt.rstrip("="))
            assert sum(map(int, terms)) == int(problem.answer)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_letter_answers(level):
    for problem in problems("sort_letters", level):
        assert "".join(sorted(problem.prompt.split()[1])) == problem.answer
    for problem in problems("count_letters", level):
        letter, word = problem.prompt.split(" in ")
        assert word.count(letter) == int(problem.answer)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_countdown_solutions_reach_the_target_with_each_number_once(level):
    for problem in problems("countdown", level):
        assert sorted(map(int, re.findall(r"\d+", problem.answer))) == sorted(problem.meta["numbers"])
        assert _evaluate(problem.answer) == problem.meta["target"]


@pytest.mark.parametrize("level", [1, 2])
def test_one_line_functions_pass_their_tests_and_slipped_ones_do_not(level):
    code = get_verifier("code")
    for right, slipped in zip(
        problems("one_line_function", level, 20), problems("one_line_function", level, 20, slip=True), strict=True
    ):
        assert right.answer == slipped.answer
        assert code(response=right.demonstration, answer=right.answer).value == 1.0
        assert code(response=slipped.demonstration, answer=right.answer).value == 0.0


def _evaluate(expression):
    """Left-nested: (((a op b) op c) op d)."""
    tokens = re.findall(r"\d+|[+*-]", expression)
    value = Fraction(tokens[0])
    for sign, term in zip(tokens[1::2], tokens[2::2], strict=True):
        number = Fraction(term)
        value = {"+": value + number, "-": value - number, "*": value * number}[sign]
    return value


@pytest.mark.parametrize(("name", "level"), BOXED)
def test_demonstrations_end_in_the_boxed_answer(name, level):
    for problem in problems(name, level, 50):
        assert problem.demonstration.endswith(f"\\boxed{{{problem.answer}}}")
        assert len(problem.prompt) < 40


@pytest.mark.parametrize(("name", "level"), BOXED)
def test_slips_carry_through_to_the_box_and_leave_the_problem_alone(name, level):
    wrong = 0
    for right, slipped in zip(problems(name, level), problems(name, level, slip=True), strict=True):
        assert (slipped.prompt, slipped.answer) == (right.prompt, right.answer)
        wrong += f"\\boxed{{{right.answer}}}" not in slipped.demonstration
    assert wrong == 200


@pytest.mark.parametrize(("name", "level"), CASES)
def test_training_and_held_out_sets_are_disjoint(name, level):
    train = {ProceduralSource(name, level, 0, False).task(i).id for i in range(500)}
    held_out = {ProceduralSource(name, level, seed, True).task(i).id for i in range(100) for seed in (0, 1)}
    assert not train & held_out
    assert all(is_held_out(i.split("/", 1)[1]) for i in held_out)


def test_random_access_is_reproducible():
    first, second = (ProceduralSource("countdown", 2, 5, False) for _ in range(2))
    assert [first.task(i) for i in (9, 3, 9)] == [second.task(i) for i in (9, 3, 9)]
    assert first.task(0) != ProceduralSource("countdown", 2, 6, False).task(0)


def test_unique_tasks_are_unique_or_refused():
    tasks = ProceduralSource("addition", 1, 0, True).unique_tasks(256)
    assert len({t.id for t in tasks}) == 256
    with pytest.raises(UserError, match="has only"):
        ProceduralSource("addition", 1, 0, True).unique_tasks(5000)


def test_unknown_task():
    with pytest.raises(UserError, match="there is no procedural task 'sums'"):
        ProceduralSource("sums", 1, 0, False)
