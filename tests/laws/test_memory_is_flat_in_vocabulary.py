"""The memory of the output head depends on the chunk, not on the vocabulary: counted by the allocator, forward and backward."""

import json

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from grpo_kit.policy.logprobs import Head, select_logprobs

TOKENS, HIDDEN, CHUNK = 256, 8, 2**16


def peak_bytes(vocabulary, chunk_elements, path, bonus=0.0):
    """The most that a forward and backward pass held at once, beside the weights and their gradient."""
    torch.manual_seed(0)
    hidden = torch.randn(TOKENS, HIDDEN, requires_grad=True)
    head, targets = Head(torch.randn(vocabulary, HIDDEN)), torch.randint(0, vocabulary, (TOKENS,))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        logprobs, entropies = select_logprobs(hidden, head, targets, 0.9, chunk_elements, bonus > 0.0)
        (logprobs + bonus * entropies).sum().backward()
    seen.export_chrome_trace(str(path))
    events = json.loads(path.read_text())["traceEvents"]
    held, most = 0, 0
    for event in sorted((e for e in events if e["name"] == "[memory]"), key=lambda e: e["ts"]):
        held += event["args"]["Bytes"]
        most = max(most, held)
    return most


@pytest.mark.parametrize("bonus", [0.0, 0.1])
def test_a_larger_vocabulary_takes_no_more(bonus, tmp_path):
    small, large = (peak_bytes(v, CHUNK, tmp_path / f"{v}.json", bonus) for v in (1024, 32768))
    assert small > 4 * CHUNK  # a chunk of float32 logits at the least: otherwise nothing was counted
    assert large == pytest.approx(small, rel=0.1)


def test_whole_logits_would(tmp_path):
    whole = peak_bytes(32768, 2**40, tmp_path / "whole.json")
    assert whole > 4 * TOKENS * 32768
    assert whole > 50 * peak_bytes(32768, CHUNK, tmp_path / "chunked.json")
