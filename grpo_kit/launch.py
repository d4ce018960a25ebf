"""A run of several processes: torchrun starts them, rank 0 checks and writes, a restart goes on from the last checkpoint."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from grpo_kit import ranks
from grpo_kit.errors import UserError
from grpo_kit.interrupt import Unbreakable
from grpo_kit.observe.run_directory import FollowedRun
from grpo_kit.recipe_file import load_recipe

LAUNCH = "launch.json"
ATTEMPT = "GRPO_KIT_ATTEMPT"  # of a launcher that starts torchrun again, always under the same --rdzv-id, its own alone


def become_torchrun(processes: int, arguments: Sequence[str]) -> None:
    """Replace this process by torchrun with as many copies of itself; never returns."""
    if ranks.launched():
        raise UserError("--nproc is for a command that torchrun did not start: it starts torchrun itself")
    rest = _without_nproc(arguments)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m", "grpo_kit"]
    os.execv(sys.executable, [sys.executable, *torchrun, *rest])


def _without_nproc(arguments: Sequence[str]) -> list[str]:
    kept, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument == "--nproc":
            skip = True
        elif not argument.startswith("--nproc="):
            kept.append(argument)
    return kept


def train_on_ranks(
    recipe: str, overrides: Sequence[str], *, run_dir: Path | None, resume: str | None, fork: str | None
) -> None:
    """Train as one of the processes of a run. Rank 0 checks the recipe and makes the folder; the others follow."""
    from grpo_kit.commands import check, train_checked
    from grpo_kit.policy.models import pick_device
    from grpo_kit.train.ahead import SEVERAL_RANKS

    begun = time.perf_counter()
    end_with_parent()
    if ranks.restarts_allowed() and run_dir is None:
        raise UserError("torchrun --max-restarts needs --run-dir: a process that starts again must find its run")
    wanted = load_recipe(recipe, overrides)
    if ranks.world_size() > 1 and wanted.rollout.engine == "vllm":
        raise UserError(
            "rollout.engine vllm with several training processes is not offered: use engine: vllm_server, whose servers all of "
            "them share, or engine: torch, or one training process"
        )
    if ranks.world_size() > 1 and wanted.rollout.max_staleness:
        raise UserError(SEVERAL_RANKS)
    device = pick_device(wanted.device)
    console = Console(highlight=False, quiet=not ranks.first(), file=Unbreakable())  # type: ignore[arg-type]
    with ranks.joined(device):
        checked = None
        if ranks.first():
            attempt, restart = int(os.environ.get(ATTEMPT, "0")), ranks.restarted()
            if (attempt or restart) and _is_ours(run_dir):
                number = os.environ["TORCHELASTIC_RESTART_COUNT"] if restart else f"on other nodes {attempt}"
                console.print(f"restart {number}: going on with {run_dir}")
                resume, fork = "auto", None
            checked = check(recipe, overrides, console, dry_run=False, run_dir=run_dir, resume=resume, fork=fork)
            if checked is not None:
                checked[1].write_json(LAUNCH, _launch())
                console.print(f"{ranks.world_size()} processes, this one on {device}")
        else:
            _quiet()
        agreed = ranks.from_first(checked, "the checks of rank 0")
        if agreed is None:  # the run was finished before
            return
        config, run, checkpoint, resumed = agreed
        if not ranks.first():
            run = FollowedRun(run.path)
        train_checked(config, run, checkpoint, resumed, console, begun)


def end_with_parent() -> None:
    """Have the kernel send SIGTERM once the parent is gone: without torchrun, ranks would go on with nobody to stop them."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _launch() -> dict[str, str]:
    """Which torchrun this is: a restart may touch what the same one began, and nothing else."""
    # Launches of one machine often share the id "none"; their agents are different processes.
    alone = os.environ.get("GROUP_WORLD_SIZE") == "1" and ATTEMPT not in os.environ
    agent = str(os.getppid()) if alone else ""
    return {"run_id": os.environ.get("TORCHELASTIC_RUN_ID", ""), "agent": agent}


def _is_ours(path: Path | None) -> bool:
    """Whether the run in a folder was begun by this launch."""
    try:
        return path is not None and json.loads((path / LAUNCH).read_text(encoding="utf-8")) == _launch()
    except (OSError, ValueError):
        return False


def _quiet() -> None:
    """Only rank 0 speaks of what all would say."""
    import warnings

    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    warnings.filterwarnings("ignore")
