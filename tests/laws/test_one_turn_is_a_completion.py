"""Law 11 (engines): an environment that ends every episode after its first turn changes nothing, bit for bit."""

import dataclasses

import pytest

from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.types import Prompt
from tests.kit.replies import Scripted, Threaded, one_turn

SAMPLING = SamplingParams(n=4, max_tokens=24, stop_token_ids=tuple(range(0, 256, 9)), seed=3)
VARIANTS = {
    "plain": {},
    "temperature and filters": {"temperature": 0.7, "top_k": 40, "top_p": 0.9, "min_p": 0.01},
    "greedy": {"temperature": 0.0},
    "stop strings": {"stop": tuple("aeijTX")},
    "short turns": {"turn_tokens": 10},
}


def prompts(count=9):
    return [Prompt(f"task {i}", tuple(range(40, 45 + 7 * i))) for i in range(count)]


def groups(engine, sampling, replies=None):
    """Every group with all that it says but the record of its turn, which only an environment makes."""
    found = []
    for group in engine.generate(prompts(), sampling, replies=replies):
        if replies is not None:
            assert all(len(c.turns) == 1 and c.ending == "done" for c in group)
        found.append([dataclasses.replace(c, turns=[], ending=None, outcome=None) for c in group])
    return found


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("max_rows", [6, 64])
def test_embedded(policy, variant, max_rows):
    engine, sampling = TorchEngine(policy, max_rows), dataclasses.replace(SAMPLING, **VARIANTS[variant])
    alone = groups(engine, sampling)
    assert groups(engine, sampling, Scripted(one_turn)) == alone
    # Whenever the end of an episode is told: groups may then be whole in another order.
    for replies in (Scripted(one_turn, late=9), Threaded(one_turn)):
        found = groups(engine, sampling, replies)
        assert sorted(found, key=lambda g: g[0].task_id) == sorted(alone, key=lambda g: g[0].task_id)
