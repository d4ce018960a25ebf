"""Every number that a run logs is in the list of metrics."""

import json

import pytest

from grpo_kit.config.signs import SIGNS
from grpo_kit.errors import UserError
from grpo_kit.observe.catalogue import CATALOGUE, find_metrics, metric_of
from tests.kit.runs import ODD, recipe, run

EVALUATED = "evaluation={tasks: 4, samples: 2}"
RUNS = {
    "grpo": [ODD, EVALUATED, "objective.beta=0.05", "objective.dynamic_sampling=true", "scoring.max_rejected_gold=1"],
    "ppo": [ODD, "critic.warmup=1", "scoring.max_rejected_gold=1"],
    "trpo": [ODD, "scoring.max_rejected_gold=1"],
    "dqn": [ODD, "scoring.max_rejected_gold=1"],
    "remax": [ODD, "replay={}", "scoring.max_rejected_gold=1"],
    "dpo": [],
    "kto": ["examples.mistakes=0.5"],
    "reward_model": [EVALUATED],
    "sft": [EVALUATED],
    "clip_cov": [ODD, "objective.ratio_penalty=0.1", "objective.rejection=geometric", "scoring.max_rejected_gold=1"],
    "on_policy_distillation": [ODD, "scoring.max_rejected_gold=1"],
}
SETS = (
    "data=[{task: addition, limit: 16, max_prompt_tokens: 64}, {task: chain_sum, limit: 16, max_prompt_tokens: 64, "
    "verifiers: [{name: math}]}]"
)


@pytest.mark.parametrize("algorithm", RUNS)
def test_every_metric_has_an_entry(algorithm, tmp_path):
    config = recipe(algorithm, "train.steps=2", *RUNS[algorithm])
    run(config, tmp_path / "run")
    unknown = _unknown(tmp_path / "run")
    assert not unknown, f"say in grpo_kit/observe/catalogue.py what these are: {', '.join(sorted(unknown))}"


def test_every_metric_of_episodes_has_an_entry(tmp_path):
    config = recipe(
        "grpo", "train.steps=1", "environment={name: guess_number, turns: 2, max_inserted: 64}", "verifiers=[]"
    )
    run(config, tmp_path / "run")
    unknown = _unknown(tmp_path / "run")
    assert not unknown, f"say in grpo_kit/observe/catalogue.py what these are: {', '.join(sorted(unknown))}"


def test_every_metric_of_a_mixture_has_an_entry(tmp_path):
    settings = ["curriculum.sampler=pools", "objective.beta=0.05", "reference.refresh=1", "scoring.max_rejected_gold=1"]
    run(recipe("grpo", ODD, EVALUATED, SETS, *settings, "train.steps=2"), tmp_path / "run")
    unknown = _unknown(tmp_path / "run")
    assert not unknown, f"say in grpo_kit/observe/catalogue.py what these are: {', '.join(sorted(unknown))}"


def _unknown(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) >= 1
    return {name for line in lines for name in line if metric_of(name) is None}


def test_each_is_said_once():
    patterns = [metric.pattern for metric in CATALOGUE]
    assert len(set(patterns)) == len(patterns)
    assert all(metric.what and not metric.what.endswith(".") for metric in CATALOGUE)
    # An exact name stands before the pattern that fits it too, or nobody would find it.
    assert [pattern for pattern in patterns if metric_of(pattern.replace("*", "x")).pattern != pattern] == []
    assert all(metric_of(f"watch/{sign}") for sign in SIGNS)


def test_they_are_found_by_name_and_by_beginning():
    assert [m.pattern for m in find_metrics("kl/reference")] == ["kl/reference"]
    assert [m.pattern for m in find_metrics("verifier/math/mean")] == ["verifier/*/mean"]
    assert {m.pattern for m in find_metrics("clip")} == {"clip/low", "clip/high", "clip/unmoved"}
    assert [m.pattern for m in find_metrics("loss")] == ["loss"]
    assert [m.pattern for m in find_metrics("data/sums/right")] == ["data/*/right"]
    assert [m.pattern for m in find_metrics("eval/sums/sampled")] == ["eval/*/*"]
    assert {m.pattern for m in find_metrics("teacher")} == {"teacher/reverse_kl", "teacher/agreement"}
    with pytest.raises(UserError, match="Did you mean kl/reference"):
        find_metrics("kl/refrence")
    with pytest.raises(UserError, match="grpo-kit metrics"):
        find_metrics("zzzzzzzzzzzz")
