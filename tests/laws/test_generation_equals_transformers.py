"""Law 10 (embedded engine): greedy generation equals transformers', token for token; logprobs are the model's own."""

import pytest
import torch

from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.types import Prompt
from tests.kit.tiny import make_policy

END = 257


def prompts(count=7):
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(1, 30, (count,), generator=generator).tolist()
    return [
        Prompt(f"p{i}", tuple(torch.randint(256, (n,), generator=generator).tolist())) for i, n in enumerate(lengths)
    ]


@pytest.mark.parametrize("max_rows", [1, 3, 64])
def test_greedy(max_rows):
    policy = make_policy(seed=1)
    with torch.no_grad():  # an untrained model repeats itself; larger weights make its choices varied
        for parameter in policy.model.parameters():
            parameter.mul_(3.0)
    sampling = SamplingParams(temperature=0.0, max_tokens=24, stop_token_ids=(END,))
    found = {g[0].task_id: g[0] for g in TorchEngine(policy, max_rows).generate(prompts(), sampling)}
    assert len({tuple(c.token_ids) for c in found.values()}) > 3
    for prompt in prompts():
        expected = policy.model.generate(
            torch.tensor([prompt.token_ids]), max_new_tokens=24, do_sample=False, eos_token_id=END, pad_token_id=256
        )[0, len(prompt.token_ids) :].tolist()
        assert found[prompt.task_id].token_ids == expected


def test_sampled_logprobs_are_the_models(policy):
    """Rows that enter late, finish early and change slots still carry the logprobs of their own text."""
    sampling = SamplingParams(n=3, temperature=0.8, max_tokens=20, stop_token_ids=tuple(range(0, 256, 9)))
    groups = list(TorchEngine(policy, max_rows=7).generate(prompts(12), sampling))
    assert {len(c.token_ids) for g in groups for c in g} > {1, 20}
    by_id = {p.task_id: p for p in prompts(12)}
    for completion in (c for g in groups for c in g):
        prompt = by_id[completion.task_id].token_ids
        with torch.no_grad():
            logits = policy.model(input_ids=torch.tensor([[*prompt, *completion.token_ids]])).logits[0]
        logprobs = (logits[len(prompt) - 1 : -1] / 0.8).log_softmax(-1)
        expected = logprobs.gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(completion.logprobs), expected, rtol=1e-4, atol=1e-4)
