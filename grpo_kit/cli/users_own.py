"""What commands load of the user's own code, and how they show where it breaks."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import typer

from grpo_kit.errors import UserError

Found = TypeVar("Found")
HOUSE = str(Path(__file__).parents[1])
LOOKUP = (
    *("/verifiers/lookup.py", "/environments/lookup.py", "/runtime/modules.py"),
    *("/environments/register.py", "/environments/selftest.py"),
)


def find_users_own(name: str, find: Callable[[str], Found]) -> Found:
    """What ``find`` finds under a name. Where the user's own file breaks, its traceback is shown.

    Raises:
        UserError: it cannot be found, or not be loaded.
    """
    from grpo_kit.observe.terminal import clean

    try:
        return find(name)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        # The user's own frames only: ours and the import system's would hide the line that matters.
        frames = traceback.extract_tb(error.__traceback__)
        own = [
            f
            for f in frames
            if not f.filename.startswith(("<frozen", f"{HOUSE}/cli/")) and not f.filename.endswith(LOOKUP)
        ]
        said = ["Traceback (most recent call last):\n", *traceback.format_list(own)]
        typer.echo(clean("".join([*said, *traceback.format_exception_only(error)])), err=True, nl=False)
        raise UserError(f"{name} cannot be loaded; the traceback above is the file's own") from error
