"""Law 4: N steps straight equal k steps, `kill -9`, resume, N-k steps: weights bit for bit, at any k and any moment.

Also inside a rollout buffer (several updates are made from each batch, with a checkpoint after each batch), at an epoch
edge (fourteen rows, four prompts a step), in the warm start, before the first checkpoint, and in the middle of a save.
"""

import itertools
import random

import pytest

from grpo_kit.stress.subjects import SUBJECTS
from grpo_kit.train.checkpoint import checkpoints, find_damage
from tests.kit.same import assert_equal

SEED = 20
KILLS_IN_A_ROW = 3
# Every room of a step and every part of a save, by a function that is called there.
PLACES = {
    "warm start": ("grpo_kit.train.warm_start:demonstrations", 4),
    "generation": ("grpo_kit.generate.rows:Rows._sample", 150),
    "scoring": ("grpo_kit.scoring.scorer:Scorer._finish", 50),
    "between the updates of a batch": ("grpo_kit.train.steps:GradientStep.__call__", 24),
    "backward pass": ("torch:Tensor.backward", 40),
    "metrics": ("grpo_kit.observe.run_directory:RunDirectory.log_metrics", 10),
    "rollouts": ("grpo_kit.observe.run_directory:_write_groups", 8),
    "files put into place": ("os:replace", 20),
    "weights of a save": ("grpo_kit.policy.models:Policy.save", 6),
    "state of a save": ("torch:save", 6),
    "manifest of a save": ("os:fsync", 60),
    "checkpoint put into place": ("os:rename", 6),
    "older checkpoints removed": ("shutil:rmtree", 2),
    "in the middle of removing one": ("os:unlink", 8),
}


def kill_and_finish(zygote, recipe, name, faults):
    """Start a run and let each of ``faults`` befall it in turn, resuming every time; the last process is left alone."""
    run, kills = zygote.folder / name, 0
    for fault in [*faults, None]:
        again = ["--resume"] if (run / "config.yaml").is_file() else []
        outcome = zygote.run("train", recipe, "--run-dir", run, *again, faults=[fault] if fault else [])
        kills += outcome.code == -9
        for checkpoint in checkpoints(run / "checkpoints"):
            assert find_damage(checkpoint) is None
        finished = outcome.code == 0 or "this run is finished" in outcome.output  # killed when all was done
        if finished:
            break
        assert outcome.code == -9, outcome.output
    assert finished, outcome.output
    return run, kills


@pytest.mark.parametrize(("subject", "place"), list(zip(itertools.cycle(SUBJECTS), PLACES, strict=False)))
def test_killed_at_a_place(zygote, straight, subject, place):
    """A kill in this room, at a random one of its calls, and once more after the resume."""
    recipe, expected, _ = straight[subject]
    function, calls = PLACES[place]
    rng = random.Random(f"{SEED}/{subject}/{place}")
    faults = [("kill_at_call", {"function": function, "call": rng.randint(1, calls)}) for _ in range(2)]
    run, kills = kill_and_finish(zygote, recipe, f"{subject}-{place.replace(' ', '-')}", faults)
    assert kills, "the run ended before it was killed: this test tests nothing"
    assert_equal(run, expected)


@pytest.mark.slow
@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("number", range(5))
def test_killed_at_random_moments(zygote, straight, subject, number):
    """Thirty moments in all, three to a run."""
    recipe, expected, seconds = straight[subject]
    rng = random.Random(f"{SEED}/{subject}/{number}")
    faults = [("kill_after", {"seconds": rng.uniform(0.05, seconds)}) for _ in range(KILLS_IN_A_ROW)]
    run, _ = kill_and_finish(zygote, recipe, f"{subject}-{number}", faults)
    assert_equal(run, expected)


def test_a_torn_last_line_disturbs_nobody(zygote, straight):
    recipe, expected, _ = straight["procedural"]
    fault = ("kill_at_call", {"function": "grpo_kit.train.recorder:Recorder.finish", "call": 1})
    assert zygote.run("train", recipe, "--run-dir", "torn", faults=[fault]).code == -9
    run = zygote.folder / "torn"
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "rew')
    assert zygote.run("report", run).code == 0
    assert zygote.run("rollouts", run).code == 0
    outcome = zygote.run("train", recipe, "--run-dir", run, "--resume")
    assert outcome.code == 0, outcome.output
    assert_equal(run, expected)
