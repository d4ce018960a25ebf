"""Threads: chosen by a trial unless the user chose, and told to sleep before torch is there."""

import torch

from grpo_kit.runtime.threads import choose_threads, let_threads_sleep, trial


def test_more_threads_only_where_they_pay():
    assert choose_threads({}, {1: 1.0, 4: 0.3}) == 4
    assert choose_threads({}, {1: 1.0, 2: 0.9}) == 1
    assert choose_threads({}, {1: 1.0, 2: 7.0}) == 1
    assert choose_threads({}, {1: 1.0}) == 1


def test_what_the_user_set_stays():
    assert choose_threads({"OMP_NUM_THREADS": "1"}, {1: 1.0, 4: 0.1}) == torch.get_num_threads()
    mine = {"OMP_WAIT_POLICY": "ACTIVE"}
    let_threads_sleep(mine)
    assert mine == {"OMP_WAIT_POLICY": "ACTIVE"}
    fresh: dict[str, str] = {}
    let_threads_sleep(fresh)
    assert fresh


def test_the_trial_leaves_torch_as_it_was():
    before = torch.get_num_threads()
    assert 1 in trial()
    assert torch.get_num_threads() == before
