"""Errors that are the user's to mend: shown as one paragraph, without a traceback."""

from __future__ import annotations

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 75  # EX_TEMPFAIL: stopped, saved, can be resumed


class UserError(Exception):
    """Something in the recipe, the data, the model folder or the command line must change (exit code 2)."""


class RunFailed(Exception):
    """A run that started and cannot go on (exit code 1)."""
