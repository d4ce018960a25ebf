"""Several processes train what one process trains: every algorithm, checkpoints that move between numbers of ranks."""

import json
import shutil

import pytest
import torch

from grpo_kit.objective.algorithms import ALGORITHMS
from tests.kit.runs import ODD, recipe, run, weights
from tests.kit.tiny import teacher_folder
from tests.kit.torchrun import metrics, succeed
from tests.kit.world_runs import RATE, VARIANTS, config_of, train

# One of each way through the code; the rest of the table takes a minute and is slow.
QUICK = ("grpo", "ppo", "trpo", "kto", "reward_model", "online_dpo", "lora", "masked", "mixture", "long",
         "on_policy_distillation", "refresh", "refreshed_lora", "gdpo_sets", "replay", "dqn",
         "dqn_lora")  # fmt: skip
# Twins are refused with several processes, before a run.
NAMES = [n for n in dict.fromkeys([*ALGORITHMS, *VARIANTS]) if n not in ALGORITHMS or not ALGORITHMS[n].learns_twins]


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    teacher_folder()  # made here, for the processes that are started
    folder = tmp_path_factory.mktemp("record") / "run"
    run(recipe("grpo", ODD, "scoring.max_rejected_gold=1.0", "rollout.max_tokens=8"), folder)
    return folder


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory, record):
    folder = tmp_path_factory.mktemp("two")
    succeed(2, "tests.kit.world_runs", "train", folder, record, *QUICK)
    return folder


@pytest.fixture(scope="module")
def the_rest(tmp_path_factory, record):
    folder = tmp_path_factory.mktemp("rest")
    succeed(2, "tests.kit.world_runs", "train", folder, record, *(n for n in NAMES if n not in QUICK))
    return folder


def assert_same(ours, theirs, tolerance=2e-4):
    for mine, other in zip(metrics(ours), metrics(theirs), strict=True):
        words = {name: value for name, value in other.items() if isinstance(value, str)}
        assert {name: mine.pop(name) for name in words} == words
        wanted = {name: value for name, value in other.items() if name not in words}
        assert mine == pytest.approx(wanted, rel=tolerance, abs=tolerance)
    mine, other = weights(ours), weights(theirs)
    assert mine.keys() == other.keys()
    for name, weight in mine.items():
        torch.testing.assert_close(weight, other[name], rtol=0, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NAMES if n not in QUICK])
def test_the_rest_of_the_table(name, the_rest, record, tmp_path):
    train(config_of(name, record), tmp_path / name)
    assert_same(tmp_path / name, the_rest / name)


@pytest.mark.parametrize("name", QUICK)
def test_two_ranks_train_what_one_process_trains(name, two_ranks, record, tmp_path):
    train(config_of(name, record), tmp_path / name)
    assert_same(tmp_path / name, two_ranks / name)


def test_the_curve_of_four_ranks(two_ranks, record, tmp_path):
    succeed(4, "tests.kit.world_runs", "train", tmp_path, record, "long")
    assert len(metrics(tmp_path / "long")) == 20
    assert_same(tmp_path / "long", two_ranks / "long")
    rollouts = sorted(p.name for p in (tmp_path / "long" / "rollouts").iterdir())
    assert rollouts == [f"step-{n:06d}.jsonl.gz" for n in range(1, 21)]


def test_utilisation_is_a_share_of_what_both_ranks_could_do(two_ranks):
    lines = [json.loads(line) for line in (two_ranks / "long" / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        seconds = sum(v for name, v in line.items() if name.startswith("seconds/update"))
        assert line["utilisation"] == pytest.approx(line["update/flops"] / seconds / (2 * RATE))


def cut_back(folder, target, step):
    """The run as it was after ``step``, which has a checkpoint of its own."""
    shutil.copytree(folder, target)
    shutil.rmtree(target / "model")
    for checkpoint in (target / "checkpoints").iterdir():
        if not checkpoint.name.endswith(f"{step:06d}"):
            shutil.rmtree(checkpoint)


@pytest.mark.parametrize("processes", [1, 4])
@pytest.mark.parametrize("name", ["ppo", "refresh", "refreshed_lora", "dqn"])
def test_a_checkpoint_of_two_ranks_goes_on_at_another_number(name, processes, two_ranks, record, tmp_path):
    config = config_of(name, record)
    folder = two_ranks / "saving" / name
    if not folder.exists():
        succeed(2, "tests.kit.world_runs", "save", folder.parent, record, name)
    cut_back(folder, tmp_path / name, 1)
    if processes == 1:
        train(config, tmp_path / name, resume=True)
    else:
        succeed(processes, "tests.kit.world_runs", "resume", tmp_path, record, name)
    assert_same(tmp_path / name, two_ranks / name)
