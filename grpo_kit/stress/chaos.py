"""The chaos of the tests on the user's own machine, in about two minutes: `grpo-kit doctor --stress`."""

from __future__ import annotations

import gzip
import json
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from grpo_kit.observe.run_directory import read_json_lines

from .checks import harm
from .soak import soak
from .subjects import same_run, write_from_file, write_procedural
from .zygote import Fault, Outcome, Zygote

KILLS = 6
SOAK_STEPS = 200
CHAOS_STEPS = 15
SAVING = {
    "weights": "grpo_kit.policy.models:Policy.save",
    "state": "torch:save",
    "manifest": "os:fsync",
    "rename": "os:rename",
}
PHASES = {"generate": 20, "score": 20, "update": 3, "evaluate": 2, "save": 2}


@dataclass(frozen=True)
class Tried:
    """One thing that was done to a run. problem: None if it came through."""

    name: str
    expected: str
    problem: str | None
    seconds: float


class Failed(Exception):
    """The run did not do what was expected."""


class Chaos:
    """A zygote, a recipe, the run that nobody disturbed, and what is done to others like it."""

    def __init__(self, zygote: Zygote) -> None:
        self.zygote = zygote
        self.recipe = write_procedural(zygote.folder)
        self.expected = zygote.folder / "straight"
        outcome = zygote.run("train", self.recipe, "--run-dir", self.expected)
        if outcome.code != 0:
            raise Failed(f"the tiny run does not even train here:\n{outcome.output}")
        self.seconds = outcome.seconds
        self._number = 0

    def inject(
        self, fault: Fault | None, *more: str, code: int, otherwise: int | None = None, recipe: Path | None = None
    ) -> tuple[Path, Outcome]:
        """A new run that this happens to; raises `Failed` if it does not end with ``code`` (or ``otherwise``)."""
        self._number += 1
        run = self.zygote.folder / f"run-{self._number}"
        faults = [] if fault is None else [fault]
        outcome = self.zygote.run("train", recipe or self.recipe, "--run-dir", run, *more, faults=faults)
        if outcome.code not in (code, otherwise):
            raise Failed(f"exit code {outcome.code} instead of {code}: {outcome.output.strip()[-400:]}")
        return run, outcome

    def resume(self, run: Path) -> Outcome:
        """Resume, and raise `Failed` if the result is not the undisturbed run."""
        again = ["--resume"] if (run / "config.yaml").is_file() else []
        outcome = self.zygote.run("train", self.recipe, "--run-dir", run, *again)
        if outcome.code != 0 and "this run is finished" not in outcome.output:
            raise Failed(f"the resume ended with exit code {outcome.code}: {outcome.output.strip()[-400:]}")
        different = same_run(run, self.expected)
        if different:
            raise Failed(f"not the same run after a resume: {different}")
        return outcome


def kill_anywhere(chaos: Chaos, number: int) -> None:
    moment = random.Random(number).uniform(0.1, 0.9) * chaos.seconds
    run, _ = chaos.inject(
        ("kill_after", {"seconds": moment}), code=-9, otherwise=0
    )  # it may have been faster this time
    chaos.resume(run)


def kill_while_saving(chaos: Chaos, part: str) -> None:
    fault = ("kill_at_call", {"function": SAVING[part], "call": 20 if part == "manifest" else 3})
    run, _ = chaos.inject(fault, code=-9)
    chaos.resume(run)


def stop_in_phase(chaos: Chaos, phase: str) -> None:
    fault = {"phase": phase, "entry": PHASES[phase], "delay": 0.001, "number": int(signal.SIGTERM)}
    run, _ = chaos.inject(("signal_in_phase", fault), code=75)
    chaos.resume(run)


def damage(chaos: Chaos, how: str) -> None:
    fault = ("kill_in_phase", {"phase": "update", "entry": 7})
    run, _ = chaos.inject(fault, code=-9)
    newest = max((run / "checkpoints").glob("step-*"))
    file = newest / "model" / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data) if how == "a flipped byte" else bytes(data[:-64]))
    if "is damaged" not in chaos.resume(run).output:
        raise Failed("the damage was not told")


def full_disk(chaos: Chaos) -> None:
    limit = {"largest": 200_000, "function": "grpo_kit.train.checkpoint:bytes_needed", "call": 2, "until": 3}
    run, outcome = chaos.inject(("limit_file_size", limit), code=0)
    if "Training goes on and will try again" not in outcome.output:
        raise Failed("the refused save was not told")
    if different := same_run(run, chaos.expected):
        raise Failed(different)


def nan_gradient(chaos: Chaos) -> None:
    single = ("train.updates_per_batch=1", "train.epochs_per_batch=1", "train.save_every=1", "train.keep_last=9")
    run, _ = chaos.inject(("poison", {"what": "gradient", "steps": [4]}), *single, code=0)
    skipped = [row["step"] for row in read_json_lines(run / "metrics.jsonl") if row.get("skipped_updates")]
    if skipped != [4] or not (run / "dumps" / "step-000004.jsonl.gz").is_file():
        raise Failed(f"skipped at {skipped} instead of [4], or the batch was not kept")
    replayed = chaos.zygote.run("replay", run, "--step", 7)
    if replayed.code != 0:
        raise Failed(f"replay: {replayed.output.strip()[-400:]}")


