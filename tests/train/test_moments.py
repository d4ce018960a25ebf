"""Moments of an optimizer in less memory: quantised, or on the host."""

import pytest
import torch
from torch import nn

from grpo_kit.config import OptimizerConfig
from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.plan.memory import memory_of, setting_of
from grpo_kit.plan.shapes import shape_of
from grpo_kit.policy import models
from grpo_kit.policy.compact_adamw import WHOLE, CompactAdamW
from grpo_kit.policy.eight_bit import BLOCK, codebook, quantised, restored
from grpo_kit.runtime import ranks
from grpo_kit.train.learners import open_learner
from grpo_kit.train.on_host import on_host
from grpo_kit.train.preflight import preflight
from grpo_kit.train.reference import check_reference, open_reference
from grpo_kit.train.steps import check_optimizer
from tests.kit.groups import groups
from tests.kit.runs import recipe
from tests.kit.tiny import make_policy


def layers(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, 128), nn.Tanh(), nn.Linear(128, 64))


def lesson(network, number):
    """The gradient of a step of regression onto a fixed network."""
    random = torch.Generator().manual_seed(number)
    inputs = torch.randn(32, 64, generator=random)
    loss = (network(inputs) - layers(7)(inputs)).square().mean()
    network.zero_grad()
    loss.backward()
    return float(loss.detach())


def moved(optimizer, network, steps, first=0):
    return [(lesson(network, first + n), optimizer.step())[0] for n in range(steps)]


@pytest.mark.parametrize("signed", [True, False])
def test_codes_are_near_and_quantising_again_changes_nothing(signed):
    table = codebook(signed)
    assert len(table) == 256
    assert table.diff().min() >= 0
    assert {float(table[0]), float(table[-1])} == ({-1.0, 1.0} if signed else {0.0, 1.0})
    values = torch.randn(64 * BLOCK, generator=torch.Generator().manual_seed(0))
    values = values if signed else values.abs()
    codes, scales = quantised(values, table)
    again = restored(codes, scales, table)
    assert codes.dtype == torch.uint8
    assert (again - values).abs().max() <= 0.01 * values.abs().max()
    assert torch.equal(restored(*quantised(again, table), table), again)
    nothing = torch.zeros(BLOCK)
    assert torch.equal(restored(*quantised(nothing, table), table), nothing)


def test_what_a_step_divides_by_is_never_rounded_to_nothing():
    values = torch.full((BLOCK,), 1e-12)
    values[0] = 1.0
    assert restored(*quantised(values, codebook(False), torch.full((BLOCK,), 0.999)), codebook(False)).min() > 0


def test_rounding_at_random_follows_what_moves_less_than_a_code():
    """A root that falls by a twentieth of a percent a step, as with a decay of 0.999, over 400 steps."""
    table, random = codebook(False), torch.Generator().manual_seed(0)
    ends = {}
    for how in ("nearest", "random"):
        values = torch.linspace(0.5, 1.0, 4 * BLOCK)
        for _ in range(400):
            held = torch.ones(4, BLOCK)  # a number that keeps the scale of its block where it is
            held[:, 1:] = values.view(4, BLOCK)[:, 1:] * 0.9995
            noise = torch.rand(4 * BLOCK, generator=random) if how == "random" else 0.5
            values = restored(*quantised(held.flatten(), table, noise), table)
        ends[how] = float(values.view(4, BLOCK)[:, 1:].mean()) / 0.75
    assert ends["nearest"] > 0.97  # it stands still
    assert ends["random"] == pytest.approx(0.9995**400, rel=0.03)


def test_it_goes_where_adamw_goes():
    plain, small = layers(), layers()
    start = nn.utils.parameters_to_vector(plain.parameters()).detach().clone()
    settings = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8}
    of_plain = moved(torch.optim.AdamW(plain.parameters(), weight_decay=0.0, **settings), plain, 60)
    of_small = moved(CompactAdamW(small.parameters(), **settings), small, 60)
    assert of_plain[-1] < 0.5 * of_plain[0]
    assert of_small[-1] == pytest.approx(of_plain[-1], rel=0.02)
    ends = [nn.utils.parameters_to_vector(network.parameters()).detach() for network in (plain, small)]
    assert (ends[1] - ends[0]).norm() < 0.1 * (ends[0] - start).norm()


def test_small_weights_move_as_adamw_moves_them():
    ends = []
    for make in (torch.optim.AdamW, CompactAdamW):
        weight = nn.Parameter(torch.linspace(-1, 1, WHOLE - 1))
        optimizer = make([weight], lr=1e-2, betas=(0.9, 0.99), eps=1e-8)
        optimizer.param_groups[0]["weight_decay"] = 0.1
        for number in range(5):
            weight.grad = torch.randn(WHOLE - 1, generator=torch.Generator().manual_seed(number))
            optimizer.step()
        ends.append(weight.detach())
    torch.testing.assert_close(*ends, rtol=1e-5, atol=1e-6)


WIDE = {"hidden_size": 128, "intermediate_size": 256}


def learner_of(*overrides):
    config = recipe("grpo", "optimizer.moments=8bit", *overrides)
    return open_learner(config, resolve_objective("grpo", config.objective), make_policy(**WIDE))


def test_a_resumed_run_takes_the_same_steps(tmp_path):
    straight, cut = learner_of(), learner_of()
    for learner in (straight, cut):
        learner.learn(groups())
    torch.save(cut.state_dict(), tmp_path / "state.pt")
    resumed = learner_of()
    resumed.trained.model.load_state_dict(cut.trained.model.state_dict())
    resumed.load_state_dict(torch.load(tmp_path / "state.pt"))
    for learner in (straight, resumed):
        learner.learn(groups())
    kept = resumed.updater.step.optimizer.state.values()
    assert {v.dtype for state in kept for n, v in state.items() if n.endswith("codes")} == {torch.uint8}
    ends = [learner.trained.model.state_dict() for learner in (straight, resumed)]
    assert all(torch.equal(weight, ends[1][name]) for name, weight in ends[0].items())


