"""Whole runs on several data sets and with samplers that learn: exact on resume, and told data set by data set."""

import json

import pytest
import torch

from grpo_kit.data.records import read_rollouts
from grpo_kit.evaluate.run import EvalResult
from grpo_kit.evaluate.tasks import open_tasks
from grpo_kit.report.build import write_report
from grpo_kit.train.checkpoint import latest_checkpoint, load_state
from grpo_kit.train.replay import replay_step
from tests.kit.pages import index_of
from tests.kit.runs import ODD, recipe, run, weights

SETS = (
    "data=[{name: sums, task: addition, limit: 10, max_prompt_tokens: 64, weight: 3}, {name: sorting, task: sort_letters, "
    "limit: 10, max_prompt_tokens: 64, prompt_template: 'please {prompt}', verifiers: [{name: exact}]}]"
)
ONE = "data={task: addition, limit: 10, max_prompt_tokens: 64}"
COMMON = (ODD, "scoring.max_rejected_gold=1.0", "rollout.max_tokens=8", "train.steps=4", "train.save_every=1")
KINDS = {
    "mixture": ("grpo", SETS),
    "pools": ("grpo", ONE, "curriculum.sampler=pools"),
    "thompson": ("grpo", ONE, "curriculum.sampler=thompson"),
    "thompson mixture": ("grpo", SETS, "curriculum.sampler=thompson", "evaluation={tasks: 6, samples: 2, every: 2}"),
    "refilled thompson mixture": ("dapo", SETS, "curriculum.sampler=thompson", "rollout.max_refills=2"),
}
# Of a step alone, and not how long it took.
TIMED = ("seconds", "tokens_per_second", "utilisation", "latency", "memory", "generate/", "pool/")


def lines_of(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not any(word in k for word in TIMED)} for line in lines]


def drawn(folder):
    return [group.task.id for group in read_rollouts(folder)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Runs that went through, by kind, made when they are asked for."""
    made = {}

    def make(kind):
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp("run") / "straight"
            run(recipe(KINDS[kind][0], *COMMON, *KINDS[kind][1:]), made[kind])
        return made[kind]

    return make


@pytest.mark.parametrize("stop", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_was_stopped_goes_on_with_the_same_prompts_and_bits(kind, stop, finished, tmp_path):
    config = recipe(KINDS[kind][0], *COMMON, *KINDS[kind][1:])
    run(config, tmp_path / "cut", stop_after=stop)
    run(config, tmp_path / "cut", resume=True)
    straight, cut = weights(finished(kind)), weights(tmp_path / "cut")
    assert all(torch.equal(straight[name], cut[name]) for name in straight)
    assert drawn(tmp_path / "cut") == drawn(finished(kind))
    assert lines_of(tmp_path / "cut") == lines_of(finished(kind))


def test_evidence_is_in_the_checkpoint(finished):
    found = [load_state(latest_checkpoint(finished("thompson") / "checkpoints", pytest.fail))["sampler"]]
    found += load_state(latest_checkpoint(finished("thompson mixture") / "checkpoints", pytest.fail))["sampler"]["sets"]
    for state in found:
        assert len(state["seen"]) == len(state["right"]) == 10
        assert sum(state["seen"]) > 0.0


def test_metrics_rollouts_and_evaluation_are_told_data_set_by_data_set(finished):
    folder = finished("thompson mixture")
    groups = read_rollouts(folder)
    assert {group.task.data_set for group in groups} == {"sums", "sorting"}
    by_step = [groups[i : i + 4] for i in range(0, 16, 4)]
    steps = [line for line in lines_of(folder) if "reward/mean" in line]
    for line, members in zip(steps, by_step, strict=True):
        for name, count in (("sums", 3), ("sorting", 1)):
            own = [group for group in members if group.task.data_set == name]
            assert line[f"data/{name}/prompts"] == len(own) == count
            rewards = [score.value for group in own for score in group.scores]
            assert line[f"data/{name}/reward"] == pytest.approx(sum(rewards) / len(rewards), abs=1e-12)
            assert 0.0 <= line[f"data/{name}/curriculum/unseen"] <= 1.0
        assert all(set(group.parts[0]) >= {"exact" if group.task.data_set == "sorting" else "odd"} for group in members)
    measured = [EvalResult.of_metrics(line) for line in lines_of(folder) if "eval/sampled" in line]
    assert len(measured) == 3
    for result in measured:
        assert {name: part.problems for name, part in result.sets.items()} == {"sums": 3, "sorting": 3}
        assert result.sampled == pytest.approx(sum(part.sampled for part in result.sets.values()) / 2)
        assert "sums" in str(result)


def test_a_finished_run_is_replayed_shown_and_asked_what_it_held_out(finished):
    folder = finished("thompson mixture")
    assert replay_step(folder, 4).difference < 1e-5
    assert "sums, sorting" in str(index_of(write_report(folder, limit=20).read_text(encoding="utf-8"))["head"])
    tasks = open_tasks(str(folder))
    assert [task.name for task in tasks] == ["straight/sums", "straight/sorting"]
    assert [task.spec.verifier.name for task in tasks] == ["math", "exact"]
