"""Networks that learn beside the policy (critics, reward models, twins) are checkpointed and compiled where it is."""

from functools import partial

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.policy.layers import compile_layers
from grpo_kit.policy.packing import micro_batches
from grpo_kit.policy.value_model import ValueModel
from grpo_kit.train import learners, preflight
from grpo_kit.train.learners import open_learner
from tests.kit.networks import far, moved
from tests.kit.runs import recipe
from tests.kit.sequences import random_groups
from tests.kit.tiny import make_policy

CHECKPOINTING, COMPILED = "parallel.gradient_checkpointing=true", "model.compile=true"
ROWS = ["ppo", "loaded", "iql", "reward_model", "sac"]
SETTINGS = [(row, settings) for row in ROWS for settings in ((CHECKPOINTING,), (CHECKPOINTING, COMPILED))]


@pytest.fixture
def graphs(monkeypatch):
    """What is compiled is kept here, and runs as it is."""
    found = []
    backend = partial(compile_layers, backend=lambda graph, _: found.append(graph) or graph.forward)
    monkeypatch.setattr(learners, "compile_layers", backend)
    torch._dynamo.reset()
    yield found
    torch._dynamo.reset()


def beside(row, folder, *overrides):
    """The network that learns beside the policy of a recipe, and what it says of a micro-batch."""
    policy = make_policy(dtype=torch.float64)
    assert policy.share_prompts() is None
    policy.model.eval()  # as one is that was loaded
    if row == "loaded":
        ValueModel.from_policy(policy).save(folder)
        overrides = (*overrides, f"critic.path={folder}")
    config = recipe("ppo" if row == "loaded" else row, *overrides)
    learner = open_learner(config, resolve_objective(config.algorithm, config.objective), policy)
    if row == "reward_model":
        return learner.reward_model, learner.reward_model.rewards
    if row == "sac":
        return learner.twins.second, lambda batch: torch.cat(learner.twins.second.taken(policy, batch))
    critic = learner.networks.critic if row == "iql" else learner.updater.critic.critic
    return critic, critic.values


def passed(row, folder, *overrides):
    """Loss and gradient of one pass, and how many numbers were kept for the latter."""
    network, says = beside(row, folder, *overrides)
    model, kept = moved(network.model.to(torch.float64), 1), []
    (batch,) = micro_batches(random_groups(), 10**6, dtype=torch.float64, share=True)
    with saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda tensor: tensor):
        loss = says(batch).sin().sum()
    loss.backward()
    gradients = (torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters())
    return loss.detach(), torch.cat([g.flatten() for g in gradients]), sum(kept)


@pytest.mark.parametrize(("row", "overrides"), [*SETTINGS, ("ppo", (COMPILED,))])
def test_loss_and_gradient_stay(row, overrides, graphs, tmp_path):
    loss, gradient, kept = passed(row, tmp_path)
    assert not graphs
    found, mine, fewer = passed(row, tmp_path, *overrides)
    torch.testing.assert_close(found, loss, rtol=1e-10, atol=0)
    assert far(mine, gradient) < 1e-10
    assert bool(graphs) is (COMPILED in overrides)
    if CHECKPOINTING in overrides:
        assert fewer < kept / 2


def test_several_processes_and_a_compiled_network_are_refused(monkeypatch):
    monkeypatch.setattr(preflight.ranks, "world_size", lambda: 2)
    with pytest.raises(UserError, match=r"model\.compile is not offered with several processes"):
        preflight.preflight(recipe("grpo", COMPILED), None)
