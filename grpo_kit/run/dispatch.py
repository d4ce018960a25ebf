"""How a request is trained: in this process, by several through torchrun, or stage by stage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from grpo_kit.errors import UserError
from grpo_kit.observe.terminal import open_console
from grpo_kit.runtime import ranks

from .chain import is_chain, train_chain
from .request import AtStep, Told, TrainRequest
from .start import check, train_here
from .torchrun import become_torchrun, run_torchrun, train_on_ranks


def train(request: TrainRequest, told: Told | None = None) -> Path | None:
    """Check, then train. Nothing is written before every check has passed. Returns the folder of the run, of several stages
    that of the last one; None if there was nothing to train.

    With ``processes`` it never returns, but for a chain: this process becomes torchrun, and each that it starts comes back
    here.
    """
    told = told or Told()
    if request.resume is not None and request.fork is not None:
        raise UserError("--resume goes on with a run, --fork begins a new one from it: give one of them")
    _check_probe(request)
    if is_chain(request.recipe):
        if request.fork is not None or isinstance(request.resume, AtStep):
            raise UserError("a recipe of several stages can only be resumed where it stopped: give --resume alone")
        return train_chain(request, told, lambda stage: _train_stage(stage, told))
    if request.processes is not None:
        # Here, where it is one paragraph on the screen: of several processes each says that the others have failed.
        with ranks.planned(request.processes):
            if request.dry_run:
                return train_here(request, told)
            check(replace(request, dry_run=True), open_console(quiet=True))
        become_torchrun(request.processes, request.arguments())
    if ranks.launched() and not request.dry_run:
        return train_on_ranks(request, told)
    return train_here(request, told)


def _check_probe(request: TrainRequest) -> None:
    if request.probe is None:
        return
    if not request.dry_run:
        raise UserError("--probe goes with --dry-run: it samples the start policy and trains nothing")
    if request.resume is not None or request.fork is not None:
        raise UserError("--probe is of the policy that a new run would start from: leave --resume and --fork out")
    if is_chain(request.recipe):
        raise UserError(
            f"--probe: {request.recipe} has several stages, and each begins with what the one before it left; probe a recipe of "
            "one stage, with model.path of the model that it begins with"
        )


def _train_stage(request: TrainRequest, told: Told) -> None:
    """Returns when the stage is trained, so that the next one can begin."""
    if request.processes is None:
        train_here(request, told)
    else:
        run_torchrun(request.processes, replace(request, processes=None).arguments())
