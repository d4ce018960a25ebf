"""Law 2: chunked logprobs and entropies equal the plain ones, values and gradients."""

import pytest
import torch

from grpo_kit.policy import lookup
from grpo_kit.policy.logprobs import Head, select_logprobs


@pytest.mark.parametrize("head_options", [{}, {"scale": 0.3, "softcap": 5.0}])
@pytest.mark.parametrize("chunk_elements", [1, 50 * 7, 10**9])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_chunks_change_nothing(head_options, chunk_elements, dtype, tolerance):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(33, 16, generator=generator, dtype=dtype)
    weight = torch.randn(50, 16, generator=generator, dtype=dtype)
    bias = torch.randn(50, generator=generator, dtype=dtype)
    targets = torch.randint(50, (33,), generator=generator)
    upstream = torch.randn(2, 33, generator=generator, dtype=dtype)

    def run(function):
        leaves = [t.clone().requires_grad_() for t in (hidden, weight, bias)]
        logprobs, entropies = function(*leaves)
        gradients = torch.autograd.grad((upstream[0] * logprobs + upstream[1] * entropies).sum(), leaves)
        return [logprobs, entropies, *gradients]

    def plain(h, w, b):
        logits = (h @ w.T + b) * head_options.get("scale", 1.0)
        if "softcap" in head_options:
            logits = head_options["softcap"] * torch.tanh(logits / head_options["softcap"])
        log_probabilities = (logits / 0.7).log_softmax(-1)
        return (
            log_probabilities[torch.arange(33), targets],
            torch.distributions.Categorical(logits=logits / 0.7).entropy(),
        )

    def chunked(h, w, b):
        return select_logprobs(h, Head(w, b, **head_options), targets, 0.7, chunk_elements, entropy_gradient=True)

    for ours, theirs in zip(run(chunked), run(plain), strict=True):
        assert (ours - theirs).norm() / theirs.norm() < tolerance


@pytest.mark.parametrize("chunk_elements", [50 * 7, 10**9])
def test_entropies_that_are_only_looked_at_change_no_gradient(chunk_elements):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(33, 16, generator=generator, dtype=torch.float64)
    weight = torch.randn(50, 16, generator=generator, dtype=torch.float64)
    targets = torch.randint(50, (33,), generator=generator)
    found = []
    for wanted in (True, False):
        leaves = [hidden.clone().requires_grad_(), weight.clone().requires_grad_()]
        logprobs, entropies = select_logprobs(leaves[0], Head(leaves[1]), targets, 0.7, chunk_elements, wanted)
        assert entropies.requires_grad == wanted
        found.append([entropies.detach(), *torch.autograd.grad((logprobs * targets).sum(), leaves)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("head_options", [{}, {"scale": 0.3}, {"scale": 0.3, "softcap": 5.0}, {"full": True}])
@pytest.mark.parametrize("chunk_elements", [50 * 7, 10**9])
def test_looked_up_block_by_block_they_are_the_exact_ones(head_options, chunk_elements, monkeypatch):
    monkeypatch.setattr(lookup, "BLOCK_ELEMENTS", 50 * 4)  # the last block of 33 rows is of one
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(33, 16, generator=generator, dtype=torch.float64) * 3
    weight = torch.randn(50, 16, generator=generator, dtype=torch.float64)
    targets = torch.randint(50, (33,), generator=generator)
    upstream = torch.randn(33, generator=generator, dtype=torch.float64)
    scale, softcap = head_options.get("scale", 1.0), head_options.get("softcap")

    leaves = [hidden.clone().requires_grad_(), weight.clone().requires_grad_()]
    logits = leaves[0] @ leaves[1].T * scale
    logits = logits if softcap is None else softcap * torch.tanh(logits / softcap)
    exact = torch.distributions.Categorical(logits=logits / 0.7)
    looked_up = exact.log_prob(targets)
    expected = [looked_up, exact.entropy(), *torch.autograd.grad((upstream * looked_up).sum(), leaves)]

    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.1)):
        leaves = [x.to(dtype).requires_grad_() for x in (hidden, weight)]
        found = select_logprobs(leaves[0], Head(leaves[1], **head_options), targets, 0.7, chunk_elements)
        assert [x.dtype for x in found] == [torch.promote_types(dtype, torch.float32)] * 2
        gradients = torch.autograd.grad((upstream.to(found[0].dtype) * found[0]).sum(), leaves)
        for ours, theirs in zip([*found, *gradients], expected, strict=True):
            assert (ours.double() - theirs).norm() / theirs.norm() < tolerance
