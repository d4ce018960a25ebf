"""Loading the module or the file that a reference names: ``package.module`` or ``path/file.py``."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import threading
import traceback
from pathlib import Path
from types import ModuleType

from grpo_kit.errors import UserError

FILE_MODULE = "grpo_kit_user_"
_now = threading.local()  # .file: the one that this thread is importing


def load_module(source: str, what: str, error: type[UserError] = UserError) -> ModuleType:
    """Import a module by name or load a file; an error inside it is raised as it is.

    Args:
        what: kind of thing that is looked for in it, for messages.
        error: raised where there is no such module or file.
    """
    if source.endswith(".py"):
        return _load_file(Path(source), what, error)
    try:
        return importlib.import_module(source)
    except ModuleNotFoundError as missing:
        if missing.name is None or not (source == missing.name or source.startswith(missing.name + ".")):
            raise  # an import inside the user's module: their own traceback says where
        raise error(
            f"there is no module {source!r}: is it installed in this environment? The current directory is not "
            f"searched; name a file as path/to/{source.rpartition('.')[2]}.py:NAME"
        ) from missing


def refuse_while_importing(call: str) -> None:
    """Raises UserError where ``call`` stands at the top of a file that is imported for a function of it: it would never end."""
    if file := getattr(_now, "file", None):
        raise UserError(
            f"{file} is imported by whoever runs a function of it, and calls {call} when it is: put the call behind `if __name__ "
            '== "__main__":`, or the function into a file of its own'
        )


def import_failed(error: BaseException) -> str:
    """What went wrong while a user's module was imported, and at which line."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{error.filename}:{error.lineno}" if isinstance(error, SyntaxError) else f"{frame.filename}:{frame.lineno}"
    return f"cannot be imported: {type(error).__name__}: {error} (at {where})"


def _load_file(path: Path, what: str, error: type[UserError]) -> ModuleType:
    if not path.is_file():
        raise error(f"no such {what} file: {path} (looked in {Path.cwd()})")
    # A name of its own: two files called reward.py must not shadow each other, nor an installed module.
    unique = FILE_MODULE + hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    if unique in sys.modules:
        return sys.modules[unique]
    spec = importlib.util.spec_from_file_location(unique, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module
    outer, _now.file = getattr(_now, "file", None), path
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[unique]
        raise
    finally:
        _now.file = outer
    return module
