"""The simulator against cases that can be worked out by hand."""

from itertools import pairwise

import numpy as np
import pytest

from grpo_kit.errors import UserError
from grpo_kit.plan.cost import Costs, Work, parse_gpus
from grpo_kit.plan.shape import KNOWN
from grpo_kit.plan.simulate import STEPS, asynchronous, best_asynchronous, lengths_of, synchronous

DEVICE = parse_gpus("1xh100")[1]
COSTS = Costs(KNOWN["qwen2.5-7b"], DEVICE)
WORK = Work(16, 128, 100, 500, 1, 1, False)


def test_equal_lengths_take_lengths_times_the_pace():
    lengths = np.full((STEPS, 128), 500.0)
    found = synchronous(COSTS, WORK, lengths, 4, 256)
    pace = COSTS.decode_step(32, 600)
    expected = 500 * pace + COSTS.prefill(WORK, 4) + COSTS.update(WORK, 4) + COSTS.sync()
    assert found.step == pytest.approx(expected)


def test_too_few_slots_make_two_waves():
    lengths = np.full((STEPS, 128), 500.0)
    found = synchronous(COSTS, WORK, lengths, 4, 16)
    expected = 2 * 500 * COSTS.decode_step(16, 600) + COSTS.prefill(WORK, 4) + COSTS.update(WORK, 4) + COSTS.sync()
    assert found.step == pytest.approx(expected)


def test_nothing_ahead_is_generation_then_training():
    lengths = np.full((STEPS + 1, 128), 500.0)
    found = asynchronous(COSTS, WORK, lengths, 4, 4, 256, ahead=0)
    expected = 500 * COSTS.decode_step(32, 600) + COSTS.prefill(WORK, 4) + COSTS.update(WORK, 4) + COSTS.sync()
    assert found.step == pytest.approx(expected, rel=1e-6)
    assert found.staleness == 0


def test_ahead_is_never_exceeded_and_never_slower():
    lengths = np.stack([lengths_of(500, 4000, 128, seed) for seed in range(STEPS + 9)])
    steps = []
    for ahead in (0, 1, 2, 4, 8):
        found = asynchronous(COSTS, WORK, lengths, 4, 4, 64, ahead)
        assert found.staleness <= ahead
        steps.append(found.step)
    assert all(later <= earlier * 1.02 for earlier, later in pairwise(steps))


def test_a_batch_cannot_be_faster_than_its_longest_response():
    lengths = np.full((STEPS + 9, 128), 100.0)
    lengths[:, 0] = 4000
    for devices in (8, 512):
        assert synchronous(COSTS, WORK, lengths, devices, 256).step > 3900 * COSTS.decode_step(1 / devices, 600)


def test_one_device_has_nothing_to_split():
    lengths = np.full((STEPS + 9, 128), 100.0)
    assert best_asynchronous(COSTS, WORK, lengths, 1, 256, 1) is None


def test_lengths_have_their_mean_and_limit():
    drawn = lengths_of(500, 100_000, 200_000, seed=1)
    assert drawn.mean() == pytest.approx(500, rel=0.02)
    assert lengths_of(500, 800, 1000, 0).max() == 800


@pytest.mark.parametrize("text", ["80GB", "0x80GB", "8xtoaster", "8 x", "-1x80GB"])
def test_what_gpus_are_not(text):
    with pytest.raises(UserError, match="--gpus"):
        parse_gpus(text)


def test_gpus_by_memory_and_by_name():
    assert parse_gpus("8x80GB")[0] == 8
    assert parse_gpus("8x80GB")[1] == parse_gpus("2xH100")[1]
    assert parse_gpus("1x24gb")[1].name == "rtx4090"
