"""Law 3: at the first update of a batch every ratio is 1, and the loss is near 0 for GRPO by construction."""

import pytest
import torch

from grpo_kit.config import OptimizerConfig
from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.packing import TrainingSequence
from grpo_kit.train.update import PolicyUpdater
from grpo_kit.types import Prompt


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("updates", [1, 2])
def test_engine_and_trainer_agree_before_the_first_update(policy, temperature, updates):
    prompts = [Prompt(str(i), tuple(range(65, 65 + 3 + i))) for i in range(6)]
    sampling = SamplingParams(n=4, temperature=temperature, max_tokens=16)
    groups = list(TorchEngine(policy, max_rows=8).generate(prompts, sampling))
    sequences = [
        TrainingSequence(
            prompts[int(c.task_id)].token_ids, c.token_ids, (-1.0) ** c.sample_index, 0.01, torch.tensor(c.logprobs)
        )
        for group in groups
        for c in group
    ]
    updater = PolicyUpdater(
        policy,
        resolve_objective("grpo", {"beta": 0.0}),
        OptimizerConfig(),
        total_updates=1,
        token_budget=300,
        temperature=temperature,
    )
    updater.annotate(sequences, several_updates=updates > 1)
    metrics = Measures()
    for batch in updater._batches(sequences):
        updater.loss(batch, metrics)
    assert metrics["ratio/max"] == pytest.approx(1.0, abs=1e-5)
    assert metrics["ratio/min"] == pytest.approx(1.0, abs=1e-5)
    assert metrics["clip/low"] == metrics["clip/high"] == 0.0
    assert metrics["mismatch/max_logprob_difference"] < 1e-4
    assert torch.isfinite(torch.tensor(metrics["entropy"]))
