"""What a teacher's advantage amounts to: in expectation over the policy's tokens, the gradient of minus the reverse KL."""

import torch

from grpo_kit.objective.teacher import beside_rewards, teacher_advantages


def distributions():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 11, generator=generator, dtype=torch.float64, requires_grad=True)
    teacher = torch.log_softmax(2 * torch.randn(6, 11, generator=generator, dtype=torch.float64), dim=-1)
    return logits, torch.log_softmax(logits, dim=-1), teacher


def test_the_expected_gradient_is_that_of_the_reverse_kl():
    """Every token of the vocabulary in turn as the sampled one, weighted by how often it is sampled."""
    logits, policy, teacher = distributions()
    divergence = (policy.exp() * (policy - teacher)).sum()
    (wanted,) = torch.autograd.grad(divergence, logits, retain_graph=True)
    advantages = teacher_advantages(teacher.flatten(), policy.detach().flatten())
    loss = -(policy.detach().exp().flatten() * advantages * policy.flatten()).sum()
    (found,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_rewards_and_teacher_have_their_weights():
    _, policy, teacher = distributions()
    rewarded = torch.linspace(-1, 1, 11, dtype=torch.float64)
    found = beside_rewards(rewarded, teacher[0], policy[0].detach(), 0.5, 3.0)
    torch.testing.assert_close(found, 0.5 * rewarded + 3.0 * (teacher[0] - policy[0].detach()))
