"""Weights in bfloat16 without a copy of float32, rounded at random."""

import pytest
import torch
from torch import nn

from grpo_kit.config import ModelConfig
from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.plan.memory import MASTER, memory_of, setting_of
from grpo_kit.plan.shapes import shape_of
from grpo_kit.policy.compact_adamw import CompactAdamW
from grpo_kit.policy.distributed import clip_gradients
from grpo_kit.policy.models import load_policy
from grpo_kit.policy.narrow import is_narrow, layer_matrices, rounded
from grpo_kit.policy.value_model import ValueModel
from grpo_kit.runtime import ranks
from grpo_kit.train.assemble import prepare_policy
from grpo_kit.train.learners import open_learner
from grpo_kit.train.preflight import preflight
from tests.kit.groups import groups
from tests.kit.runs import recipe

CPU = torch.device("cpu")
SHAPE = "model.scratch={hidden_size: 64, intermediate_size: 128, layers: 2, heads: 2, context_length: 512}"
NARROW = ("model.dtype=bfloat16", "model.weight_dtype=bfloat16")


def policy_of(weight_dtype="bfloat16"):
    return prepare_policy(recipe("grpo", SHAPE, "model.dtype=bfloat16", f"model.weight_dtype={weight_dtype}"))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_rounding_gives_a_neighbour_and_is_right_on_average():
    for number in (1.0 + 2**-10, -3.0 - 2**-9, 1e-20, 2.0 - 2**-12):
        value = torch.full((200_000,), number)
        found = rounded(value, generator())
        assert found.dtype is torch.bfloat16
        low, high = (float(edge) for edge in found.float().aminmax())
        assert low < float(value[0]) < high
        assert torch.equal(
            torch.tensor(low).bfloat16().nextafter(torch.tensor(9.0).bfloat16()).float(), torch.tensor(high)
        )
        error = float(found.double().mean() - value[0].double()) / (high - low)
        assert abs(error) < 4 * 0.5 / len(value) ** 0.5
    exact = torch.tensor([0.0, -0.0, 1.5, -(2.0**-130), float("inf")])
    assert torch.equal(rounded(exact, generator()).float(), exact)


def test_updates_smaller_than_a_digit_add_up():
    """A hundred updates of 1e-4 to weights of 1, whose neighbours in bfloat16 are 0.4 % and 0.8 % away."""
    weight = nn.Parameter(torch.ones(64, 256, dtype=torch.bfloat16))
    nearest = weight.detach().clone()
    optimizer = CompactAdamW([weight], lr=1e-4, betas=(0.0, 0.0), eps=0.0, moments="float32")
    for _ in range(100):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        nearest -= 1e-4
    assert float(nearest.float().mean()) == 1.0
    assert float(weight.detach().float().mean()) == pytest.approx(0.99, abs=3e-4)


def batch_of(policy, sizes=(5, 9)):
    from grpo_kit.policy.packing import TrainingSequence, micro_batches

    random = generator(1)
    drawn = [torch.randint(3, 250, (8 + size,), generator=random).tolist() for size in sizes]
    sequences = [TrainingSequence(ids[:8], ids[8:], 0.0, 1.0) for ids in drawn]
    return list(micro_batches(sequences, 64, policy.device, torch.float32))


def test_products_see_the_same_numbers_as_of_float32_weights():
    small, plain = policy_of(), policy_of("float32")
    assert {m.weight.dtype for m in layer_matrices(small.model)} == {torch.bfloat16}
    others = {p.dtype for p in small.model.parameters()} - {torch.bfloat16}
    assert others == {torch.float32}  # norms, biases, embedding
    plain.model.load_state_dict(small.model.state_dict())
    for batch in batch_of(small):
        assert torch.equal(small.logprobs(batch, 1.0)[0], plain.logprobs(batch, 1.0)[0])


def test_gradients_of_many_micro_batches_are_near_those_of_float32():
    gradients, start = {}, policy_of().snapshot()
    for dtype in ("bfloat16", "float32"):
        policy = policy_of(dtype)
        policy.restore(start)
        for _ in range(16):
            for batch in batch_of(policy):
                policy.logprobs(batch, 1.0)[0].sum().backward()
        gradients[dtype] = [m.weight.grad.float().clone() for m in layer_matrices(policy.model)]
        found = clip_gradients(policy.model.parameters(), 1.0)
        after = torch.stack([p.grad.float().norm() for p in policy.model.parameters()]).norm()
        assert found > 1.0
        assert float(after) == pytest.approx(1.0, rel=5e-3)
    for mine, theirs in zip(*gradients.values(), strict=True):
        assert float((mine - theirs).norm()) < 0.02 * float(theirs.norm())


