"""From a file of TRL's to a recipe on the disk: read, check, and only then write."""

from __future__ import annotations

from pathlib import Path

from grpo_kit.errors import UserError

from .fields import METHODS
from .imported import Imported
from .recipe import make_recipe
from .script import read_script
from .text import recipe_text
from .yaml_config import read_config


def import_trl(file: Path, out: Path, overrides: list[str], method: str | None = None) -> tuple[Imported, list[Path]]:
    """Write the recipe of a script or of a configuration, and beside it the functions that it names where they need a file.

    Returns:
        What became of each part, and the files that were written.

    Raises:
        UserError: something is wrong with what is given; nothing is written then.
    """
    if file.is_dir() or file.suffix not in (".py", ".yaml", ".yml"):
        raise UserError(f"{file}: give a training script (.py) of TRL, or a configuration (.yaml) of its command line")
    if not file.is_file():
        raise UserError(f"no such file: {file} (looked in {Path.cwd()})")
    if method is not None and method not in METHODS:
        raise UserError(f"--method {method!r:.40}: there are {', '.join(METHODS)}")
    if out.is_dir() or not out.parent.is_dir():
        raise UserError(
            f"{out} is a folder; name a file" if out.is_dir() else f"the folder {out.parent} does not exist"
        )
    if out.suffix not in (".yaml", ".yml"):
        raise UserError(f"{out}: a recipe's name ends in .yaml")
    if file.suffix == ".py":
        asked, lost = read_script(file), dict[str, str]()
    else:
        asked, lost = read_config(file, method)
    made = make_recipe(asked, out, overrides, lost)
    written = {out: recipe_text(made, file)}
    if made.functions:
        written[out.with_name(f"{out.stem}_functions.py")] = made.functions
    if taken := next((path for path in written if path.exists()), None):
        raise UserError(f"{taken} exists; choose another name with --out")
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    return made, list(written)
