"""Law 6: a completion's randomness depends on (seed, task, sample index), not on batch composition."""

import torch

from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.types import Prompt

PROMPTS = [Prompt(f"task {i}", tuple(range(40, 45 + i))) for i in range(6)]


def sample(policy, chosen, n=4, seed=0, max_rows=64):
    engine = TorchEngine(policy, max_rows)
    groups = engine.generate(chosen, SamplingParams(n=n, max_tokens=16, seed=seed))
    return {(c.task_id, c.sample_index): c.token_ids for g in groups for c in g}


def test_batch_composition_does_not_matter(policy):
    together = sample(policy, PROMPTS)
    assert len(set(map(tuple, together.values()))) == 24
    for variant in (sample(policy, PROMPTS[::-1]), sample(policy, PROMPTS, max_rows=4), sample(policy, PROMPTS, n=7)):
        assert {k: variant[k] for k in together} == together
    alone = {k: v for prompt in PROMPTS for k, v in sample(policy, [prompt]).items()}
    assert alone == together


def test_seed_and_task_matter(policy):
    first, second = sample(policy, PROMPTS), sample(policy, PROMPTS, seed=1)
    assert all(first[k] != second[k] for k in first)
    same_text = [Prompt("a", PROMPTS[0].token_ids), Prompt("b", PROMPTS[0].token_ids)]
    result = sample(policy, same_text)
    assert result["a", 0] != result["b", 0]


def test_global_random_state_is_not_touched(policy):
    before = torch.get_rng_state()
    sample(policy, PROMPTS)
    assert torch.equal(torch.get_rng_state(), before)
