"""`--profile N`: every second of the traced steps is in the table, and the trace is one that a browser opens."""

import gzip
import json

import pytest

from grpo_kit.observe.clock import Clock
from grpo_kit.observe.profile import Profile, phase_table, shares


def test_the_parts_are_the_whole():
    seen = [
        {"seconds/generate": 1.0, "seconds/total": 1.5, "seconds/unaccounted": 0.5},
        {"seconds/generate": 2.0, "seconds/odd": 0.25, "seconds/total": 2.5, "seconds/unaccounted": 0.25},
    ]
    found = shares(seen)
    assert found == {"generate": 1.5, "unaccounted": 0.375, "odd": 0.125}
    assert sum(found.values()) == 2.0
    table = phase_table(seen, untraced=1.25)
    assert "75.0%" in table
    assert "100.0%" in table
    assert "1.2500" in table


@pytest.mark.parametrize("ended", [1, 2, 4])
def test_a_run_that_ends_early_says_what_it_has(ended, tmp_path):
    said, clock = [], Clock()
    profile = Profile(clock, 3, tmp_path / "profile", said.append)
    for _ in range(1 + ended):
        with clock.phase("generate"):
            pass
        clock.finish()
    profile.close()
    profile.close()
    assert len(said) == 1
    if ended == 1:
        assert "nothing to show" in said[0]
    else:
        assert f"mean of {min(3, ended - 1)}" in said[0]
        assert (tmp_path / "profile" / "phases.txt").is_file()


def test_a_run_leaves_a_trace_and_a_table(zygote):
    from grpo_kit.stress.subjects import write_procedural

    recipe = write_procedural(zygote.folder)
    outcome = zygote.run("train", recipe, "--run-dir", "profiled", "--profile", 2)
    assert outcome.code == 0, outcome.output
    folder = zygote.folder / "profiled" / "profile"
    assert "Seconds of a step, mean of 2" in (folder / "phases.txt").read_text()
    assert "Seconds of a step, mean of 2" in outcome.output
    events = json.loads(gzip.decompress((folder / "trace.json.gz").read_bytes()))["traceEvents"]
    names = {event.get("name") for event in events}
    assert {"phase: generate", "phase: update/forward", "phase: update/backward", "phase: update/optimizer"} <= names
    assert "aten::mm" in names


def test_no_steps_are_refused(zygote):
    outcome = zygote.run("train", "quickstart/addition", "--run-dir", "none", "--profile", 0)
    assert outcome.code == 2
    assert "--profile" in outcome.output
    assert not (zygote.folder / "none").exists()
