"""A signal in any phase: exit code 75 at once, and a resume that equals the run nobody stopped."""

import signal

import pytest

from tests.kit.same import assert_equal

# phase: at which of its entries, and how long after it (seconds)
MOMENTS = {
    "start": (1, 0.05),
    "data": (2, 0.0),
    "generate": (20, 0.001),
    "score": (20, 0.0),
    "update": (3, 0.01),
    "sync": (4, 0.0),
    "log": (5, 0.0),
    "evaluate before training": ("evaluate", 1, 0.01),
    "evaluate": (2, 0.01),
    "evaluate after the last step": ("evaluate", 4, 0.0),
    "report": (2, 0.0),
    "save": (2, 0.0),
}


def stop(zygote, recipe, run, fault, *more):
    return zygote.run("train", recipe, "--run-dir", run, *more, faults=[("signal_in_phase", fault)])


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_in_each_phase(zygote, straight, moment):
    recipe, expected, _ = straight["procedural"]
    phase, entry, delay = ([moment] if len(MOMENTS[moment]) == 2 else []) + list(MOMENTS[moment])
    number = signal.SIGINT if entry == 2 else signal.SIGTERM
    run = zygote.folder / f"stopped-{moment.replace(' ', '-')}"
    outcome = stop(zygote, recipe, run, {"phase": phase, "entry": entry, "delay": delay, "number": number})
    assert outcome.code == 75, outcome.output
    assert f"{number.name}: saving and stopping within 60 s" in outcome.output
    assert "continue with --resume" in outcome.output
    assert "Traceback" not in outcome.output
    resumed = zygote.run("train", recipe, "--run-dir", run, "--resume")
    assert resumed.code == 0, resumed.output
    assert_equal(run, expected)


def test_sampling_is_abandoned_not_awaited(zygote, straight):
    """Tokens that would take minutes are not waited for."""
    recipe, _, _ = straight["procedural"]
    slow = ("slow", {"function": "grpo_kit.generate.rows:Rows.advance", "seconds": 1e6})
    fault = {"phase": "generate", "entry": 1, "delay": 0.5, "number": signal.SIGTERM}
    outcome = zygote.run(
        "train",
        recipe,
        "--run-dir",
        "abandoned",
        "evaluation=null",
        faults=[slow, ("signal_in_phase", fault)],
    )
    assert outcome.code == 75, outcome.output


def test_a_second_signal_stops_at_once_without_damage(zygote, straight):
    recipe, expected, _ = straight["procedural"]
    slow = ("slow", {"function": "grpo_kit.train.steps:GradientStep.__call__", "seconds": 1.0})
    fault = {"phase": "update", "entry": 3, "delay": 0.1, "number": signal.SIGTERM, "second_after": 0.3}
    run = zygote.folder / "twice"
    outcome = zygote.run("train", recipe, "--run-dir", run, faults=[slow, ("signal_in_phase", fault)])
    assert outcome.code == 75, outcome.output
    assert "stopped: at once" in outcome.output
    assert [p.name for p in (run / "checkpoints").glob("step-*")] == ["step-000002"]
    assert zygote.run("train", recipe, "--run-dir", run, "--resume").code == 0
    assert_equal(run, expected)


def test_the_time_to_stop_in_is_kept(zygote, straight):
    recipe, expected, _ = straight["procedural"]
    slow = ("slow", {"function": "grpo_kit.train.steps:GradientStep.__call__", "seconds": 2.0})
    fault = {"phase": "update", "entry": 1, "delay": 0.1, "number": signal.SIGTERM}
    run = zygote.folder / "budget"
    outcome = zygote.run(
        "train", recipe, "--run-dir", run, "train.stop_seconds=0.5", faults=[slow, ("signal_in_phase", fault)]
    )
    assert outcome.code == 75, outcome.output
    assert "not done within 0.5 s" in outcome.output
    # Nothing was saved yet: the same command with --resume begins again, and the safe key may go back.
    assert zygote.run("train", recipe, "--run-dir", run, "--resume").code == 0
    assert_equal(run, expected)


def test_a_closed_terminal_does_not_end_a_run(zygote, straight):
    recipe, expected, _ = straight["procedural"]
    hang_up = ("signal_in_phase", {"phase": "generate", "entry": 20, "delay": 0.0, "number": signal.SIGHUP})
    broken = ("break_output", {"function": "grpo_kit.train.keeper:Keeper.due", "call": 2})
    run = zygote.folder / "hung-up"
    assert zygote.run("train", recipe, "--run-dir", run, faults=[hang_up, broken]).code == 0
    assert_equal(run, expected)


def test_a_stuck_phase_ends_with_every_stack_and_its_name(zygote, straight):
    recipe, expected, _ = straight["procedural"]
    hang = ("hang_at_call", {"function": "grpo_kit.generate.rows:Rows.advance", "call": 40})
    run = zygote.folder / "stuck"
    outcome = zygote.run("train", recipe, "--run-dir", run, "limits.generate=0.02", faults=[hang])
    assert outcome.code == 1, outcome.output
    assert "for 'generate' (limit 1 s)" in outcome.output
    assert "limits.generate (minutes)" in outcome.output
    stacks = (run / "stuck.txt").read_text()
    assert "in advance" in stacks or "in _run" in stacks
    assert "grpo-kit-watchdog" in stacks or "Thread" in stacks
    assert zygote.run("train", recipe, "--run-dir", run, "--resume").code == 0
    assert_equal(run, expected)