def learner_of(row="grpo", *overrides):
    config = recipe(row, *NARROW, *overrides)
    return open_learner(config, resolve_objective(row, config.objective), policy_of())


@pytest.mark.parametrize("moments", ["float32", "8bit"])
def test_a_resumed_run_takes_the_same_steps(tmp_path, moments):
    """The weights go through the folder of a model and the optimizer through a file, as a checkpoint has them."""
    straight, cut = (learner_of("grpo", f"optimizer.moments={moments}") for _ in range(2))
    start = cut.trained.snapshot()
    for learner in (straight, cut):
        learner.learn(groups())
    assert any(not torch.equal(w, start[name]) for name, w in cut.trained.snapshot().items())
    torch.save(cut.state_dict(), tmp_path / "state.pt")
    cut.trained.save(tmp_path / "model")
    resumed = learner_of("grpo", f"optimizer.moments={moments}")
    resumed.trained.load_weights(tmp_path / "model")
    resumed.load_state_dict(torch.load(tmp_path / "state.pt"))
    for learner in (straight, resumed):
        learner.learn(groups())
    ends = [learner.trained.snapshot() for learner in (straight, resumed)]
    assert all(torch.equal(weight, ends[1][name]) for name, weight in ends[0].items())
    kept = {
        v.dtype for state in resumed.updater.step.optimizer.state.values() for v in state.values() if torch.is_tensor(v)
    }
    assert torch.bfloat16 not in kept


def test_a_saved_model_has_the_very_weights_whoever_loads_it(tmp_path):
    small = policy_of()
    small.save(tmp_path / "model")
    loaded = load_policy(ModelConfig(path=str(tmp_path / "model")), CPU)
    assert not is_narrow(loaded.model)
    again = loaded.snapshot()
    assert all(torch.equal(weight.float(), again[name]) for name, weight in small.snapshot().items())


def test_a_critic_keeps_its_weights_as_the_policy_does():
    critic = ValueModel.from_policy(policy_of())
    assert is_narrow(critic.model)
    assert {p.dtype for p in critic.model.parameters() if p.ndim == 1} == {torch.float32}
    assert not is_narrow(ValueModel.from_policy(policy_of("float32")).model)


@pytest.mark.parametrize("moments", ["float32", "8bit"])
def test_a_plan_counts_what_is_there(moments):
    overrides = f"optimizer.moments={moments}", "objective.beta=0.1", "train.token_budget=64"
    learner = learner_of("grpo", *overrides)
    learner.learn(groups())
    config = recipe("grpo", *NARROW, *overrides, SHAPE)
    objective = resolve_objective("grpo", config.objective)
    memory = memory_of(setting_of(config, objective, shape_of(config.model), devices=1, device="cpu", device_bytes=0))
    states = learner.updater.step.optimizer.state.values()
    measured = sum(v.nbytes for state in states for v in state.values() if torch.is_tensor(v))
    weights = sum(p.nbytes for p in learner.trained.model.parameters())
    assert memory.kept["weights"] == pytest.approx(weights, rel=0.01)
    assert memory.kept["reference"] == pytest.approx(weights, rel=0.01)
    assert memory.update["gradients"] == pytest.approx(weights, rel=0.01)
    assert memory.kept["optimizer"] == pytest.approx(measured, rel=0.05)
    assert weights < 0.75 * MASTER * learner.trained.parameter_count  # of a shape that is a fifth embedding


@pytest.mark.parametrize(
    ("row", "overrides", "message"),
    [
        ("grpo", ("model.dtype=float32",), "set model.dtype=bfloat16"),
        ("grpo", ("model.lora={rank: 4}",), "set model.lora.base_dtype=bfloat16"),
        ("trpo", (), "natural_gradient solves"),
        ("dqn", ("objective.target_rate=0.05",), "use target_rate 1 with target_every"),
    ],
)
def test_what_it_does_not_go_with_is_refused_at_the_start(row, overrides, message):
    with pytest.raises(UserError, match=message):
        preflight(recipe(row, *NARROW, *overrides), None)


def test_several_processes_are_refused_with_the_reason(monkeypatch):
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    with pytest.raises(UserError, match="FSDP2 wants one dtype"):
        preflight(recipe("grpo", *NARROW), None)
