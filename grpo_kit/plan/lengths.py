"""How long prompts and responses are expected to be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from grpo_kit.config import Config
from grpo_kit.data.datasets import demonstrated_source
from grpo_kit.data.records import read_rollouts

from .simulate import lengths_of

DEMONSTRATIONS = 64  # that are looked at


@dataclass(frozen=True, slots=True)
class Lengths:
    """What responses are expected to be: a mean of tokens with a long tail, or those that a run recorded."""

    prompt: float
    mean: float
    most: int
    recorded: tuple[int, ...] = ()

    def draw(self, steps: int, sequences: int) -> np.ndarray:
        """[steps, sequences] tokens."""
        if self.recorded:
            random = np.random.default_rng(0)
            return random.choice(np.array(self.recorded, dtype=float), (steps, sequences))
        if self.mean >= self.most:
            return np.full((steps, sequences), float(self.most))
        return np.stack([lengths_of(self.mean, self.most, sequences, seed) for seed in range(steps)])


def expected_lengths(most: int, prompt: float, mean: float, recorded: Path | None) -> Lengths:
    """Those that a run recorded, or a mean of at most ``most`` tokens."""
    if recorded is None:
        return Lengths(prompt, min(float(mean), float(most)), most)
    found = tuple(len(c.token_ids) for group in read_rollouts(recorded) for c in group.completions)
    return Lengths(prompt, float(np.mean(found)), most, found)


def likely_response(config: Config, tokenizer: Any) -> float:
    """Mean tokens of a response: after a warm start those of the worked solutions, else the most there may be.

    Of an episode, what is sampled in all of its turns.
    """
    most = config.rollout.max_tokens
    if config.warm_start is None:
        return float(most)
    source = demonstrated_source(config)
    sampled = []
    for problem in map(source.problem, range(DEMONSTRATIONS)):
        turns = [text for text, _ in problem.turns] if config.environment is not None else []
        texts = [*turns, problem.demonstration]
        sampled.append(sum(1 + len(tokenizer.encode(text, add_special_tokens=False)) for text in texts))
    return fmean(min(most, tokens) for tokens in sampled)
