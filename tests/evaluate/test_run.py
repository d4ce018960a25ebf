"""Accuracy and its clustered error, on verdicts that are known."""

import math
import statistics

import pytest

from grpo_kit.data.chat import render
from grpo_kit.evaluate.run import completions_of, evaluate
from grpo_kit.generate.base import SamplingParams
from grpo_kit.scoring import Scorer, VerifierSpec
from grpo_kit.types import Completion, Task


class Scripted:
    """A generator that gives chosen answers: sampled from a table, greedy always '7'."""

    policy_version = 0

    def __init__(self, table):
        self.table = table

    def generate(self, prompts, sampling, under_way=None, replies=None):
        for prompt in reversed(prompts):
            texts = ["7"] if sampling.greedy else self.table[prompt.task_id]
            yield [
                Completion(
                    prompt.task_id, i, [1] * 3, [-1.0] * 3, f"\\boxed{{{t}}}", "length" if t == "?" else "stop", 0
                )
                for i, t in enumerate(texts)
            ]


def run(policy, table, answers, verifier="math"):
    tasks = [Task(name, ({"role": "user", "content": name},), answers[name]) for name in table]
    prompts = [(t, render(t, policy.tokenizer)) for t in tasks]
    with Scorer([VerifierSpec(verifier)], workers=0) as scorer:
        return evaluate(Scripted(table), scorer, prompts, SamplingParams(n=4))


def test_accuracies_and_clustered_error(policy):
    table = {"a": ["7", "7", "1", "1"], "b": ["2", "2", "2", "2"], "c": ["9", "?", "9", "9"]}
    result, greedy = run(policy, table, {"a": "7", "b": "2", "c": "8"})
    assert result.sampled == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    assert result.sampled_error == pytest.approx(statistics.stdev([0.5, 1.0, 0.0]) / math.sqrt(3))
    assert result.greedy == pytest.approx(1 / 3)
    assert result.truncated == pytest.approx(1 / 12)
    assert [j.right for j in greedy] == [True, False, False]
    assert result.as_metrics()["eval/problems"] == 3.0


def test_a_verifier_that_crashes_counts_as_neither_right_nor_wrong(policy, tmp_path):
    source = tmp_path / "half.py"
    source.write_text(
        "def half(response, answer):\n    assert answer != 'crash', 'no opinion on this one'\n    return True\n"
    )
    table = {"a": ["1"] * 4, "b": ["1"] * 4}
    result, _ = run(policy, table, {"a": "crash", "b": "x"}, f"{source}:half")
    assert (result.sampled, result.unscored) == (1.0, 0.5)


def test_a_record_tells_all_of_an_answer_that_was_judged(policy):
    _, greedy = run(policy, {"a": ["7"] * 4, "b": ["2"] * 4}, {"a": "7", "b": "2"})
    assert [(r.id, r.sample, r.prompt, r.answer, r.response) for r in greedy] == [
        ("a", -1, "a", "7", r"\boxed{7}"),
        ("b", -1, "b", "2", r"\boxed{7}"),
    ]
    assert [r.token_ids for r in greedy] == [(1, 1, 1)] * 2


def test_it_says_how_far_it_is(policy):
    heard = []
    tasks = [Task(name, ({"role": "user", "content": name},), "7") for name in "ab"]
    prompts = [(t, render(t, policy.tokenizer)) for t in tasks]
    with Scorer([VerifierSpec("math")], workers=0) as scorer:
        evaluate(Scripted({"a": ["7"] * 4, "b": ["7"] * 4}), scorer, prompts, SamplingParams(n=4), told=heard.append)
    assert heard == [4, 8, 9, 10]
    assert heard[-1] == completions_of(2, SamplingParams(n=4))


def test_right_answers_that_nothing_marks_are_told_apart(policy):
    table = {"a": ["7"] * 4}
    generator = Scripted(table)
    words = generator.generate

    def unmarked(prompts, sampling, under_way=None):
        for group in words(prompts, sampling):
            for completion in group[:3]:
                completion.text = "so there are 7 of them" if completion.sample_index else "so there are 8 of them"
            yield group

    generator.generate = unmarked
    tasks = [Task("a", ({"role": "user", "content": "a"},), "7")]
    with Scorer([VerifierSpec("math")], workers=0) as scorer:
        result, _ = evaluate(generator, scorer, [(t, render(t, policy.tokenizer)) for t in tasks], SamplingParams(n=4))
    assert (result.sampled, result.right_unmarked) == (0.25, 0.5)
    assert "a further 50.0% would be right, but mark no answer" in str(result)
    assert type(result).of_metrics(result.as_metrics()) == result
