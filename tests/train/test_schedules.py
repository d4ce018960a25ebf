"""Learning rates over updates are those of transformers after the warm-up, and cost a run no import of what it does not use."""

from typing import get_args

import pytest
import torch
from transformers import get_scheduler

from grpo_kit.config import OptimizerConfig
from grpo_kit.train.steps import rate_of
from tests.kit.tiny import TINY_RECIPE

SCHEDULES = get_args(OptimizerConfig.model_fields["schedule"].annotation)
LOOKS = """\
import sys
from pathlib import Path

from grpo_kit.verifiers import verifier


@verifier(name="looks")
def looks(response: str) -> float:
    Path("imported.txt").write_text(" ".join({"peft", "bitsandbytes", "transformers.trainer_utils"} & {*sys.modules}))
    return len(set(response)) / 100
"""


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 3, 20])
def test_rates_are_those_of_transformers_after_the_warm_up(schedule, warmup):
    total = 13
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    (theirs,) = get_scheduler(schedule, optimizer, warmup, total).lr_lambdas
    ours = rate_of(OptimizerConfig(learning_rate=1.0, schedule=schedule, warmup_steps=warmup), total)
    assert [ours(update) for update in range(warmup)] == [(update + 1) / (warmup + 1) for update in range(warmup)]
    assert [ours(update) for update in range(warmup, 30)] == [theirs(update) for update in range(warmup, 30)]


def test_a_run_without_adapters_imports_none_of_their_packages(grpo_kit, tmp_path):
    (tmp_path / "looks.py").write_text(LOOKS)
    (tmp_path / "tiny.yaml").write_text(TINY_RECIPE)
    done = grpo_kit("train", "tiny.yaml", "verifiers=[{name: 'looks.py:looks'}]", "train.steps=2", "--run-dir", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "imported.txt").read_text() == ""  # as the responses of the second step were scored
