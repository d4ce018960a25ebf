"""Random sequences to train on."""

import random

import torch

from grpo_kit.policy.packing import TrainingSequence


def random_sequences(count=12, seed=0):
    rng = random.Random(seed)
    sequences = []
    for _ in range(count):
        prompt = [rng.randrange(256) for _ in range(rng.randrange(1, 20))]
        completion = [rng.randrange(256) for _ in range(rng.randrange(1, 40))]
        behaviour = torch.tensor([-rng.random() for _ in completion], dtype=torch.float64)
        weight = rng.random() / len(completion)
        sequences.append(TrainingSequence(prompt, completion, rng.gauss(0, 1), weight, behaviour))
    return sequences
