"""docs/one_file.py is as short as it says, runs, and computes what the trainer computes."""

import importlib.util
import re
import subprocess
import sys

import pytest
import torch

from grpo_kit.config import OptimizerConfig
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.packing import micro_batches
from grpo_kit.train.batch import build_batch
from grpo_kit.train.update import PolicyUpdater
from grpo_kit.types import Completion, Group, Prompt, Score, Task
from tests.kit.places import ROOT
from tests.kit.tiny import make_policy

PAGE = ROOT / "docs" / "one_file.py"
OFFSETS = [-0.6, -0.1, 0.0, 0.15, 0.5]
RESPONSES = [[[5, 6, 7], [8, 9], [10], [11, 12]], [[13], [14, 15, 16, 17], [18, 19], [20]], [[21, 22], [23, 24]]]
SCORES = [
    [Score(1.0), Score(0.0), Score(0.5), Score(0.0, "timeout")],
    [Score(0.0), Score.abstain(), Score(0.0), Score(1.0)],
    [Score(1.0), Score(1.0)],
]


@pytest.fixture(scope="module")
def page():
    spec = importlib.util.spec_from_file_location("one_file", PAGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def groups_of(policy):
    """Completions whose engine was not quite the policy, so that some ratios are clipped; verifiers that failed."""
    groups, offsets = [], iter(OFFSETS * 10)
    for index, (responses, scores) in enumerate(zip(RESPONSES, SCORES, strict=True)):
        prompt, completions = (1, 2, 3 + index), []
        for i, tokens in enumerate(responses):
            with torch.no_grad():
                logits = policy.model(input_ids=torch.tensor([[*prompt, *tokens]])).logits[0, len(prompt) - 1 : -1]
            chosen = logits.log_softmax(-1).gather(-1, torch.tensor(tokens)[:, None])[:, 0]
            sampled = [value + next(offsets) for value in chosen.tolist()]
            completions.append(Completion(str(index), i, tokens, sampled, "", "stop", 0))
        groups.append(Group(Task(str(index), (), ""), Prompt(str(index), prompt), completions, scores))
    return groups


def gradient(policy, losses):
    policy.model.zero_grad()
    total = sum(losses)
    total.backward()
    return total.item(), torch.cat([p.grad.flatten() for p in policy.model.parameters()])


@pytest.mark.parametrize("beta", [0.0, 0.04])
def test_its_loss_and_gradient_are_the_trainers(page, beta):
    policy, reference = (make_policy(seed=seed, dtype=torch.float64) for seed in (0, 1))
    groups, row = groups_of(policy), resolve_objective("grpo", {"beta": beta})
    sequences = page.weighted(groups)
    batches = list(micro_batches(sequences, 12, dtype=torch.float64))
    assert len(batches) > 2
    ours, our_gradient = gradient(policy, [page.loss(policy, b, row, reference if beta else None) for b in batches])

    updater = PolicyUpdater(
        policy, row, OptimizerConfig(), total_updates=1, token_budget=64, temperature=1.0, reference=reference
    )
    batch = build_batch(groups, row, max_tokens=page.MAX_TOKENS)
    for sequence in batch.sequences:
        sequence.old_logprobs = sequence.behaviour_logprobs
    updater.annotate(batch.sequences)
    metrics = Measures()
    theirs, their_gradient = gradient(policy, [updater.loss(b, metrics) for b in updater._batches(batch.sequences)])
    assert 0 < metrics["clip/low"] + metrics["clip/high"] < 1
    assert ours == pytest.approx(theirs, rel=1e-12)
    assert (our_gradient - their_gradient).norm() < 1e-12 * their_gradient.norm()


def test_it_is_one_page():
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) <= 150


def test_it_runs(tmp_path):
    command = [sys.executable, str(PAGE), "--steps", "2", "--cold-steps", "5", "--beta", "0.04"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "held-out accuracy before, sampled",
        "held-out accuracy before, greedy",
        "step 1",
        "step 2",
        "held-out accuracy after, sampled",
        "held-out accuracy after, greedy",
    ]
    assert all(re.search(r": (mean reward )?\d+\.\d+%?$", line) for line in lines)
    assert list(tmp_path.iterdir()) == []
