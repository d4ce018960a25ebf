"""Phases add up: nested time is counted once, and nothing is lost."""

import pytest

from grpo_kit.observe import clock as module
from grpo_kit.observe.clock import Clock, where_time_went


@pytest.fixture
def time(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    return now


def test_nested_phases_and_the_rest(time):
    clock = Clock()
    with clock.phase("outer"):
        time[0] += 2
        with clock.phase("inner"):
            time[0] += 3
    time[0] += 5
    assert clock.finish() == {
        "seconds/outer": 2.0,
        "seconds/inner": 3.0,
        "seconds/total": 10.0,
        "seconds/unaccounted": 5.0,
    }
    assert clock.finish()["seconds/total"] == 0.0


def test_iterators_are_charged_for_producing_not_for_what_is_done_with_the_items(time):
    def produce():
        for _ in range(3):
            time[0] += 1
            yield None

    clock = Clock()
    for _ in clock.iterate("generate", produce()):
        time[0] += 10
    assert clock.seconds == {"generate": 3.0}


def test_waiting_outside_of_every_phase_is_waiting(time):
    """Callbacks are called there: one that hangs has to be seen."""
    clock = Clock()
    time[0] += 2
    assert clock.waiting() == ("", 2.0)
    with clock.phase("update"):
        time[0] += 3
        assert clock.waiting() == ("update", 3.0)
        with clock.phase("inner"):
            time[0] += 1
        time[0] += 4
        assert clock.waiting() == ("update", 4.0)
    time[0] += 5
    assert clock.waiting() == ("", 5.0)
    clock.touch()
    assert clock.waiting() == ("", 0.0)


def test_where_the_time_of_a_run_went():
    steps = [
        {
            "seconds/total": 60.0,
            "seconds/generate": 30.0,
            "seconds/update/forward": 12.0,
            "seconds/update/backward": 17.5,
        },
        {"seconds/total": 40.0, "seconds/evaluate": 39.5, "seconds/score": 0.5, "eval/sampled": 0.5},
    ]
    assert where_time_went(steps) == "1 min 40 s: evaluate 40%, generate 30%, update 30%"
    assert where_time_went([]) == "0 s"