def bad_verifier(chaos: Chaos) -> None:
    check = f"verifiers.0.name={Path(harm.__code__.co_filename)}:chaotic"
    single = ("train.updates_per_batch=1", "train.epochs_per_batch=1", "evaluation=null", "scoring.workers=2")
    run, _ = chaos.inject(None, check, *single, f"train.steps={CHAOS_STEPS}", "rollout.group_size=16", code=0)
    wanted: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    for row in read_json_lines(run / "metrics.jsonl"):
        counted.update({kind: row[f"verifier/chaotic/{kind}"] for kind in ("error", "timeout")})
        with gzip.open(run / "rollouts" / f"step-{row['step']:06d}.jsonl.gz", "rt") as lines:
            kinds = [harm(json.loads(line)["response"]) for line in lines]
        wanted.update("timeout" if kind == "hang" else "error" for kind in kinds if kind)
    if +counted != wanted or not wanted:
        raise Failed(f"{dict(counted)} were counted, {dict(wanted)} were injected")


def stuck(chaos: Chaos) -> None:
    hang = ("hang_in_phase", {"phase": "generate", "entry": 8})
    run, outcome = chaos.inject(hang, "limits.generate=0.02", "evaluation=null", code=1)
    if "for 'generate'" not in outcome.output or not (run / "stuck.txt").is_file():
        raise Failed("it was not said what was waited for")


def closed_terminal(chaos: Chaos) -> None:
    broken = ("break_output", {"function": "grpo_kit.train.keeper:Keeper.due", "call": 2})
    run, _ = chaos.inject(broken, code=0)
    if different := same_run(run, chaos.expected):
        raise Failed(different)


def stays_flat(chaos: Chaos) -> None:
    problem = soak(chaos.zygote, chaos.recipe, SOAK_STEPS).problem()
    if problem:
        raise Failed(problem)


def epoch_edge(chaos: Chaos) -> None:
    recipe = write_from_file(chaos.zygote.folder)
    expected, _ = chaos.inject(None, code=0, recipe=recipe)
    fault = ("kill_at_call", {"function": "grpo_kit.train.steps:GradientStep.__call__", "call": 21})
    run, _ = chaos.inject(fault, code=-9, recipe=recipe)
    outcome = chaos.zygote.run("train", recipe, "--run-dir", run, "--resume")
    different = same_run(run, expected) if outcome.code == 0 else outcome.output.strip()[-400:]
    if different:
        raise Failed(different)


SAME = "the resumed run equals the undisturbed one bit for bit"


def everything() -> Iterator[tuple[str, str, Callable[[Chaos], None]]]:
    """Name, what is expected, and what is done."""
    for number in range(KILLS):
        yield f"kill -9 at a random moment ({number + 1})", SAME, partial(kill_anywhere, number=number)
    for part in SAVING:
        yield f"kill -9 in the middle of a save ({part})", SAME, partial(kill_while_saving, part=part)
    yield "kill -9 between the updates of a batch, at an epoch edge", SAME, epoch_edge
    for phase in PHASES:
        yield f"SIGTERM while it is busy with: {phase}", f"exit code 75; {SAME}", partial(stop_in_phase, phase=phase)
    for how in ("a flipped byte", "a truncated file"):
        yield f"{how} in the newest checkpoint", f"told, the one before used; {SAME}", partial(damage, how=how)
    yield "a disk that is full for a while", "told with the bytes, training goes on, saved later", full_disk
    yield "a gradient that is not a number", "skipped, counted, kept; other steps replay to their loss", nan_gradient
    yield (
        "a verifier that raises, hangs, segfaults, exits, eats memory",
        "counted exactly, costs its own score",
        bad_verifier,
    )
    yield "generation that hangs", "ended with its name and every stack", stuck
    yield "a terminal that goes away", "nothing changes", closed_terminal
    yield f"{SOAK_STEPS} steps", "memory, open files and threads stay as they are", stays_flat


def stress(report: Callable[[Tried], None]) -> int:
    """Try everything, report each as it ends; returns how many did not come through."""
    failures = 0
    with tempfile.TemporaryDirectory(prefix="grpo-kit-stress-") as folder, Zygote(Path(folder)) as zygote:
        chaos = Chaos(zygote)
        for name, expected, attempt in everything():
            begun, problem = time.perf_counter(), None
            try:
                attempt(chaos)
            except (Failed, OSError, RuntimeError, KeyError, ValueError) as error:
                problem = str(error) or repr(error)
                failures += 1
            report(Tried(name, expected, problem, time.perf_counter() - begun))
    return failures
