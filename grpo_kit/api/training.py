"""`grpo_kit.train`: what `grpo-kit train` does, returning the run."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.observe.terminal import open_console
from grpo_kit.run.dispatch import train as start
from grpo_kit.run.request import Latest, Told, TrainRequest, read_resume
from grpo_kit.runtime.interrupt import Interrupted
from grpo_kit.runtime.modules import refuse_while_importing
from grpo_kit.runtime.process import prepare_process
from grpo_kit.train.listener import Hear, Listener

from .overrides import Overrides, override_texts
from .recipe import Recipe, named
from .run import Run

# torch's random numbers are the process's: of two runs side by side neither would be the run that its seed says.
_running = threading.Lock()


def train(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    overrides: Overrides = None,
    *,
    run_dir: str | Path | None = None,
    resume: bool | int | str = False,
    fork: str | None = None,
    on_step: Hear | None = None,
    on_evaluation: Hear | None = None,
    progress: bool = True,
    **keys: Any,
) -> Run:
    """Train with a recipe, in this process, and return the run. It is `grpo-kit train`: the same checks, files and numbers.

    Args:
        recipe: a file, the name of a shipped recipe, a mapping of keys to values, or a `Recipe`.
        overrides: values that replace the recipe's: ``{"train.steps": 20}``, ``{"train": {"steps": 20}}``, or texts as on the
            command line.
        run_dir: where the run is written; default: a new folder in runs/.
        resume: True goes on with the run in ``run_dir`` from its newest checkpoint, a number from that step's; ``"auto"``
            begins it if there is none yet.
        fork: ``"RUN@STEP"``: begin a new run from a checkpoint of another.
        on_step: called with the metrics of every step, once they are written down. Where it returns True, or raises, the
            run is saved and ends there; what it raised is raised once more by this function.
        on_evaluation: the same with the metrics of every evaluation.
        progress: print what the command prints.
        keys: overrides as keywords, ``__`` for the dots: ``train__steps=20``.

    Returns:
        The run, of a recipe of several stages that of the last one. ``stopped`` is True where a callback ended it; it goes
        on with ``resume=True``.

    Raises:
        UserError: something must be changed first; nothing is written then.
        RunFailed: the run began and cannot go on.
        Interrupted: a signal (Ctrl-C, a notebook's stop button) ended it; it is saved.

    One run at a time in a process, in whatever thread. In the main thread SIGINT and SIGTERM are handled while it lasts; in
    another one no handler is touched, and a callback is the way to stop it.
    """
    refuse_while_importing("grpo_kit.train")
    for name, hear in (("on_step", on_step), ("on_evaluation", on_evaluation)):
        if hear is not None and not callable(hear):
            raise UserError(f"{name}: {hear!r:.80} is no function; give one that takes the metrics of a step")
    folder = None if run_dir is None else Path(run_dir).expanduser()
    request = TrainRequest(named(recipe), override_texts(overrides, keys), folder, _position(resume), fork)
    listener = Listener(on_step, on_evaluation)
    if not _running.acquire(blocking=False):
        raise UserError("a run is under way in this process: wait for its end, or train in a process of its own")
    prepare_process()
    try:
        path = start(request, Told(open_console(quiet=not progress), listener))
    except Interrupted as stop:
        if listener.raised is not None:
            raise listener.raised from None
        if not listener.asked_to_stop or stop.run is None:
            raise
        return Run(stop.run, stopped=True)
    finally:
        _running.release()
    if listener.raised is not None:  # after the last step, when nothing was left to stop
        raise listener.raised
    if path is None:  # resume="auto" of a run that was finished before
        assert folder is not None
        path = folder
    return Run(path)


def _position(resume: bool | int | str) -> Any:
    if resume is True:
        return Latest()
    if resume is False:
        return None
    return read_resume(str(resume))
