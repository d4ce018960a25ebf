"""The smallest recipe and the smallest policy."""

from __future__ import annotations

import atexit
import os
import tempfile
from functools import cache
from pathlib import Path

import torch

from grpo_kit.config import ModelConfig, ScratchModelConfig
from grpo_kit.policy.models import Policy, load_policy

TINY_RECIPE = """\
algorithm: grpo
model:
  scratch: {hidden_size: 32, intermediate_size: 64, layers: 2, heads: 2, context_length: 512}
data: {task: addition, level: 1, max_prompt_tokens: 64}
verifiers:
  - {name: math, weight: 1.0}
scoring: {workers: 0}
rollout: {prompts_per_step: 4, group_size: 4, max_tokens: 12}
optimizer: {learning_rate: 1.0e-3}
train: {steps: 3, token_budget: 256}
"""


def make_policy(seed: int = 0, dtype: torch.dtype = torch.float32, **shape: int) -> Policy:
    settings = {"hidden_size": 32, "intermediate_size": 64, "layers": 2, "heads": 2, "context_length": 512} | shape
    policy = load_policy(ModelConfig(scratch=ScratchModelConfig(**settings)), torch.device("cpu"), seed)
    policy.model.to(dtype)
    return policy


TEACHER = "GRPO_KIT_TEST_TEACHER"


@cache
def teacher_folder() -> Path:
    """A saved model of another shape and the same tokenizer, there until the process ends that asked first.

    Processes that it starts find the same one: among several ranks only the first can save a model.
    """
    if TEACHER not in os.environ:
        held = tempfile.TemporaryDirectory(prefix="teacher-")
        atexit.register(held.cleanup)
        os.environ[TEACHER] = str(Path(held.name) / "model")
        make_policy(seed=7, hidden_size=48, intermediate_size=96).save(Path(os.environ[TEACHER]))
    return Path(os.environ[TEACHER])
