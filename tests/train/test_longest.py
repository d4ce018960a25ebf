"""The longest micro-batch is tried before the first step, and one that does not fit says which key to turn."""

import os
from dataclasses import fields

import pytest
import torch

from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.policy import packing
from grpo_kit.policy.models import Policy
from grpo_kit.policy.packing import TrainingSequence, micro_batches
from grpo_kit.train.assemble import prepare_policy
from grpo_kit.train.longest import try_longest
from tests.kit.runs import recipe, run
from tests.kit.tiny import make_policy

SETTINGS = ("train.token_budget=200", "data.max_prompt_tokens=30", "rollout.max_tokens=20")


def tried(monkeypatch, fails_at=None, *overrides):
    """The policy, and the shapes of what it passed."""
    config, policy, seen = recipe("grpo", *SETTINGS, *overrides), make_policy(), []
    original = policy.logprobs

    def logprobs(batch, *arguments):
        seen.append(tuple(batch.input_ids.shape))
        if len(seen) == fails_at:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return original(batch, *arguments)

    monkeypatch.setattr(policy, "logprobs", logprobs)
    try_longest(policy, config, resolve_objective("grpo", config.objective))
    return policy, seen


def test_it_is_as_long_as_the_recipe_allows_and_leaves_nothing_behind(monkeypatch):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    policy, seen = tried(monkeypatch)
    assert seen == [(4, 50), (4, 50)]  # twice: sixteen responses are several micro-batches, which add up gradients
    assert all(p.grad is None for p in policy.model.parameters())
    assert all(
        torch.equal(p, q) for p, q in zip(policy.model.parameters(), make_policy().model.parameters(), strict=True)
    )
    torch.manual_seed(5)
    tried(monkeypatch)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("choice", "wanted"), [("beta=0.1", False), ("entropy_bonus=0.1", True), ("entropy_target=0.1", True)]
)
def test_the_entropy_has_its_gradient_where_it_may_come_to_have_one(monkeypatch, choice, wanted):
    """A bonus that adapts begins at 0, and takes its memory in some later step."""
    asked, original = [], Policy.logprobs

    def logprobs(self, batch, temperature, entropy_gradient=False):
        asked.append(entropy_gradient)
        return original(self, batch, temperature, entropy_gradient)

    monkeypatch.setattr(Policy, "logprobs", logprobs)
    tried(monkeypatch, None, f"objective.{choice}")
    assert set(asked) == {wanted}


@pytest.mark.parametrize("fails_at", [1, 2])
def test_what_does_not_fit_is_told_with_the_keys_to_turn(monkeypatch, fails_at):
    with pytest.raises(UserError) as told:
        tried(monkeypatch, fails_at)
    for words in (
        "a micro-batch of 200 tokens, in sequences of 50",
        "optimizer 0.0",
        "train.token_budget=100",
        "parallel.gradient_checkpointing=true",
        "optimizer.moments=8bit",
        "model.lora.rank=16",
    ):
        assert words in str(told.value)
    with pytest.raises(UserError, match=r"Set optimizer\.moments=8bit, or model\.lora\.rank=16;"):
        tried(monkeypatch, 1, "train.token_budget=50", "parallel.gradient_checkpointing=true")


def test_all_that_a_micro_batch_holds_comes_to_the_device_in_one_way(monkeypatch):
    places = []
    monkeypatch.setattr(packing, "moved", lambda tensor, device: places.append(device) or tensor.to(device))
    (batch,) = micro_batches([TrainingSequence([1, 2], [3, 4], 1.0, 0.5)], 64, torch.device("meta"))
    tensors = [v for f in fields(batch) if isinstance(v := getattr(batch, f.name), torch.Tensor)]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert len(places) == len(tensors)
    assert {t.device.type for t in (batch.entropy_weights, batch.lengths)} == {"meta"}
    assert len(places) == len(tensors) + 2


def test_deterministic_kernels_are_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "use_deterministic_algorithms", asked.append)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    prepare_policy(recipe("grpo"))
    assert asked == []
    prepare_policy(recipe("grpo", "deterministic=true"))
    assert asked == [True]
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_kernels_are_what_they_were_when_a_run_is_over(tmp_path, monkeypatch):
    """In a notebook the next run, or anything else, may have an operation of which there is no deterministic kernel."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    run(recipe("grpo", "deterministic=true", "scoring.max_rejected_gold=1.0", "train.steps=1"), tmp_path / "run")
    assert not torch.are_deterministic_algorithms_enabled()
