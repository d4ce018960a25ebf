"""Losses and gradients against TRL 1.16's own methods, on the same tensors (`pip install grpo-kit[parity]`).

TRL's trainers compute their losses in `_compute_loss`; it is called here unbound, with a stand-in for the trainer that
holds the settings and hands out the log-probabilities.
"""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch

from grpo_kit.objective.advantages import Rewards, compute_advantages
from grpo_kit.objective.algorithms import ALGORITHMS, resolve_objective
from grpo_kit.objective.preference import PAIR_LOSSES, bradley_terry, kto, kto_baseline
from tests.kit.optional import needs_extra
from tests.parity.case import LENGTHS, our_loss, same
from tests.parity.trl_stub import TOLERANCE, accelerator, inputs, trainer

needs_extra("trl", "parity")

GRPO_LIKE = {
    "grpo": {"beta": 0.04},
    "dr_grpo": {"loss_type": "dr_grpo"},
    "bnpo": {"loss_type": "bnpo"},
    "dapo": {"loss_type": "dapo", "epsilon_high": 0.28},
    "cispo": {"loss_type": "cispo", "epsilon_high": 5.0},
    "sapo": {"loss_type": "sapo"},
    "gspo": {"importance_sampling_level": "sequence", "epsilon_low": 3e-4, "epsilon_high": 4e-4},
    "luspo": {
        "loss_type": "luspo", "importance_sampling_level": "sequence", "epsilon_low": 3e-4, "epsilon_high": 4e-4,
    },
    "vespo": {"loss_type": "vespo"},
    "lite_ppo": {"loss_type": "dapo"},
}  # fmt: skip


@pytest.mark.parametrize("name", GRPO_LIKE)
def test_grpo_and_its_relatives(case, name):
    from trl import GRPOTrainer

    theirs = GRPOTrainer._compute_loss(trainer(case, **GRPO_LIKE[name]), None, inputs(case))
    same(case, our_loss(case, ALGORITHMS[name]), theirs, TOLERANCE)


def test_dual_clip_is_trls_delta(case):
    from trl import GRPOTrainer

    # Above 1 + epsilon_high, as TRL asks for: below it TRL's delta bounds the ratio where the advantage is positive, too.
    stub = trainer(case, delta=1.15, epsilon_low=0.05, epsilon_high=0.1)
    theirs = GRPOTrainer._compute_loss(stub, None, inputs(case))
    row = resolve_objective("grpo", {"beta": 0.0, "clip_low": 0.05, "clip_high": 0.1, "dual_clip": 1.15})
    same(case, our_loss(case, row), theirs, TOLERANCE)


def test_entropy_bonus_and_mask(case):
    """At the aggregation whose bonus is the mean over all tokens; TRL divides it by the tokens that are kept."""
    from trl import GRPOTrainer

    stub = trainer(case, loss_type="dapo", top_entropy_quantile=0.25)
    row = resolve_objective("dapo", {"clip_high": 0.2, "entropy_share": 0.25})
    same(case, our_loss(case, row), GRPOTrainer._compute_loss(stub, None, inputs(case)), TOLERANCE)
    stub = trainer(case, loss_type="dapo", _entropy_bonus_enabled=True, entropy_coef=0.03)
    row = resolve_objective("dapo", {"clip_high": 0.2, "entropy_bonus": 0.03})
    same(case, our_loss(case, row), GRPOTrainer._compute_loss(stub, None, inputs(case)), TOLERANCE)


def test_gmpo(case):
    from trl.experimental.gmpo import GMPOTrainer

    stub = trainer(case, epsilon_low=0.4, epsilon_high=0.4)
    theirs = GMPOTrainer._compute_loss(stub, None, inputs(case))
    same(case, our_loss(case, ALGORITHMS["gmpo"]), theirs, TOLERANCE)


