"""Whatever stands still is seen: within a phase, and between two."""

import threading
from contextlib import nullcontext

import pytest

from grpo_kit.config import LimitsConfig
from grpo_kit.observe.clock import Clock
from grpo_kit.train.watchdog import watch


class Told:
    """In the place of the run that is to be stopped."""

    def __init__(self):
        self.error, self.heard = None, threading.Event()

    def fail(self, error):
        self.error = error
        self.heard.set()


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        ("generate", "for 'generate' (limit 0 s)"),
        ("generate/prompts", "for 'generate' (limit 0 s)"),
        ("recording", "for 'recording' (limit 0 s)"),
        ("", "between two phases, where callbacks are called (limit 0 s)"),
    ],
)
def test_what_stands_still_is_named(tmp_path, phase, said):
    clock, told = Clock(), Told()
    within = clock.phase(phase) if phase else nullcontext()
    with watch(clock, LimitsConfig(generate=1e-4, other=1e-4), tmp_path, told), within:
        told.heard.wait()
    assert said in str(told.error)
    key = "generate" if phase.startswith("generate") else "other"
    assert f"raise limits.{key} (minutes)" in str(told.error)
    assert "test_what_stands_still_is_named" in (tmp_path / "stuck.txt").read_text()


def test_what_gets_on_is_left_alone(tmp_path):
    clock, told = Clock(), Told()
    with watch(clock, LimitsConfig(), tmp_path, told), clock.phase("generate"):
        pass
    assert told.error is None
    assert not (tmp_path / "stuck.txt").exists()
