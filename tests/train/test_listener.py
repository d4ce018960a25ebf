"""What a callback answers."""

import numpy as np
import pytest
import torch

from grpo_kit.train.listener import Listener


class Stop:
    requested = False


@pytest.mark.parametrize(
    ("answer", "stops"),
    [
        (True, True),
        (np.True_, True),
        (torch.tensor(True), True),
        (False, False),
        (None, False),
        (1, False),
        ("yes", False),
        (np.array([True, False]), False),
        (torch.tensor([True, True]), False),
        (np.array([True]), False),
    ],
)
def test_only_one_true_ends_a_run_and_no_answer_breaks_it(answer, stops):
    stop = Stop()
    listener = Listener(on_step=lambda metrics: answer)
    listener.after_step({"step": 1}, stop)
    assert stop.requested is stops
    assert listener.raised is None
