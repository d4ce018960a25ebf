"""Law 1: the gradient of a step does not depend on micro-batch size, order or padding."""

import random

import pytest
import torch

from grpo_kit.policy.packing import micro_batches
from tests.kit.gradients import GRADIENT_ROWS, gradient
from tests.kit.sequences import random_sequences
from tests.kit.tiny import make_policy


@pytest.mark.parametrize("algorithm", GRADIENT_ROWS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_micro_batch_size_and_order(algorithm, dtype, tolerance):
    policy = make_policy(dtype=dtype)
    sequences = random_sequences()
    loss, whole = gradient(policy, sequences, algorithm, token_budget=10**6)
    assert whole.norm() > 0
    for budget in (1, 64, 150):
        shuffled = random.Random(budget).sample(sequences, len(sequences))
        other_loss, other = gradient(policy, shuffled, algorithm, budget)
        assert (other - whole).norm() / whole.norm() < tolerance
        assert other_loss == pytest.approx(loss, rel=tolerance * 10)


def test_padding_side(policy):
    """Right padding without a mask equals left padding with one, in values and gradients."""
    policy.model.double()
    sequences = random_sequences(5)
    longest = max(s.length for s in sequences)
    policy.model.zero_grad()
    (batch,) = micro_batches(sequences, 10**6, dtype=torch.float64)
    ours, _ = policy.logprobs(batch, 1.0)
    (ours * batch.weights).sum().backward()
    ours_gradient = torch.cat([p.grad.flatten() for p in policy.model.parameters()])
    policy.model.zero_grad()
    ids = torch.zeros(len(sequences), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(batch.sequences):
        ids[row, longest - sequence.length :] = torch.tensor([*sequence.prompt_ids, *sequence.completion_ids])
        mask[row, longest - sequence.length :] = 1
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    logits = policy.model(input_ids=ids, attention_mask=mask, position_ids=positions).logits
    values = []
    for row, sequence in enumerate(batch.sequences):
        count = len(sequence.completion_ids)
        row_logprobs = logits[row, -count - 1 : -1].log_softmax(-1)
        values.append(row_logprobs.gather(-1, torch.tensor(sequence.completion_ids)[:, None])[:, 0])
    theirs = torch.cat(values)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    (theirs * batch.weights).sum().backward()
    theirs_gradient = torch.cat([p.grad.flatten() for p in policy.model.parameters()])
    assert (ours_gradient - theirs_gradient).norm() / theirs_gradient.norm() < 1e-9
