"""Functions of a script that a recipe names by path: where they are, or a file of them alone.

A file that a recipe names is imported wherever its functions run. A script that trains when it is imported cannot be named so:
its functions, and what of its top level they use, are written into a file of their own.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from .fields import TRAINERS
from .names import Names, is_main_guard

HEAVY = {*TRAINERS, "load_dataset", "from_pretrained", "train"}
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Place:
    """Where a function is to be found, or why it is not."""

    reference: str = ""
    local: str = ""
    why_not: str = ""


def trains_when_imported(tree: ast.Module) -> bool:
    """Whether the script's top level makes a trainer, loads data or a model, or trains."""
    return any(_heavy(statement) for statement in tree.body if not is_main_guard(statement))


def _heavy(statement: ast.stmt) -> bool:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return False
    calls = (node.func for node in ast.walk(statement) if isinstance(node, ast.Call))
    # A call alone on its line is made for what it does, be it main().
    alone = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    return alone or any(getattr(f, "attr", getattr(f, "id", "")) in HEAVY for f in calls)


def top_level(tree: ast.Module) -> dict[str, Function]:
    """Functions and classes at the top of a script."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {statement.name: statement for statement in tree.body if isinstance(statement, kinds)}


def place_of(node: ast.expr, file: Path, tree: ast.Module, names: Names) -> Place:
    """Where the function that an expression names is: in this script, in a file beside it, or in a module."""
    made = names.resolve(node)
    said = " ".join(ast.unparse(node).split())[:60]
    if isinstance(made, ast.Lambda):
        return Place(why_not=f"`{said}` has no name: give it one, at the top of the script")
    if not isinstance(made, (ast.Name, ast.Attribute)):
        return Place(why_not=f"`{said}` (line {node.lineno}) is made when the script runs: name a function at its top")
    full = names.full_name(made)
    if isinstance(made, ast.Name) and made.id not in names.imported:
        if made.id in top_level(tree):
            return Place(local=made.id)
        return Place(why_not=f"`{said}` is no function at the top of the script")
    module, _, attribute = full.lstrip(".").rpartition(".")
    beside = file.parent / (module.replace(".", "/") + ".py")
    if beside.is_file():
        return Place(reference=f"{beside.as_posix()}:{attribute}")
    if full.startswith(".") or not module:
        return Place(why_not=f"`{said}` is imported from {full}, which is no file beside the script")
    return Place(reference=f"{module}:{attribute}")


def extracted(wanted: list[str], text: str, tree: ast.Module) -> tuple[str, str]:
    """The source of functions with what they use of the script's top level, in its order; or why not, as the second.

    Names are followed as they are written: what a function reaches by another way (``globals()``) is not seen.
    """
    bound = {name: statement for statement in tree.body if not is_main_guard(statement) for name in _binds(statement)}
    waiting, taken = list(wanted), set()
    while waiting:
        statement = bound.get(waiting.pop())
        if statement is None or statement in taken:
            continue
        if _heavy(statement):
            return "", f"they use what line {statement.lineno} makes, which loads or trains when it runs"
        taken.add(statement)
        waiting += [node.id for node in ast.walk(statement) if isinstance(node, ast.Name)]
    lines = text.splitlines()
    parts = [statement for statement in tree.body if statement in taken or _is_future(statement)]
    blocks = ["\n".join(lines[_first(part) - 1 : part.end_lineno]) for part in parts]
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    spaced = [("\n\n" if isinstance(part, defined) else "") + block for part, block in zip(parts, blocks, strict=True)]
    return "\n".join(spaced) + "\n", ""


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _first(statement: ast.stmt) -> int:
    decorators = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def _binds(statement: ast.stmt) -> set[str]:
    """Names that a statement of the top level gives a value."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    found = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    for node in ast.walk(statement):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
    return found
