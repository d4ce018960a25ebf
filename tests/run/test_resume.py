"""What may change when a run goes on: said at each field, reviewed here, and told in the docs."""

import re

import pytest

from grpo_kit.config import Config
from grpo_kit.config.marks import SAFE_ON_RESUME, marked
from grpo_kit.config.read import load_recipe
from grpo_kit.errors import UserError
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.run import resume
from grpo_kit.run.request import AtStep, Auto, Latest, TrainRequest, read_resume
from grpo_kit.run.resume import changes, find_fork, unsafe
from tests.kit.places import ROOT
from tests.kit.runs import recipe

# A key that is added here lets a run go on with another value: it must decide nothing of what is learned.
REVIEWED = (
    "environment.workers", "environment.executor",
    "scoring.workers", "scoring.executor", "scoring.ray_address", "scoring.max_error_rate", "scoring.error_patience",
    "scoring.max_rejected_gold",
    "rollout.vllm.servers", "rollout.vllm.launch", "rollout.vllm.devices", "rollout.vllm.weights_folder",
    "rollout.vllm.timeout",
    "train.steps", "train.save_every", "train.save_minutes", "train.keep_last", "train.keep_best", "train.shard_gb",
    "train.stop_seconds", "train.log_rollouts_every", "train.profile_steps",
    "evaluation.every", "logging", "limits",
)  # fmt: skip


def test_the_keys_that_may_change_are_the_reviewed_ones():
    assert marked(Config, SAFE_ON_RESUME) == list(REVIEWED)


def test_the_docs_name_them_all():
    text = (ROOT / "docs" / "reliability.md").read_text()
    (told,) = re.findall(r"A resume may change(.*?)Anything else", text, re.DOTALL)
    assert re.findall(r"`([\w.]+)`", told) == list(REVIEWED)


@pytest.mark.parametrize(
    ("override", "refused"),
    [
        ("limits.save=5", []),
        ("rollout.vllm.timeout=9", []),
        ("evaluation={every: 1}", ["evaluation"]),  # a section that was not there
        ("train.token_budget=512", ["train.token_budget"]),
        ("optimizer.learning_rate=0.5", ["optimizer.learning_rate"]),
        ("train.steps=9", []),
    ],
)
def test_what_a_change_does_to_a_run(tiny_recipe, override, refused):
    before, after = load_recipe(str(tiny_recipe)), load_recipe(str(tiny_recipe), [override])
    found = unsafe(changes(before, after), before)
    assert {
        change.key.partition(".")[0] if change.key.startswith("evaluation") else change.key for change in found
    } == set(refused)


def test_a_schedule_that_ends_with_the_steps_fixes_them(tiny_recipe):
    linear = ["optimizer.schedule=linear"]
    before, after = (load_recipe(str(tiny_recipe), [*linear, f"train.steps={n}"]) for n in (3, 9))
    assert [change.key for change in unsafe(changes(before, after), before)] == ["train.steps"]


@pytest.mark.parametrize(
    ("text", "position"), [(None, None), ("latest", Latest()), ("auto", Auto()), ("40", AtStep(40))]
)
def test_where_a_run_goes_on_is_read_once(text, position):
    assert read_resume(text) == position
    request = TrainRequest("recipe.yaml", ("seed=1",), resume=position)
    given = [] if text is None else [f"--resume={text}"]
    assert request.arguments() == ["train", "recipe.yaml", "seed=1", *given]


def test_a_place_that_is_none_is_refused():
    with pytest.raises(UserError, match="--resume best: give a step, auto, or nothing for the newest checkpoint"):
        read_resume("best")


TWINS = "objective={action_values: twins, target_rate: 0.5}"
DQN = "objective={family: values, bootstrap: max, target_rate: 0.5, beta: 0}"


@pytest.mark.parametrize(
    ("row", "changed", "reason"),
    [
        ("grpo", ("optimizer.moments=8bit",), "optimizer.moments: 'float32' -> '8bit'"),
        ("ppo", ("critic.optimizer.moments=8bit",), "critic.optimizer.moments"),
        ("grpo", (DQN,), "objective.family: 'policy_gradient' -> 'values'"),
        ("grpo", ("algorithm=ppo",), "a critic: False -> True"),
        ("soft_q", (TWINS,), "action_values twins: False -> True"),
        ("dqn", ("algorithm=soft_q", TWINS), "a target network: False -> True"),  # it has another's
        ("trpo", ("algorithm=grpo",), "objective.step gradient"),
        ("grpo", ("objective.beta=0.5", "optimizer.offload=true", "critic.optimizer.moments=8bit"), None),
        ("ppo", ("algorithm=grpo",), None),
    ],
)
def test_a_fork_that_would_look_for_what_a_checkpoint_has_not_is_refused(row, changed, reason, tmp_path, monkeypatch):
    RunDirectory.create(tmp_path / "run", recipe(row))
    monkeypatch.setattr(resume, "_checkpoint", lambda *_: tmp_path / "run" / "checkpoints" / "step-000001")
    config = recipe(row, "train.steps=9", *changed)
    if reason is None:
        assert find_fork(f"{tmp_path / 'run'}@1", config).step == 1
        return
    with pytest.raises(UserError, match="can begin with its weights alone") as error:  # and is not told to fork
        resume.open_resumed(config.model_dump(mode="json"), [], tmp_path / "run", Latest())
    assert "--fork" not in str(error.value)
    with pytest.raises(UserError, match="would not fit") as error:
        find_fork(f"{tmp_path / 'run'}@1", config)
    assert reason in str(error.value)
    assert "model.path=" in str(error.value)
