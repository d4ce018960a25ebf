"""What is not trained is spread over the ranks without a whole copy beside it, and computes what it does in one process."""

from dataclasses import replace

import pytest
import torch

from grpo_kit.plan.memory import Setting, memory_of
from grpo_kit.plan.shape import ModelShape
from tests.kit.frozen_shards import ROWS, opened
from tests.kit.tiny import make_policy, teacher_folder
from tests.kit.torchrun import succeed


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    teacher_folder()  # made here, for the processes that are started
    target = tmp_path_factory.mktemp("frozen") / "result.pt"
    succeed(2, "tests.kit.frozen_shards", target)
    return torch.load(target)


@pytest.mark.parametrize("kind", ROWS)
def test_two_ranks_hold_half_each_and_compute_the_same(kind, two):
    alone = opened(kind)
    for mine, theirs in zip(alone["logprobs"], two[kind]["logprobs"], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)
    if kind != "path":
        first, moved, restored = two[kind]["logprobs"]
        assert not torch.allclose(first, moved, atol=1e-3)
        torch.testing.assert_close(first, restored, rtol=0, atol=0)
    # Shards are of equal size, so a few rows more than half; and there are the rotary frequencies.
    assert max(two[kind]["bytes"]) < 0.55 * two[kind]["weights"]


def test_a_plan_counts_them(two):
    shape = ModelShape.of(make_policy().model.config)
    setting = Setting(shape, 2, "cpu", False, micro_batch=64, rows=1, length=16, reference=True)
    own, whole = memory_of(setting), memory_of(replace(setting, natural_gradient=True))
    assert own.kept["reference"] == pytest.approx(max(two["own"]["bytes"]), rel=0.1)
    assert whole.kept["reference"] == pytest.approx(max(two["whole policy"]["bytes"]), rel=0.1)
    assert own.kept["whole copies to sample from and save"] == 2 * own.kept["weights"]  # the policy's


def test_the_target_of_a_critic_has_no_whole_copy(two):
    assert max(two["critic"]["bytes"]) < 0.55 * two["critic"]["weights"]
    torch.testing.assert_close(
        two["critic"]["score"], torch.full_like(two["critic"]["score"], 0.025)
    )  # a quarter of 0.1


def test_a_reward_model_does_not_keep_the_policy_that_it_started_from(two):
    assert max(two["let go"]["left"]) < 0.05 * two["let go"]["policy"]
