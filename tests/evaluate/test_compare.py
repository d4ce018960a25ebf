"""Paired comparison of evaluations that are made up, so that the truth is known."""

import dataclasses

import numpy as np
import pytest

from grpo_kit.errors import UserError
from grpo_kit.evaluate.compare import Evaluated, compare
from grpo_kit.evaluate.metrics import mcnemar
from grpo_kit.evaluate.protocol import Result, TaskResult
from grpo_kit.evaluate.records import GREEDY, Record
from grpo_kit.evaluate.show_comparison import comparison_markdown


def side(label, verdicts, task="t", run=None, golds=None, **protocol):
    """verdicts: per problem a list of (sample, right or None)."""
    records = [
        Record(task, str(i), sample, "q", (golds or {}).get(i, i), f"{label} {i}", float(bool(right)),
               "error" if right is None else "ok", f"{label}{i}")
        for i, samples in enumerate(verdicts)
        for sample, right in samples
    ]  # fmt: skip
    result = Result({"label": label}, run or {"engine": "torch"}, {task: TaskResult({"n": 1} | protocol, {})})
    return Evaluated(result, records)


def single(rights):
    return [[(0, bool(r))] for r in rights]


def test_mcnemar_and_flips_of_single_answers():
    (found,) = compare([side("a", single([1, 1, 0, 0, 0, 0])), side("b", single([0, 1, 1, 1, 1, 0]))])
    assert (found.gained, found.lost, found.verdicts) == (3, 1, "answers")
    assert found.mcnemar_p == mcnemar(3, 1)
    assert found.difference.value == pytest.approx(2 / 6)
    assert [(f.id, f.gained) for f in found.flips] == [("0", False), ("2", True), ("3", True), ("4", True)]
    assert (found.flips[0].first.right, found.flips[0].second.right) == (True, False)
    assert found.warnings == []


def test_mcnemar_and_flips_are_counted_on_what_the_difference_is_of():
    # Sampled, only the second problem is gained; of the greedy answers, one would be lost.
    a = [[(0, True), (1, True), (GREEDY, True)], [(0, False), (1, False), (GREEDY, True)]]
    b = [[(0, True), (1, True), (GREEDY, False)], [(0, True), (1, True), (GREEDY, True)]]
    (found,) = compare([side("a", a), side("b", b)])
    assert (found.measure, found.first_value, found.second_value) == ("avg@2", 0.5, 1.0)
    assert (found.gained, found.lost, found.mcnemar_p) == (1, 0, mcnemar(1, 0))
    assert [f.id for f in found.flips] == ["1"]
    assert GREEDY not in {found.flips[0].first.sample, found.flips[0].second.sample}
    assert "by whether more than half of the samples are right" in comparison_markdown([found])


def test_one_problem_whose_samples_were_not_judged_does_not_change_the_measure():
    """The greedy answer of that problem was judged: it is left out and counted, and avg@n stays avg@n."""
    a = [[(0, True), (1, False), (GREEDY, True)] for _ in range(9)] + [[(0, None), (1, None), (GREEDY, True)]]
    b = [[(0, True), (1, True), (GREEDY, True)] for _ in range(10)]
    (found,) = compare([side("a", a), side("b", b)])
    assert (found.measure, found.difference.problems, found.only_one) == ("avg@2", 9, 1)
    assert (found.first_value, found.second_value) == (0.5, 1.0)
    shown = comparison_markdown([found])
    assert "| avg@2 |" in shown
    assert "1 problems without a judged answer of both (avg@2) are left out" in shown


def test_greedy_is_compared_where_a_side_has_no_sampled_answer_at_all():
    a = [[(GREEDY, True)], [(GREEDY, False)], [(GREEDY, None)]]
    b = [[(0, False), (GREEDY, True)], [(0, False), (GREEDY, True)], [(0, False), (GREEDY, True)]]
    for first, second, gained in ((a, b, 1), (b, a, 0)):
        (found,) = compare([side("a", first), side("b", second)])
        assert (found.measure, found.verdicts, found.gained) == ("greedy", "greedy answers", gained)
        assert (found.difference.problems, found.only_one, found.gained + found.lost) == (2, 1, 1)
    with pytest.raises(UserError, match="of greedy answers: b has no judged greedy answer"):
        compare([side("a", a), side("b", single([1, 1, 1]))])