def test_a_kl_weighted_by_the_ratio(case):
    from trl import GRPOTrainer

    theirs = GRPOTrainer._compute_loss(trainer(case, beta=0.04, use_bias_correction_kl=True), None, inputs(case))
    same(case, our_loss(case, resolve_objective("grpo", {"kl_weighted": True})), theirs, TOLERANCE)


CORRECTIONS = {
    "token_truncate": {"correction": "truncated"},
    "sequence_truncate": {"correction": "truncated", "correction_level": "sequence"},
    "token_mask": {"correction": "truncated", "correction_cap": 1e9, "rejection": "token"},
    "sequence_mask": {
        "correction": "truncated", "correction_level": "sequence", "correction_cap": 1e9, "rejection": "sequence",
    },
}  # fmt: skip


@pytest.mark.parametrize("mode", CORRECTIONS)
def test_corrections_are_trls_modes(case, mode):
    """Its weights are made where responses are scored, and multiply the loss here: theirs are written out after its code."""
    from trl import GRPOTrainer

    case.behaviour = (case.old + 0.9 * torch.sin(7.0 * torch.arange(case.old.numel())).view_as(case.old)) * case.mask
    difference = (case.old - case.behaviour) * case.mask
    if mode.startswith("sequence"):
        difference = difference.sum(-1, keepdim=True)
    low, high = (0.5, 1.5) if "mask" in mode else (0.0, 2.0)
    weight = difference.exp()
    weight = weight.masked_fill((weight < low) | (weight > high), 0.0) if "mask" in mode else weight.clamp(max=high)
    assert (weight == 0.0).any() or (weight == high).any()
    stub = trainer(case, use_vllm=True, vllm_importance_sampling_correction=True)
    theirs = GRPOTrainer._compute_loss(stub, None, {**inputs(case), "importance_sampling_ratio": weight})
    band = {"rejection_low": low, "rejection_high": high} if "mask" in mode else {}
    row = resolve_objective("grpo", {"beta": 0.0, **CORRECTIONS[mode], **band})
    same(case, our_loss(case, row), theirs, TOLERANCE)


@pytest.mark.parametrize("limit", [0.02, 0.1, 0.5])
def test_off_policy_rejection_is_trls_sequence_mask(case, limit):
    from trl import GRPOTrainer

    case.behaviour = (case.logprobs.detach() + 0.1) * case.mask
    stub = trainer(case, off_policy_mask_threshold=limit)
    theirs = GRPOTrainer._compute_loss(stub, None, {**inputs(case), "sampling_per_token_logps": case.behaviour})
    row = resolve_objective("grpo", {"beta": 0.0, "rejection": "off_policy", "rejection_limit": limit})
    same(case, our_loss(case, row), theirs, TOLERANCE)


def test_rloo(case):
    from trl import RLOOTrainer

    theirs = RLOOTrainer._compute_loss(trainer(case), None, inputs(case))
    same(case, our_loss(case, resolve_objective("rloo", {"beta": 0.0})), theirs, TOLERANCE)


def test_group_advantages_are_trls():
    """TRL adds 1e-4 to the deviation, we add 1e-6: the difference is bounded by their ratio."""
    rewards = torch.tensor([[1.0, 0.0, 0.5, 0.0], [0.0, 1.0, 1.0, 1.0]], dtype=torch.float64)
    index = torch.arange(2).repeat_interleave(4)
    known = Rewards(rewards.flatten(), index, torch.ones(8, dtype=torch.bool))
    ours = compute_advantages(known, baseline="group_mean", scale="group_std")
    theirs = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)
    torch.testing.assert_close(ours.view(2, 4), theirs, rtol=3e-4, atol=1e-9)


# --- preferences -------------------------------------------------------------------------------------------------


def outputs(case):
    """What TRL's patched model returns: one column more than there are responses' tokens on the left."""
    return SimpleNamespace(
        log_probs=case.logprobs * case.mask,
        entropy=case.entropies.detach(),
        mean_logits=torch.zeros_like(case.mask),
        logits=torch.zeros(1),
        is_top1=case.mask.bool(),
        log_sum_sq_probs=torch.zeros_like(case.mask),
        aux_loss=None,
    )


