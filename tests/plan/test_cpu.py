"""The forecast for a CPU against sums that can be done by hand, and the trial that it starts from."""

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from grpo_kit.cli.app import app
from grpo_kit.config import Config
from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.plan import trial
from grpo_kit.plan.cpu import of_pace
from grpo_kit.plan.shape import KNOWN, ModelShape
from grpo_kit.plan.show import plan
from grpo_kit.plan.show_cpu import warn_of_dtype
from grpo_kit.plan.trial import Pace, measure
from grpo_kit.plan.work import work_of

TINY = ModelShape(64, 2, 4, 2, 16, 128, 300, True)
PACE = Pace(1, 1.0, 3.0, 10.0, 30.0, 100.0, 5.0, 7.0, {"float32": 1e9})


def forecast(**changes):
    recipe = {
        "algorithm": "grpo",
        "model": {"scratch": {}},
        "data": {"task": "addition"},
        "verifiers": [{"name": "math"}],
        "rollout": {"prompts_per_step": 2, "group_size": 4, "max_tokens": 6},
        "objective": {"beta": 0.0},
        "train": {"steps": 5},
    }
    config = Config.model_validate(recipe | changes)
    objective = resolve_objective(config.algorithm, config.objective, config.sampled_by)
    work = work_of(config, objective, 10.0, 6.0)
    return of_pace(PACE, config, objective, work, np.full(work.sequences, 6.0))


def test_every_stage_is_what_its_tokens_take():
    found = forecast()
    assert found.sampling == 2 * 10 * 1.0 + 6 * 100.0 + 8 * 6 * 5.0
    assert found.update == (2 * 10 + 8 * 6) * 3.0 + 8 * 6 * 30.0  # each prompt goes through the layers once
    assert found.optimizer == 7.0
    assert (found.logprobs, found.evaluation, found.warm_start) == (0.0, 0.0, 0.0)
    assert found.total == 5 * (found.sampling + found.update + 7.0)


def test_what_is_done_more_than_once_counts_more_than_once():
    found = forecast(objective={"beta": 0.1}, train={"steps": 5, "epochs_per_batch": 2})
    assert found.logprobs == 2 * (
        (2 * 10 + 8 * 6) * 1.0 + 8 * 6 * 10.0
    )  # of the policy before it moves, and of the reference
    assert found.update == 2 * forecast().update
    assert found.optimizer == 14.0


def test_what_an_environment_inserts_passes_through_the_layers_and_is_not_decoded():
    found, without = forecast(environment={"name": "guess_number", "max_inserted": 9}), forecast()
    assert found.sampling == without.sampling + 8 * 9 * 1.0
    assert found.update == without.update + 8 * 9 * 3.0


def test_prompts_that_are_not_shared_are_passed_for_every_response():
    found = forecast(train={"steps": 5, "share_prompts": False})
    assert found.update == 8 * (16 * 3.0 + 6 * 30.0)


def test_evaluations_are_before_between_and_after():
    evaluation = {"tasks": 3, "samples": 2, "every": 2}
    found = forecast(evaluation=evaluation)
    assert found.evaluations == 4  # at 0, 2, 4 and 5
    sampled, greedy = 3 * 10 + 600 + 6 * 6 * 5.0, 3 * 10 + 600 + 3 * 6 * 5.0
    assert found.evaluation == sampled + greedy
    assert forecast(evaluation=evaluation | {"every": 5}).evaluations == 2
    assert forecast(evaluation=evaluation | {"every": None}).evaluations == 2


def test_fewer_slots_than_sequences_take_more_steps():
    rollout = {"prompts_per_step": 2, "group_size": 4, "max_tokens": 6, "max_rows": 4}
    assert forecast(rollout=rollout).sampling == 2 * 10 + 12 * 100.0 + 8 * 6 * 5.0


def test_a_trial_uses_up_no_randomness_and_leaves_the_threads():
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    found = measure(TINY, half=False, threads=1, rows=8, context=20)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads
    assert min(found.forward, found.train, found.head_forward, found.head_train, found.optimizer) > 0
    assert found.decode_step + 8 * found.decode_row > 0
    assert set(found.products) == {"float32"}


def test_a_large_model_is_tried_with_narrower_layers(monkeypatch):
    made = []
    monkeypatch.setattr(trial, "_twin", lambda shape, layers, half: made.append(shape))
    tried = trial._Trial(KNOWN["qwen2.5-7b"], False, 64)
    assert made[0].layer_parameters < 2 * trial.WEIGHTS
    assert made[0].heads % made[0].kv_heads == 0
    whole = KNOWN["qwen2.5-7b"]
    assert tried.deep * tried.layers * made[0].layer_parameters == pytest.approx(whole.layers * whole.layer_parameters)
    assert tried.wide * tried.words * made[0].hidden == pytest.approx(whole.embedding)


@pytest.mark.parametrize(("half", "warned"), [(9e9, True), (140e9, False), (None, False)])
def test_slow_bfloat16_is_said(half, warned, capsys):
    products = {"float32": 66e9} | ({"bfloat16": half} if half else {})
    warn_of_dtype(Console(width=200), Pace(1, 1, 1, 1, 1, 1, 1, 1, products))
    assert ("9 GFLOP/s in bfloat16 against 66 in float32" in capsys.readouterr().out) == warned


def test_a_recipe_for_a_cpu_is_planned_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, ["plan", "quickstart/addition", "device=cpu"], catch_exceptions=False).stdout
    assert "on this machine's CPU" in shown
    assert "GFLOP/s in float32" in shown
    assert "prompts of 8 tokens, responses of 2" in shown  # of the data, and of the worked solutions
    for stage in ("warm start", "sampling", "forward and backward", "optimizer", "evaluation", "the run"):
        assert stage in shown
    assert "vLLM" not in shown
    assert "h100" not in shown
    dry = CliRunner().invoke(app, ["train", "quickstart/addition", "device=cpu", "--dry-run"], catch_exceptions=False)
    assert "the run" in dry.stdout
    assert list(tmp_path.iterdir()) == []


def test_gpus_that_are_asked_for_are_planned():
    recipe = ["plan", "quickstart/addition", "device=cpu", "--gpus", "1x24GB"]
    shown = CliRunner().invoke(app, recipe, catch_exceptions=False).stdout
    assert "rtx4090" in shown
    assert "this machine" not in shown


def test_a_picture_is_of_gpus(tmp_path):
    options = {"prompt_tokens": None, "completion_tokens": None, "lengths": None, "mfu": 0.4}
    with pytest.raises(UserError, match="--gpus"):
        plan("quickstart/addition", ["device=cpu"], None, picture=tmp_path / "scale.svg", **options)