def test_a_plan_counts_what_the_moments_take():
    shape = ["model={scratch: {hidden_size: 128, intermediate_size: 256, layers: 2, heads: 2, context_length: 512}}"]
    learner = learner_of(*shape)
    learner.learn(groups())
    states = learner.updater.step.optimizer.state.values()
    measured = sum(v.nbytes for state in states for v in state.values() if torch.is_tensor(v))
    config = recipe("grpo", "optimizer.moments=8bit", *shape)
    objective, of_model = resolve_objective("grpo", {}), shape_of(config.model)
    setting = setting_of(config, objective, of_model, devices=1, device="cpu", device_bytes=0)
    assert memory_of(setting).kept["optimizer"] == pytest.approx(measured, rel=0.05)


def test_what_is_kept_on_the_host_is_not_on_a_gpu():
    away = recipe("grpo", "optimizer.offload=true", "reference.offload=true", "objective.beta=0.1")
    objective, shape = resolve_objective("grpo", away.objective), shape_of(away.model)
    kept = {}
    for device in ("cpu", "cuda"):
        kept[device] = memory_of(setting_of(away, objective, shape, devices=1, device=device, device_bytes=0)).kept
    assert kept["cpu"]["reference"] == kept["cpu"]["weights"]
    assert kept["cpu"]["optimizer"] == 2 * kept["cpu"]["weights"]
    assert "reference" not in kept["cuda"]
    assert kept["cuda"]["optimizer"] == 0


def test_an_optimizer_on_the_host_takes_the_same_steps():
    here, away = layers(), layers()
    settings = {"lr": 1e-3, "fused": True}
    plain = torch.optim.AdamW(here.parameters(), **settings)
    copies = on_host(list(away.parameters()), lambda weights: torch.optim.AdamW(weights, **settings))
    assert moved(plain, here, 5) == moved(copies, away, 5)
    for mine, theirs in zip(here.parameters(), away.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    with torch.no_grad():  # what is loaded meanwhile counts
        for parameter in (*here.parameters(), *away.parameters()):
            parameter.mul_(0.5)
    assert moved(plain, here, 2, 5) == moved(copies, away, 2, 5)


def test_a_resting_reference_is_on_its_device_while_it_stands(monkeypatch):
    policy, on_device = make_policy(), []
    weights = {name: p.detach().clone() for name, p in policy.model.named_parameters()}
    monkeypatch.setattr(models, "moved", lambda tensor, device: on_device.append(device) or tensor * 2)
    resting = models.RestingPolicy(policy.model, policy.tokenizer, policy.device)
    with resting.standing():
        assert all(torch.equal(p, 2 * weights[name]) for name, p in resting.model.named_parameters())
    assert on_device == [policy.device] * len(weights)
    assert all(torch.equal(p, weights[name]) for name, p in resting.model.named_parameters())


@pytest.mark.parametrize("row", ["grpo", "trpo"])
def test_a_reference_rests_whatever_the_step(row):
    config = recipe(row, "reference.offload=true", "objective.beta=0.1")
    policy = make_policy()
    policy.device = torch.device("meta")  # any that is not the host
    reference = open_reference(config, resolve_objective(row, config.objective), policy)
    assert isinstance(reference, models.RestingPolicy)


def test_several_processes_are_told_what_to_set(monkeypatch):
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    for settings in (OptimizerConfig(moments="8bit"), OptimizerConfig(offload=True)):
        with pytest.raises(UserError, match=r"critic\.optimizer\.(moments|offload)"):
            check_optimizer(settings, "critic.optimizer")


@pytest.mark.parametrize("overrides", [("model.lora={rank: 4}",), ("objective.teacher=vocabulary",)])
def test_a_reference_that_cannot_rest_is_refused(overrides):
    row = "grpo" if "lora" in overrides[0] else "on_policy_distillation"
    config = recipe(row, "reference.offload=true", *overrides, *(["objective.beta=0.1"] if row == "grpo" else []))
    with pytest.raises(UserError, match=r"reference\.offload"):
        check_reference(config, resolve_objective(row, config.objective), None, None)


@pytest.mark.parametrize(
    ("row", "overrides", "message"),
    [
        ("trpo", ("optimizer.moments=8bit",), "natural_gradient keeps none"),
        ("trpo", ("optimizer.offload=true",), "natural_gradient keeps none"),
        ("grpo", ("model.lora={rank: 4, base_dtype: bfloat16}",), "set model.dtype=bfloat16"),
        ("grpo", ("model.lora={rank: 600}", "rollout={engine: vllm, vllm: {adapters: true}}"), "of rank 512 at most"),
    ],
)
def test_what_would_be_without_effect_or_end_a_run_later_is_refused_at_the_start(row, overrides, message):
    """The base of adapters is narrowed after a warm start, which may have taken hours."""
    with pytest.raises(UserError, match=message):
        preflight(recipe(row, "scoring.max_rejected_gold=1.0", *overrides), None)


def test_a_warm_start_is_asked_for_its_moments_too(monkeypatch):
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    with pytest.raises(UserError, match=r"warm_start\.optimizer\.moments"):
        preflight(recipe("grpo", "warm_start={steps: 1, optimizer: {moments: 8bit}}"), None)