def preference_trainer(**settings):
    stub = MagicMock()
    stub.configure_mock(
        ld_alpha=None, precompute_ref_logps=True, f_divergence_type="reverse_kl", use_weighting=False, beta=0.3,
        aux_loss_enabled=False, loss_weights=[1.0], label_smoothing=0.0, _total_train_tokens=0, _tp_size=1,
        calculate_KL=True, desirable_weight=1.3, undesirable_weight=0.7, loss_type="kto", **settings,
    )  # fmt: skip
    stub.accelerator, stub.model = accelerator(), SimpleNamespace(training=True)
    stub._metrics = {"train": defaultdict(list), "eval": defaultdict(list)}
    return stub


def full_ids(case):
    """Prompt of one token, so that a shift by one leaves exactly the responses."""
    ids = torch.ones(len(LENGTHS), case.mask.shape[1] + 1, dtype=torch.long)
    mask = torch.cat([torch.zeros(len(LENGTHS), 1), case.mask], 1)
    return {"input_ids": ids, "attention_mask": ids, "completion_mask": mask}


def margins(case):
    return ((case.logprobs - case.reference) * case.mask).sum(1)


@pytest.mark.parametrize("name", PAIR_LOSSES)
def test_dpo_and_ipo(case, name):
    from trl import DPOTrainer

    reference = (case.reference * case.mask).sum(1)
    given = full_ids(case) | {"ref_chosen_logps": reference[:4], "ref_rejected_logps": reference[4:]}
    stub = preference_trainer(loss_types=[name])
    theirs = DPOTrainer._compute_loss(stub, lambda **k: outputs(case), given, return_outputs=False)
    lengths = torch.tensor(LENGTHS, dtype=torch.float64)
    m = margins(case)
    same(case, PAIR_LOSSES[name](m[:4], m[4:], lengths[:4], lengths[4:], 0.3).mean(), theirs, TOLERANCE)


def test_kto(case):
    from trl import KTOTrainer

    labels = [True, False, True, True, False, False, True, False]
    mismatched = torch.linspace(-0.5, 1.5, len(LENGTHS), dtype=torch.float64)
    given = full_ids(case) | {
        "label": torch.tensor(labels), "ref_logps": (case.reference * case.mask).sum(1),
        "ref_KL_logps": torch.zeros_like(mismatched),
    }  # fmt: skip
    stub = preference_trainer()
    stub._compute_kl_logps = lambda model, batch: mismatched
    theirs = KTOTrainer._compute_loss(stub, lambda **k: outputs(case), given, return_outputs=False)
    good = torch.tensor(labels)
    weight = torch.where(good, 1.3, 0.7).double()
    ours = (weight * kto(margins(case), good, kto_baseline(mismatched), 0.3)).mean()
    same(case, ours, theirs, TOLERANCE)


@pytest.mark.parametrize("with_margin", [False, True])
def test_reward_model(with_margin):
    from trl import RewardTrainer

    scores = torch.tensor([0.3, -1.0, 2.0, 0.5, 0.1, -0.4], dtype=torch.float64, requires_grad=True)
    given = {"attention_mask": torch.ones(6, 4)}
    margin = torch.tensor([0.5, 0.0, 1.0], dtype=torch.float64)
    if with_margin:
        given["margin"] = margin
    stub = preference_trainer()
    stub.args.center_rewards_coefficient = None
    theirs = RewardTrainer.compute_loss(stub, lambda **k: SimpleNamespace(logits=scores[:, None]), given)
    ours = bradley_terry(scores[:3], scores[3:], margin if with_margin else 0.0).mean()
    assert ours.item() == pytest.approx(theirs.item(), rel=TOLERANCE)
    found, wanted = (torch.autograd.grad(loss, scores)[0] for loss in (ours, theirs))
    torch.testing.assert_close(found, wanted, rtol=TOLERANCE, atol=1e-12)
