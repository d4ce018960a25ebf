"""Which columns of the data a script's rewards read, and what the usual mapping of rows says in a recipe's words."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

from grpo_kit.verifiers.adapters import GOLD_NAMES

from .names import Names

SPECIAL = re.compile(r"[\\.^$*+?{}\[\]|()]")
HANDED_OVER = {
    "self", "prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric", "environments",
}  # fmt: skip


def read_by(functions: Sequence[ast.AST]) -> list[str]:
    """Columns that reward functions ask for by name, as parameters or out of their keyword arguments."""
    found: dict[str, None] = {}
    for function in functions:
        arguments = getattr(function, "args", None)
        if arguments is None:
            continue
        for argument in (*arguments.args, *arguments.kwonlyargs):
            if argument.arg not in HANDED_OVER:
                found[argument.arg] = None
        keywords = arguments.kwarg.arg if arguments.kwarg else ""
        for node in ast.walk(function):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) == keywords:
                key: ast.expr | None = node.slice
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == f"{keywords}.get" and node.args:
                key = node.args[0]
            else:
                continue
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                found[key.value] = None
    return list(found)


def gold_of(columns: list[str]) -> str | None:
    """The column that a reward function takes the gold answer from; None where that is not told by its name."""
    return next((name for name in columns if name in GOLD_NAMES), None)


def mapping_of(node: ast.expr, tree: ast.Module, names: Names) -> dict[str, Any] | None:
    """What a mapping of rows to ``prompt`` and the gold answer is in the section ``data``; None where it is another one.

    Read is a function of one row that returns a dict: of the prompt as messages or as text around one column, and of columns
    as they are or as what stands behind a mark in them.
    """
    returned, row = _returned(node, tree, names)
    if returned is None:
        return None
    found: dict[str, Any] = {}
    for key, value in zip(returned.keys, returned.values, strict=True):
        if key is None:
            if isinstance(value, ast.Name) and value.id == row:
                continue  # {**row, ...}: every column stays
            return None
        name = names.value(key)
        said = (
            _prompt(value, row, names) if name == "prompt" else _gold(value, row, names) if name in GOLD_NAMES else None
        )
        if said is None:
            return None
        found |= said
    return found if "fields.prompt" in found else None


def maps_to_messages(node: ast.expr, tree: ast.Module, names: Names) -> bool:
    """Whether the prompt that a readable mapping makes is a list of messages, and not text."""
    returned, _ = _returned(node, tree, names)
    pairs = zip(returned.keys, returned.values, strict=True) if returned is not None else ()
    return any(
        k is not None and names.value(k) == "prompt" and isinstance(names.resolve(v), ast.List) for k, v in pairs
    )


def _returned(node: ast.expr, tree: ast.Module, names: Names) -> tuple[ast.Dict | None, str]:
    function: Any = names.resolve(node)
    if isinstance(function, ast.Name):
        named = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == function.id)
        function = next(named, None)
        if function is None:
            return None, ""
    if not isinstance(function, (ast.Lambda, ast.FunctionDef)) or len(function.args.args) != 1:
        return None, ""
    body: Any = function.body
    if isinstance(function, ast.FunctionDef):
        told = [s for s in function.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
        body = told[0].value if len(told) == 1 and isinstance(told[0], ast.Return) else None
    return (body if isinstance(body, ast.Dict) else None), function.args.args[0].arg


def _column(node: ast.expr, row: str) -> str | None:
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == row:
        return node.slice.value if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str) else None
    return None


def _around(node: ast.expr, row: str, names: Names) -> tuple[str, str] | None:
    """A column and the template around it: ``row["q"]``, ``f"..{row['q']}.."``, ``PREFIX + row["q"]``."""
    node = names.resolve(node)
    if (column := _column(node, row)) is not None:
        return column, "{prompt}"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = [_around(side, row, names) or names.value(side) for side in (node.left, node.right)]
    elif isinstance(node, ast.JoinedStr):
        sides = []
        for part in node.values:
            inner = part.value if isinstance(part, ast.FormattedValue) else part
            sides.append(_around(inner, row, names) or names.value(inner))
    else:
        return None
    columns = [side[0] for side in sides if isinstance(side, tuple)]
    if len(columns) != 1 or not all(isinstance(side, (tuple, str)) for side in sides):
        return None
    return columns[0], "".join(side[1] if isinstance(side, tuple) else side for side in sides)


def _prompt(node: ast.expr, row: str, names: Names) -> dict[str, Any] | None:
    node = names.resolve(node)
    found: dict[str, Any] = {}
    if isinstance(node, ast.List):
        messages = [m for m in map(names.resolve, node.elts) if isinstance(m, ast.Dict)]
        if len(messages) != len(node.elts) or not messages:
            return None
        said = [{names.value(k): v for k, v in zip(m.keys, m.values, strict=True) if k is not None} for m in messages]
        roles = [names.value(m["role"]) if m.keys() == {"role", "content"} else None for m in said]
        if roles == ["system", "user"]:
            system = names.value(said[0]["content"])
            if not isinstance(system, str):
                return None
            found["system_prompt"] = system
        elif roles != ["user"]:
            return None
        node = said[-1]["content"]
    around = _around(node, row, names)
    if around is None:
        return None
    found["fields.prompt"] = around[0]
    if around[1] != "{prompt}":
        found["prompt_template"] = around[1]
    return found


def _gold(node: ast.expr, row: str, names: Names) -> dict[str, Any] | None:
    """``row["answer"]``, or what stands behind a mark in it: ``row["answer"].split("####")[1].strip()``."""
    if (column := _column(node, row)) is not None:
        return {"fields.answer": column}
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "strip"
        and not node.args
    ):
        node = node.func.value
    if not isinstance(node, ast.Subscript) or names.value(node.slice) not in (1, -1):
        return None
    call = node.value
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "split"):
        return None
    column, mark = _column(call.func.value, row), names.value(call.args[0]) if call.args else None
    if column is None or not isinstance(mark, str) or not mark.strip():
        return None
    literal = SPECIAL.sub(r"\\\g<0>", mark.strip())
    return {"fields.answer": column, "answer_pattern": literal + r"\s*(.+)"}
