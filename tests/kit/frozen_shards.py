"""What each rank of `test_frozen_networks` does: opens frozen networks, and says what they compute and take."""

import gc
import sys
from pathlib import Path

import torch

from grpo_kit.config import ParallelConfig
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.policy.dealing import computed, rank_batches
from grpo_kit.policy.distributed import shard_frozen_values, shard_policy, shard_value_model
from grpo_kit.policy.value_model import ValueModel
from grpo_kit.runtime import ranks
from grpo_kit.train.reference import open_reference
from tests.kit.runs import recipe
from tests.kit.sequences import random_sequences
from tests.kit.tiny import make_policy

ROWS = {"own": "grpo", "path": "on_policy_distillation", "whole policy": "trpo"}


def held() -> int:
    """Bytes of all tensors that are alive in this process."""
    gc.collect()
    storages = {}
    for thing in gc.get_objects():
        if isinstance(thing, torch.Tensor) and thing.device.type != "meta":
            local = thing.to_local() if hasattr(thing, "to_local") else thing
            storages[local.untyped_storage().data_ptr()] = local.untyped_storage().nbytes()
    return sum(storages.values())


@torch.no_grad()
def opened(kind: str) -> dict[str, object]:
    """A reference's log-probabilities of some sequences, before and after it follows a moved policy, and its bytes."""
    config = recipe(ROWS[kind], "objective.beta=0.1") if kind != "path" else recipe(ROWS[kind])
    objective = resolve_objective(config.algorithm, config.objective)
    policy = make_policy()
    if not objective.natural_gradient:
        policy = shard_policy(policy, ParallelConfig())
    before = held()
    reference = open_reference(config, objective, policy)
    taken = held() - before
    found = [_logprobs(reference)]
    if kind != "path":
        start = reference.snapshot()
        for parameter in policy.model.parameters():
            parameter.mul_(1.5)
        reference.follow(policy)
        found.append(_logprobs(reference))
        reference.restore(start)
        found.append(_logprobs(reference))
    weights = sum(p.numel() * p.element_size() for p in reference.model.parameters())
    return {"logprobs": found, "bytes": ranks.all_gather(taken, "bytes"), "weights": weights}


def _logprobs(policy) -> torch.Tensor:
    sequences = random_sequences(7)
    batches = rank_batches(sequences, 64, policy.device, policy.model)
    found = computed(sequences, batches, lambda batch: policy.logprobs(batch, 0.9), "logprobs")
    return torch.cat([next(logprobs for s, (logprobs, _) in found if s is wanted) for wanted in sequences])


def critic() -> dict[str, object]:
    """Bytes of a frozen critic, as of a target network, and of all its weights; and what it says after following another."""
    policy = make_policy()
    still, moved = ValueModel.from_policy(policy), ValueModel.from_policy(policy)
    network = sum(p.numel() * p.element_size() for p in still.model.parameters())
    moved = shard_value_model(moved, ParallelConfig())
    for parameter in moved.model.parameters():
        parameter.data.add_(0.1)
    still.model.requires_grad_(False)
    before = held()
    frozen = shard_frozen_values(still, ParallelConfig())
    del still
    taken = held() - before + network
    with torch.no_grad():
        frozen.follow(moved, 0.25)
    kept = frozen.snapshot()
    frozen.restore(kept)
    return {"bytes": ranks.all_gather(taken, "bytes"), "weights": network, "score": kept["score.weight"]}


def let_go() -> dict[str, object]:
    """Bytes of a sharded policy before and after a reward model was made of it that does not need it any more."""
    before = held()
    policy = shard_policy(make_policy(), ParallelConfig())
    weights = held() - before
    model = ValueModel.from_policy(policy.whole())
    network = sum(p.numel() * p.element_size() for p in model.model.parameters())
    policy.let_go()
    policy.whole()
    return {"left": ranks.all_gather(held() - before - network, "bytes"), "policy": weights}


if __name__ == "__main__":
    torch.set_num_threads(1)
    with ranks.joined(torch.device("cpu")):
        result = {kind: opened(kind) for kind in ROWS} | {"let go": let_go(), "critic": critic()}
        if ranks.first():
            torch.save(result, Path(sys.argv[1]))