def test_uneven_numbers_of_samples_are_named():
    a, b = [[(0, True)], [(0, True), (1, False), (2, False)]], single([1, 1])
    (found,) = compare([side("a", a), side("b", b)])
    assert (found.measure, found.first_value) == ("avg@1 to 3", pytest.approx(2 / 3))


def test_many_samples_without_greedy_are_counted_by_the_half():
    a, b = [[(0, True), (1, True), (2, False)]], [[(0, False), (1, True), (2, False)]]
    (found,) = compare([side("a", a * 2), side("b", b * 2)])
    assert (found.verdicts.split()[-1], found.lost) == ("right", 2)


def test_unjudged_answers_are_left_out_and_counted():
    a, b = [[(0, True)], [(0, None)], [(0, False)]], [[(0, True)], [(0, True)], [(0, True)]]
    (found,) = compare([side("a", a), side("b", b)])
    assert (found.difference.problems, found.only_one, found.gained) == (2, 1, 1)


def test_protocol_differences_are_named():
    a = side("a", single([1, 0]), sampling={"temperature": 1.0}, verifier={"name": "math", "version": "1"})
    b = side(
        "b",
        single([1, 1]),
        sampling={"temperature": 0.6},
        verifier={"name": "math", "version": "1"},
        run={"engine": "vllm"},
    )
    (found,) = compare([a, b])
    assert found.warnings == ["sampling.temperature: 1.0 against 0.6", "engine: torch against vllm"]
    assert "warning: t, a and b: the protocols differ in sampling.temperature" in comparison_markdown([found])


def test_what_cannot_be_compared():
    with pytest.raises(UserError, match="no judged problem of t in common"):
        compare([side("a", [[(0, None)]]), side("b", single([1]))])
    with pytest.raises(UserError, match="not the same problems"):
        compare([side("a", single([1])), side("b", single([1]), golds={0: "other"})])
    two = side("b", single([1]))
    two.result.tasks["u"] = two.result.tasks.pop("t")
    two.result.tasks["v"] = two.result.tasks["u"]
    with pytest.raises(UserError, match="share no task"):
        compare([side("a", single([1])), two])


def test_files_of_other_names_pair_by_problem():
    b = dataclasses.replace(side("b", single([1, 1]), task="other_file"))
    (found,) = compare([side("a", single([1, 0])), b])
    assert found.gained == 1


def test_several_are_corrected():
    random = np.random.default_rng(0)
    base = random.random(200) < 0.5
    sides = [side("a", single(base))] + [
        side(f"m{i}", single(base | (random.random(200) < p))) for i, p in enumerate((0.02, 0.06))
    ]
    small, large = compare(sides)
    assert small.difference.p_value < small.p_corrected or small.difference.p_value >= large.difference.p_value
    assert large.p_corrected == pytest.approx(2 * large.difference.p_value)


def test_the_judge_of_both_sides_is_named_and_two_judges_are_warned_of():
    math = {"name": "math", "version": "3", "options": {}}
    loose = {"name": "math", "version": "3", "options": {"last_expression": True}}
    first, same, other = (
        side(name, single([1, 0, 1]), verifier=v) for name, v in (("a", math), ("b", math), ("c", loose))
    )
    (found,) = compare([first, same])
    text = comparison_markdown([found])
    assert (found.judges, found.warnings) == (("math, version 3", "math, version 3"), [])
    assert "accuracy is avg@1, judged by math, version 3" in text
    assert "warning" not in text
    (found,) = compare([first, other])
    text = comparison_markdown([found])
    assert "warning: t: a is judged by math, version 3, c by math, version 3, {'last_expression': True}." in text
    assert "grpo-kit score" in text
    assert found.as_json()["judges"] == ("math, version 3", "math, version 3, {'last_expression': True}")
