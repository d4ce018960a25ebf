"""An update waits for its device once per optimizer step and once for its metrics, however many micro-batches it has.

On a CPU nothing waits, but the same operations run: those that bring a number to the host, or whose result's shape is known
on the device alone.
"""

from collections import Counter

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import masking_utils

from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.observe.measure import Measures
from grpo_kit.train.batch import build_batch
from grpo_kit.train.learners import open_learner
from tests.kit.groups import groups
from tests.kit.runs import recipe
from tests.kit.tiny import make_policy

OF_UNKNOWN_SHAPE = {"nonzero", "masked_select", "bincount", "unique", "unique2", "repeat_interleave"}


class Waits(TorchDispatchMode):
    """Counts the operations that a device is waited for."""

    def __init__(self):
        super().__init__()
        self.seen = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        by_mask = name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])
        if name in {"_local_scalar_dense", "equal"} | OF_UNKNOWN_SHAPE or by_mask:
            self.seen[name] += 1
        return function(*args, **(kwargs or {}))


class Lists(TorchFunctionMode):
    """Counts tensors that become lists, which is nothing to the dispatcher."""

    def __init__(self):
        super().__init__()
        self.seen = Counter()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if getattr(function, "__name__", "") in ("tolist", "numpy"):
            self.seen["tolist"] += 1
        return function(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def _no_look_for_packed_rows(monkeypatch):
    """transformers looks at the positions of every forward pass, and waits for them: its own, one per pass."""
    monkeypatch.setattr(masking_utils, "find_packed_sequence_indices", lambda position_ids: None)


def waits(work):
    with Waits() as waiting, Lists() as lists:
        work()
    return waiting.seen + lists.seen


def learner_for(algorithm, token_budget, *overrides):
    config = recipe(algorithm, f"train.token_budget={token_budget}", *overrides)
    row = resolve_objective(algorithm, config.objective)
    return open_learner(config, row, make_policy())


SMALL, LARGE = 8, 10**6  # one response after another, and all at once


@pytest.mark.parametrize("algorithm", ["grpo", "ppo", "dapo", "gspo", "gmpo", "dpo", "kto", "reward_model"])
def test_more_micro_batches_wait_no_more(algorithm):
    found, sizes = [], []
    for budget in (SMALL, LARGE):
        learner, losses = learner_for(algorithm, budget, "objective.mask_truncated=false"), []
        owner = getattr(learner, "updater", learner)
        original = owner.loss

        def loss(*args, original=original, losses=losses, **kwargs):
            losses.append(1)
            return original(*args, **kwargs)

        owner.loss = loss
        found.append(waits(lambda learner=learner: learner.learn(groups())))
        sizes.append(len(losses))
    assert sizes[0] > sizes[1] == 1
    assert found[0] == found[1]


@pytest.mark.parametrize("epochs", [1, 3])
def test_an_update_reads_its_loss_and_norm_per_step_and_its_metrics_once(epochs):
    updater = learner_for("grpo", SMALL, "objective.beta=0.1").updater
    batch = build_batch(groups(), updater.objective, max_tokens=8, updates=2)
    found = waits(lambda: updater.update(batch.updates, epochs))
    assert found == {"tolist": 2 * epochs + 1}  # at each of the steps of two updates; at the end


def test_a_loss_and_its_metrics_stay_on_the_device():
    updater = learner_for("grpo", LARGE, "objective.beta=0.1").updater
    batch = build_batch(groups(), updater.objective, max_tokens=8)
    updater.annotate(batch.sequences)
    (micro,), metrics = updater._batches(batch.sequences), Measures()
    assert waits(lambda: updater.loss(micro, metrics).backward()) == {}
    assert waits(lambda: dict(metrics)) == {"tolist": 1}
