"""Filters and the draw, against definitions and against frequencies."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.sampling import draw, next_tokens, processed_logprobs
from grpo_kit.policy import lookup

LOGITS = torch.tensor([[2.0, 1.0, 0.5, -1.0, -3.0], [0.0, 0.0, 0.0, 0.0, 5.0]])


def kept(**settings):
    return torch.isfinite(processed_logprobs(LOGITS, SamplingParams(**settings))).tolist()


def test_temperature_scales_before_normalising():
    torch.testing.assert_close(
        processed_logprobs(LOGITS, SamplingParams(temperature=0.5)), (LOGITS / 0.5).log_softmax(-1)
    )


def test_top_k_keeps_the_k_best():
    assert kept(top_k=2)[0] == [True, True, False, False, False]


def test_top_p_keeps_the_smallest_set_that_reaches_p():
    probabilities = LOGITS[0].softmax(-1)
    p = float(probabilities[0]) + 0.01
    assert kept(top_p=p)[0] == [True, True, False, False, False]
    assert kept(top_p=1e-6)[1] == [False, False, False, False, True]


def test_min_p_is_relative_to_the_best():
    ratio = float((LOGITS[0, 2] - LOGITS[0, 0]).exp())
    assert kept(min_p=ratio * 0.99)[0] == [True, True, True, False, False]
    assert kept(min_p=ratio * 1.01)[0] == [True, True, False, False, False]


def test_filtered_distributions_are_normalised():
    for settings in ({"top_k": 3}, {"top_p": 0.7}, {"min_p": 0.1}):
        total = processed_logprobs(LOGITS, SamplingParams(**settings)).exp().sum(-1)
        torch.testing.assert_close(total, torch.ones(2))


def test_draw_follows_the_distribution():
    generator = torch.Generator().manual_seed(0)
    logprobs = LOGITS[:1].log_softmax(-1).expand(40_000, -1)
    tokens, chosen = draw(logprobs, torch.rand(40_000, dtype=torch.float64, generator=generator), greedy=False)
    frequencies = torch.bincount(tokens, minlength=5) / 40_000
    torch.testing.assert_close(frequencies, LOGITS[0].softmax(-1), atol=0.01, rtol=0)
    assert torch.equal(chosen, logprobs[torch.arange(40_000), tokens])


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1.0 - 2**-53])
def test_impossible_tokens_are_never_drawn(uniform):
    logprobs = torch.tensor([[-torch.inf, 0.0, -torch.inf]])
    assert draw(logprobs, torch.tensor([uniform], dtype=torch.float64), greedy=False)[0].tolist() == [1]


def test_epsilon_mixes_in_the_whole_vocabulary_and_the_log_probability_is_that_of_the_mixture():
    logits = torch.tensor([[2.0, 1.0, 0.0, -30.0]])
    own = logits.softmax(-1)
    for epsilon in (0.1, 1.0):
        found = processed_logprobs(logits, SamplingParams(epsilon=epsilon)).exp()
        torch.testing.assert_close(found, (1 - epsilon) * own + epsilon / 4)
    assert torch.equal(processed_logprobs(logits, SamplingParams()), logits.log_softmax(-1))
    assert torch.equal(processed_logprobs(logits, SamplingParams(temperature=0.0, epsilon=0.1)), logits.log_softmax(-1))


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.5, "top_k": 3, "top_p": 0.9}, {"temperature": 0.0}])
def test_tokens_are_drawn_block_by_block_as_from_the_whole_matrix(settings, monkeypatch):
    monkeypatch.setattr(lookup, "BLOCK_ELEMENTS", 4 * 11)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert lookup.row_blocks(7, 11, torch.device("cpu")) == [slice(0, 4), slice(4, 8)]
    assert lookup.row_blocks(7, 11, torch.device("cuda")) == [slice(0, 7)]
    generator = torch.Generator().manual_seed(0)
    logits, sampling = torch.randn(7, 11, generator=generator), SamplingParams(**settings)
    uniform = torch.rand(7, generator=generator, dtype=torch.float64)
    whole = draw(processed_logprobs(logits, sampling), uniform, sampling.greedy)
    for found, wanted in zip(next_tokens(logits, sampling, uniform), whole, strict=True):
        assert torch.equal(found, wanted)
    source = torch.tensor([0, 5, 1, 1, 0, 5, 2])
    of_each = draw(processed_logprobs(logits[source], sampling), uniform, sampling.greedy)
    for found, wanted in zip(next_tokens(logits[:6], sampling, uniform, source), of_each, strict=True):
        assert torch.equal(found, wanted)


class Largest(TorchDispatchMode):
    """Numbers of the largest tensor that is made."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for each in made if isinstance(made, (list, tuple)) else [made]:
            if isinstance(each, torch.Tensor) and each.shape != (4, 500):  # views of all logits are not made
                self.count = max(self.count, each.numel())
        return made


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.5, "top_k": 3, "top_p": 0.9}, {"temperature": 0.0}])
def test_first_tokens_of_many_samples_are_drawn_within_a_block_each(settings, monkeypatch):
    monkeypatch.setattr(lookup, "BLOCK_ELEMENTS", 3 * 500)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    logits, source = torch.randn(4, 500), torch.arange(4).repeat_interleave(64)
    with Largest() as largest:
        next_tokens(logits, SamplingParams(**settings), torch.rand(256, dtype=torch.float64), source)
    assert 2 * 500 <= largest.count <= 3 * 500
