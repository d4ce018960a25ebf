"""What processes do whose gradient must not depend on the world: one step's gradient, saved by rank 0."""

import sys
from dataclasses import replace
from functools import partial

import torch

from grpo_kit.config import OptimizerConfig, ParallelConfig
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.distributed import gathered_state, shard_policy
from grpo_kit.policy.layers import checkpoint_layers
from grpo_kit.policy.models import Policy
from grpo_kit.runtime import ranks
from grpo_kit.train.learners import open_learner
from grpo_kit.train.steps import GradientStep
from grpo_kit.train.update import PolicyUpdater
from tests.kit.episodes import as_episodes
from tests.kit.gradients import in_full_precision
from tests.kit.runs import recipe
from tests.kit.sequences import random_groups, random_sequences
from tests.kit.tiny import make_policy


def step(
    dtype: torch.dtype, checkpointing: bool = False, groups: bool = False, share: bool = False, episodes: bool = False
) -> dict[str, object]:
    """Loss, gradient, its norm and the optimizer's state after one step over unequal sequences.

    Args:
        groups: several completions of each prompt; ``share`` their prompts.
        episodes: of several turns; every other one with a prompt of its own for each.
    """
    policy = make_policy(dtype=dtype)
    if groups:
        in_full_precision(policy.model)
    if share:
        assert policy.share_prompts() is None
    if checkpointing:
        checkpoint_layers(policy.model)
    objective = resolve_objective("grpo", {"beta": 0.04, "entropy_bonus": 0.01, "baseline": "none"})
    policy = shard_policy(policy, ParallelConfig())
    policy.model.train()
    updater = PolicyUpdater(
        policy,
        objective,
        OptimizerConfig(),
        total_updates=2,
        token_budget=64,
        temperature=0.9,
        reference=policy.reference(),
    )
    sequences = random_groups() if groups else random_sequences(7)
    if episodes:
        sequences = [replace(s, fresh=number % 2 == 1) for number, s in enumerate(as_episodes(sequences))]
    updater.annotate(sequences, several_updates=True)
    for sequence in sequences:
        sequence.reference_logprobs = sequence.reference_logprobs + 0.1
    assert isinstance(updater.step, GradientStep)
    metrics = Measures()
    batches = list(updater._batches(sequences))
    trees = all(batch.tree is not None for batch in batches if batch.sequences)
    loss, norm = updater.step.backward(batches, updater.loss, metrics)
    gradient = whole_gradient(policy.model)
    updater.step.optimizer.step()
    moments = [values["exp_avg"] for values in gathered_state(updater.step.optimizer)["state"].values()]
    weights = torch.cat([p.flatten() for p in policy.whole().model.parameters()])
    summary = metrics.over_ranks("adding up")
    known = {"loss": loss, "norm": norm, "gradient": gradient, "weights": weights, "moments": moments, "trees": trees}
    return {**known, **summary, "critic": critic_gradient(policy, checkpointing)}


def critic_gradient(policy: Policy, checkpointing: bool) -> torch.Tensor:
    """Of the critic that PPO has beside the policy, once it has an opinion: before that its layers learn nothing."""
    config = recipe("ppo", f"parallel.gradient_checkpointing={checkpointing}", "train.token_budget=64")
    updater = open_learner(config, resolve_objective("ppo", {}), policy).updater.critic
    with torch.no_grad():
        updater.critic.whole().model.score.weight.normal_(generator=torch.Generator().manual_seed(0))
    updater.critic.take_whole()
    sequences = random_sequences(7)
    updater.annotate(sequences)
    for sequence in sequences:
        sequence.returns = sequence.values + sequence.behaviour_logprobs
    tokens = sum(len(sequence.completion_ids) for sequence in sequences)
    updater.step.backward(updater._batches(sequences), partial(updater.loss, tokens=tokens), Measures())
    return whole_gradient(updater.critic.model)


def whole_gradient(network: torch.nn.Module) -> torch.Tensor:
    grads = [p.grad.full_tensor() if hasattr(p.grad, "full_tensor") else p.grad for p in network.parameters()]
    return torch.cat([g.flatten() for g in grads])


if __name__ == "__main__":
    torch.set_num_threads(1)
    dtype = torch.float64 if sys.argv[2] == "float64" else torch.float32
    with ranks.joined(torch.device("cpu")):
        shared = "shared" in sys.argv
        episodes = "episodes" in sys.argv
        result = step(dtype, "checkpointing" in sys.argv, groups=shared, share=shared, episodes=episodes)
        if ranks.first():
            torch.save(result, sys.argv[1])
