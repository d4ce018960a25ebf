"""What `grpo-kit import trl` makes of a GRPOConfig has TRL's own loss and gradient, on the same tensors."""

from types import SimpleNamespace

import pytest
import torch

from grpo_kit.compat.trl.recipe import make_recipe
from grpo_kit.compat.trl.script import Asked, Rows
from grpo_kit.config.read import load_recipe
from grpo_kit.objective.algorithms import resolve_objective
from tests.kit.optional import needs_extra
from tests.parity.case import our_loss, same
from tests.parity.trl_stub import TOLERANCE, inputs, trainer

needs_extra("trl", "parity")

SETTINGS = {
    "defaults": {},
    "grpo": {"loss_type": "grpo", "beta": 0.04},
    "a KL that is not weighted": {"loss_type": "grpo", "beta": 0.04, "use_bias_correction_kl": False},
    "dr_grpo": {"loss_type": "dr_grpo"},
    "bnpo": {"loss_type": "bnpo"},
    "a higher upper clip": {"epsilon": 0.1, "epsilon_high": 0.28},
    "delta": {"delta": 1.15, "epsilon": 0.05},
    "cispo": {"loss_type": "cispo", "epsilon_high": 5.0},
    "sapo": {"loss_type": "sapo", "sapo_temperature_neg": 1.2},
    "gspo": {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 3e-4, "epsilon_high": 4e-4},
    "luspo": {"loss_type": "luspo", "importance_sampling_level": "sequence", "epsilon": 3e-4, "epsilon_high": 4e-4},
    "luspo of tokens": {"loss_type": "luspo"},
    "vespo": {"loss_type": "vespo", "vespo_k_pos": 1.5, "vespo_lambda_neg": 2.5},
    "tokens of high entropy": {"top_entropy_quantile": 0.25},
    "an entropy bonus": {"entropy_coef": 0.03},
}


def row_of(settings, tmp_path, **rollout):
    """The objective of a recipe that is made of these settings."""
    given = {"max_steps": 2, **settings}
    asked = Asked("grpo", tmp_path / "script.py", given, model="m", data=Rows("d"), rewards=["accuracy_reward"])
    config = load_recipe(make_recipe(asked, tmp_path / "recipe.yaml", []).recipe)
    return resolve_objective(config.algorithm, config.objective, config.sampled_by)


def their_trainer(case, settings, tmp_path):
    """A stand-in that holds what TRL's own configuration and trainer make of these settings."""
    from trl import GRPOConfig

    args = GRPOConfig(output_dir=str(tmp_path), bf16=False, **settings)
    high = args.epsilon if args.epsilon_high is None else args.epsilon_high
    stub = trainer(
        case, loss_type=args.loss_type, importance_sampling_level=args.importance_sampling_level, epsilon_low=args.epsilon,
        epsilon_high=high, beta=args.beta, delta=args.delta, use_bias_correction_kl=args.use_bias_correction_kl,
        top_entropy_quantile=args.top_entropy_quantile, off_policy_mask_threshold=args.off_policy_mask_threshold,
        entropy_coef=args.entropy_coef, _entropy_bonus_enabled=args.entropy_coef != 0.0, use_vllm=args.use_vllm,
        vllm_importance_sampling_correction=args.vllm_importance_sampling_correction,
    )  # fmt: skip
    kept = (
        "sapo_temperature_pos",
        "sapo_temperature_neg",
        "vespo_k_pos",
        "vespo_k_neg",
        "vespo_lambda_pos",
        "vespo_lambda_neg",
    )
    stub.args = SimpleNamespace(**vars(stub.args) | {name: getattr(args, name) for name in kept})
    return stub, args


@pytest.mark.parametrize("name", SETTINGS)
def test_the_loss_of_an_imported_recipe_is_trls(case, name, tmp_path):
    from trl import GRPOTrainer

    stub, _ = their_trainer(case, SETTINGS[name], tmp_path)
    theirs = GRPOTrainer._compute_loss(stub, None, inputs(case))
    same(case, our_loss(case, row_of(SETTINGS[name], tmp_path)), theirs, TOLERANCE)


@pytest.mark.parametrize(
    ("mode", "low", "high"),
    [
        ("token_truncate", None, 1.2), ("sequence_truncate", None, 1.2), ("token_mask", None, 1.2), ("token_mask", 0.9, 1.1),
        ("sequence_mask", None, 1.2), ("sequence_mask", 0.9, 1.1),
    ],
)  # fmt: skip
def test_the_correction_of_vllm_is_trls(case, mode, low, high, tmp_path):
    """Its weights are made where responses are scored: theirs are written out after its code."""
    from trl import GRPOTrainer

    case.behaviour = (case.old + 0.9 * torch.sin(7.0 * torch.arange(case.old.numel())).view_as(case.old)) * case.mask
    difference = (case.old - case.behaviour) * case.mask
    if mode.startswith("sequence"):
        difference = difference.sum(-1, keepdim=True)
    weight = difference.exp()
    least = 0.0 if low is None else low
    weight = weight.masked_fill((weight < least) | (weight > high), 0.0) if "mask" in mode else weight.clamp(max=high)
    settings = {
        "use_vllm": True, "vllm_importance_sampling_mode": mode, "vllm_importance_sampling_clip_min": low,
        "vllm_importance_sampling_clip_max": high,
    }  # fmt: skip
    stub, _ = their_trainer(case, settings, tmp_path)
    theirs = GRPOTrainer._compute_loss(stub, None, {**inputs(case), "importance_sampling_ratio": weight})
    same(case, our_loss(case, row_of(settings, tmp_path)), theirs, TOLERANCE)


def test_the_off_policy_mask_is_trls(case, tmp_path):
    from trl import GRPOTrainer

    case.behaviour = (case.logprobs.detach() + 0.1) * case.mask
    settings = {"loss_type": "grpo", "off_policy_mask_threshold": 0.1}
    stub, _ = their_trainer(case, settings, tmp_path)
    theirs = GRPOTrainer._compute_loss(stub, None, {**inputs(case), "sampling_per_token_logps": case.behaviour})
    same(case, our_loss(case, row_of(settings, tmp_path)), theirs, TOLERANCE)
