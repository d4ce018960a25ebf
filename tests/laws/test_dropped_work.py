"""Law 1, the other half: leaving out sequences whose advantage is zero changes neither the loss nor its gradient."""

import random

import pytest
import torch

from grpo_kit.config import OptimizerConfig
from grpo_kit.objective.algorithms import ALGORITHMS
from grpo_kit.observe.measure import Measures
from grpo_kit.train import batch as batching
from grpo_kit.train.batch import build_batch
from grpo_kit.train.update import PolicyUpdater
from grpo_kit.types import Completion, Group, Prompt, Score, Task
from tests.kit.tiny import make_policy

# Those that may leave work out: an advantage of zero has no gradient, and there is no other term.
ROWS = {
    name: row.model_copy(update={"beta": 0.0, "kl_place": "loss", "entropy_bonus": 0.0})
    for name, row in ALGORITHMS.items()
    if row.family == "policy_gradient" and row.data == "sampled" and row.baseline != "critic" and row.selection == "all"
    and row.step == "gradient" and not row.needs_teacher
}  # fmt: skip


def groups(rows):
    """Two groups that disagree, one that is all right and one that is all wrong."""
    rng = random.Random(0)
    made = []
    for name, rewards in zip("abcd", ([1.0, 0.0, 0.0, 1.0], [1.0] * 4, [0.0, 0.0, 1.0, 0.0], [0.0] * 4), strict=True):
        task = Task(name, ({"role": "user", "content": name},), "1")
        completions = [
            Completion(name, i, ids, [-2.0 * rng.random() for _ in ids], "", "stop", 0)
            for i, ids in enumerate([rng.randrange(256) for _ in range(rng.randrange(1, 20))] for _ in rewards)
        ]
        scores = [Score(r, "ok") for r in rewards]
        greedy = Score(1.0 if name == "b" else 0.0, "ok") if rows.needs_greedy else None
        prompt = Prompt(name, tuple(rng.randrange(256) for _ in range(5)))
        made.append(Group(task, prompt, completions, scores, [{"v": s} for s in scores], greedy=greedy))
    return made


def loss_and_gradient(row):
    policy = make_policy(dtype=torch.float64)
    updater = PolicyUpdater(policy, row, OptimizerConfig(), total_updates=1, token_budget=128, temperature=0.9)
    batch = build_batch(groups(row), row, max_tokens=20, adaptive=updater.adaptive)
    for sequence in batch.sequences:  # an old policy that differs, so that clipping is active in places
        sequence.old_logprobs = sequence.behaviour_logprobs - 4.5
    loss = 0.0
    for micro in updater._batches(batch.sequences):
        part = updater.loss(micro, Measures())
        part.backward()
        loss += part.item()
    return len(batch.sequences), loss, torch.cat([p.grad.flatten() for p in policy.model.parameters()])


@pytest.mark.parametrize("name", ROWS)
def test_the_gradient_is_that_of_the_whole_batch(name, monkeypatch):
    kept, loss, gradient = loss_and_gradient(ROWS[name])
    monkeypatch.setattr(batching, "ZERO_ADVANTAGE", -1.0)
    everything, whole_loss, whole_gradient = loss_and_gradient(ROWS[name])
    assert everything == (8 if ROWS[name].drop_agreeing else 16)  # of which groups that agree are no part
    assert kept <= everything
    assert whole_gradient.norm() > 0
    assert loss == pytest.approx(whole_loss, rel=1e-10, abs=1e-14)
    assert (gradient - whole_gradient).norm() / whole_gradient.norm() < 1e-10


def test_work_is_left_out_where_groups_are_compared():
    """Otherwise the test above would compare a batch with itself."""
    assert {name for name, row in ROWS.items() if loss_and_gradient(row)[0] < 16} >= {"grpo", "dr_grpo", "dapo", "gspo"}
