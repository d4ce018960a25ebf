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


def random_groups(sizes=(1, 4, 3, 5), seed=0):
    """Sequences of groups of these sizes, mixed."""
    rng = random.Random(seed)
    made = random_sequences(sum(sizes), seed)
    prompts = [[rng.randrange(256) for _ in range(rng.randrange(1, 30))] for _ in sizes]
    of_groups = [group for group, size in enumerate(sizes) for _ in range(size)]
    for sequence, group in zip(made, of_groups, strict=True):
        sequence.prompt_ids, sequence.group = prompts[group], group
    rng.shuffle(made)
    return made
