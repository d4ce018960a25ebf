"""Procedural tasks: right answers, worked solutions that reach them, and a split that holds."""

import itertools
import json
import random
import re
from fractions import Fraction

import pytest

from grpo_kit.config.read import load_recipe
from grpo_kit.data.datasets import evaluation_tasks, training_source
from grpo_kit.data.records import open_records
from grpo_kit.data.tasks import TASKS, ProceduralSource, is_held_out
from grpo_kit.errors import UserError
from grpo_kit.verifiers import get_verifier
from tests.kit.tiny import make_policy

CASES = [case for case in itertools.product(TASKS, (1, 2, 3)) if case != ("one_step_problems", 3)]
UNBOXED = (
    "one_line_function",
    "guess_number",
    "word_problems",
    "word_problems_seen",
    "tool_word_problems",
    "one_step_problems",
)
BOXED = [case for case in CASES if case[0] not in UNBOXED]


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


def test_the_recipes_frame_stands_around_the_problem_and_does_not_move_the_split():
    plain, framed = (
        ProceduralSource("addition", 1, 0, False, **frame)
        for frame in ({}, {"template": "{prompt} Think.", "system": "Be brief."})
    )
    for index in range(50):
        one, other = plain.task(index), framed.task(index)
        assert [m["content"] for m in other.messages] == ["Be brief.", f"{one.prompt} Think."]
        assert (one.id, one.answer) == (other.id, other.answer)
    assert plain.fingerprint == "procedural:addition:level=1:seed=0:held_out=False"
    assert framed.fingerprint != plain.fingerprint


def test_demonstrations_and_evaluation_have_the_frame_that_sampling_has(tiny_recipe):
    overrides = ['data.prompt_template="{prompt} ?"', "data.system_prompt=Hm", "evaluation={tasks: 4}"]
    sampled = load_recipe(tiny_recipe, overrides)
    learned = load_recipe(tiny_recipe, [*overrides, "algorithm=sft", "examples.demonstrations=true"])
    tokenizer = make_policy().tokenizer
    (lesson,) = open_records(learned, tokenizer, pairs=False).next(1, 1)
    for task in (training_source(sampled).task(0), evaluation_tasks(sampled)[0], lesson.task):
        assert [m["role"] for m in task.messages] == ["system", "user"]
        assert task.prompt.endswith(" ?")


def test_recorded_prompts_are_held_out_by_the_problem_inside_their_frame(tiny_recipe, tmp_path):
    held = [ProceduralSource("addition", 1, 0, True).task(i).prompt for i in range(20)]
    trained = [ProceduralSource("addition", 1, 0, False).task(i).prompt for i in range(20)]
    path = tmp_path / "l.jsonl"
    path.write_text("".join(json.dumps({"prompt": prompt, "response": "x"}) + "\n" for prompt in [*held, *trained]))
    overrides = ['data.prompt_template="{prompt} ?"', "evaluation={tasks: 4}", "algorithm=sft", f"examples.path={path}"]
    records = open_records(load_recipe(tiny_recipe, overrides), make_policy().tokenizer, pairs=False)
    assert [records.group(i).task.prompt for i in range(records.size)] == [f"{prompt} ?" for prompt in trained]


@pytest.mark.parametrize("level", [1, 2, 3])
def test_what_environments_keep_back_is_not_in_the_prompt_and_tells_tasks_apart(level):
    for task in (ProceduralSource("guess_number", level, 0, False).task(i) for i in range(50)):
        low, high = task.meta["low"], task.meta["high"]
        assert task.prompt == f"guess {low} to {high}"
        assert low <= int(task.answer) <= high == low + 2 ** (level + 2) - 2
        assert task.id == f"guess_number/{task.answer} in {task.prompt}"
    for index in range(50):
        hidden = ProceduralSource("tool_word_problems", level, 0, False)
        problem, numbers = hidden.problem(index), hidden.problem(index).meta["hidden"]
        assert not re.search(r"\d", problem.prompt)
        told = re.sub(r"\[([A-Z])\]", lambda match: numbers[match[1]], problem.prompt)  # noqa: B023
        assert told.startswith(problem.key)
        assert get_verifier("math")(response=problem.demonstration, answer=problem.answer).value == 1.0


@pytest.mark.parametrize("level", [1, 2, 3])
def test_big_products(level):
    for problem in problems("big_arithmetic", level, 50):
        first, second = problem.prompt.rstrip("=").split("*")
        assert len(first) == len(second) == level + 1
        assert int(first) * int(second) == int(problem.answer)
