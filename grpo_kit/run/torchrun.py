"""A run of several processes: torchrun starts them, rank 0 checks and writes, a restart goes on from the last checkpoint."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from grpo_kit.config.read import load_recipe
from grpo_kit.errors import EXIT_FAILED, UserError
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.observe.terminal import line, open_console
from grpo_kit.run.request import Auto, Told, TrainRequest
from grpo_kit.run.start import check, train_checked
from grpo_kit.runtime import ranks
from grpo_kit.runtime.interrupt import end_with_parent

LAUNCH = "launch.json"
LAUNCHER = "GRPO_KIT_LAUNCHER"  # in the environment: the name that a launcher of several torchruns has for itself


def become_torchrun(processes: int, arguments: Sequence[str]) -> NoReturn:
    """Replace this process by torchrun with so many of ``grpo-kit``; never returns."""
    if ranks.launched():
        raise UserError("--nproc is for a command that torchrun did not start: it starts torchrun itself")
    command = _torchrun(processes, arguments)
    os.execv(command[0], command)


def run_torchrun(processes: int, arguments: Sequence[str]) -> None:
    """The same as a child, waited for. Raises SystemExit with its code if it fails."""
    with subprocess.Popen(_torchrun(processes, arguments), preexec_fn=end_with_parent) as child:
        # A terminal tells the child of Ctrl-C itself; what is sent to this process alone is passed on.
        handlers = {signal.SIGINT: lambda *_: None, signal.SIGTERM: lambda number, _: child.send_signal(number)}
        previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            code = child.wait()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
    if code:
        raise SystemExit(code if code > 0 else EXIT_FAILED)


def _torchrun(processes: int, arguments: Sequence[str]) -> list[str]:
    torchrun = ["-m", "grpo_kit.run.elastic", "--standalone", "--local-addr", "127.0.0.1"]
    torchrun += ["--nproc-per-node", str(processes)]
    return [sys.executable, *torchrun, "-m", "grpo_kit", *arguments]


def train_on_ranks(request: TrainRequest, told: Told) -> Path | None:
    """Train as one of the processes of a run. Rank 0 checks the recipe and makes the folder; the others follow.

    Returns the folder of the run; None if it was finished before.
    """
    from grpo_kit.policy.models import pick_device

    begun = time.perf_counter()
    end_with_parent()
    if ranks.restarts_allowed() and request.run_dir is None:
        raise UserError("torchrun --max-restarts needs --run-dir: a process that starts again must find its run")
    wanted = load_recipe(request.recipe, request.overrides)
    device = pick_device(wanted.device)
    if not ranks.first():
        told = replace(told, console=open_console(quiet=True))
    console = told.console
    with ranks.joined(device):
        checked = None
        starters = _starters()
        if ranks.first():
            restart = _starts(request.run_dir, starters)
            if restart:
                line(console, f"restart {restart}: going on with {request.run_dir}")
                request = replace(request, resume=Auto(), fork=None)
            checked = check(request, console)
            if checked is not None:
                checked.run.write_json(LAUNCH, {"starters": starters, "starts": restart + 1})
                line(console, f"{ranks.world_size()} processes, this one on {device}")
        else:
            _quiet()
        agreed = ranks.broadcast(checked, "the checks of rank 0")
        if agreed is None:  # the run was finished before
            return None
        if not ranks.first():
            agreed = replace(agreed, run=RunDirectory(agreed.run.path, writes=False))
        train_checked(agreed, told, begun)
        return agreed.run.path


def _starters() -> list[str]:
    """Who would start these ranks again: the torchrun of each, and the launcher of all torchruns if there is one.

    TORCHELASTIC_RESTART_COUNT does not tell a restart: it counts the failures of one machine, and TORCHELASTIC_RUN_ID may be
    that of another day.
    """
    pid = os.getppid()
    try:
        begun = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:  # no Linux: the pid alone, which another process may have later
        begun = ""
    own = [f"{socket.gethostname()}:{pid}:{begun}", *filter(None, [os.environ.get(LAUNCHER)])]
    return sorted({name for names in ranks.all_gather(own, "naming who started them") for name in names})


def _starts(path: Path | None, starters: Sequence[str]) -> int:
    """How often any of them has started the run in a folder. A restart may touch such a run, and no other."""
    try:
        found = json.loads((path / LAUNCH).read_text(encoding="utf-8")) if path is not None else {}
        return found["starts"] if set(found["starters"]) & set(starters) else 0
    except (OSError, ValueError, KeyError):
        return 0


def _quiet() -> None:
    """Only rank 0 speaks of what all would say."""
    import warnings

    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    warnings.filterwarnings("ignore")
