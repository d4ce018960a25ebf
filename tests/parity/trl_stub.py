"""A stand-in for TRL's trainers: it holds the settings, and hands out the log-probabilities of a case."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace

import torch

from tests.parity.case import MAX_TOKENS

TOLERANCE = 1e-5


def accelerator():
    return SimpleNamespace(
        gather=lambda x: x,
        pad_across_processes=lambda x, dim=0, pad_index=0: x,
        gather_for_metrics=lambda x: x,
        reduce=lambda x, reduction="sum": x,
        num_processes=1,
        sync_gradients=True,
        device=torch.device("cpu"),
        unwrap_model=lambda m: m,
    )


def trainer(case, **settings):
    """A stand-in for TRL's GRPO and RLOO trainers."""
    defaults = {
        "loss_type": "grpo", "importance_sampling_level": "token", "epsilon_low": 0.2, "epsilon_high": 0.2, "beta": 0.0,
        "top_entropy_quantile": 1.0, "off_policy_mask_threshold": None, "use_vllm": False, "aux_loss_enabled": False,
        "max_completion_length": MAX_TOKENS, "current_gradient_accumulation_steps": 1, "_entropy_bonus_enabled": False,
        "use_adaptive_entropy": False, "entropy_coef": 0.0, "vllm_importance_sampling_correction": False,
    }  # fmt: skip
    arguments = {
        "delta": settings.pop("delta", None), "use_bias_correction_kl": settings.pop("use_bias_correction_kl", False),
        "sapo_temperature_pos": 1.0, "sapo_temperature_neg": 1.05, "steps_per_generation": 1, "vespo_k_pos": 2.0,
        "vespo_lambda_pos": 3.0, "vespo_k_neg": 3.0, "vespo_lambda_neg": 2.0,
    }  # fmt: skip
    stub = SimpleNamespace(**defaults | settings)
    stub.args, stub.accelerator = SimpleNamespace(**arguments), accelerator()
    stub.model = SimpleNamespace(training=True)
    stub._metrics = {"train": defaultdict(list), "eval": defaultdict(list)}
    stub._get_per_token_logps_and_entropies = lambda *a, **k: (case.logprobs, case.entropies, None)
    from trl import GRPOTrainer

    stub.get_high_entropy_mask = lambda *a: GRPOTrainer.get_high_entropy_mask(stub, *a)
    stub.get_off_policy_mask = GRPOTrainer.get_off_policy_mask
    stub.get_gamma_weights = GRPOTrainer.get_gamma_weights
    return stub


def inputs(case):
    ids = torch.ones_like(case.mask, dtype=torch.long)
    return {
        "prompt_ids": ids[:, :2], "prompt_mask": ids[:, :2], "completion_ids": ids, "completion_mask": case.mask,
        "advantages": case.advantages, "old_per_token_logps": case.old, "ref_per_token_logps": case.reference,
        "old_logps": (case.old * case.mask).sum(1), "num_items_in_batch": case.mask.sum(),
    }  # fmt: skip
