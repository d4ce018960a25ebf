"""Shares of a step: everything once, equal work, and empty micro-batches that change nothing."""

import random

import torch

from grpo_kit.policy.dealing import attention_length, deal, empty_batch, work
from grpo_kit.policy.packing import TrainingSequence
from tests.kit.tiny import make_policy


def units(count, size=1, seed=0):
    rng = random.Random(seed)
    return [[TrainingSequence([1], [2] * rng.randrange(1, 400), 0.0, 0.0) for _ in range(size)] for _ in range(count)]


def test_every_unit_goes_to_one_rank():
    for count in (0, 1, 3, 17, 64):
        given = deal([float(u[0].length + u[1].length) for u in units(count, 2)], 4)
        assert sorted(i for hand in given for i in hand) == list(range(count))


def test_work_is_even_where_lengths_are_not():
    made = units(256)
    given = deal([work(u[0].length, 300.0) for u in made], 8)
    loads = [sum(work(made[i][0].length, 300.0) for i in hand) for hand in given]
    assert max(loads) / min(loads) < 1.02
    dealt_in_turn = [sum(work(u[0].length, 300.0) for u in made[r::8]) for r in range(8)]
    assert max(dealt_in_turn) / min(dealt_in_turn) > 1.1


def test_at_the_attention_length_both_parts_cost_the_same():
    policy = make_policy()
    parameters = sum(p.numel() for p in policy.model.parameters())
    middle = attention_length(policy.model.config, parameters)
    products = 2 * parameters
    attention = 2 * policy.model.config.num_hidden_layers * policy.model.config.hidden_size * middle
    assert products == round(attention)
    assert abs(work(round(middle), middle) / middle - 2) < 0.01


def test_an_empty_micro_batch_reaches_every_weight_and_moves_none():
    policy = make_policy()
    logprobs, entropies = policy.logprobs(empty_batch(policy.device), 1.0)
    assert logprobs.shape == entropies.shape == (0,)
    logprobs.sum().backward()
    gradients = [p.grad for p in policy.model.parameters()]
    assert all(g is not None and torch.count_nonzero(g) == 0 for g in gradients)
