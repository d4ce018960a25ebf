"""Where tests end themselves: an exit with nothing to complain of counts as the last thing that they do, and nowhere else.

Whatever it is called and however it is come by, an exit in the middle leaves undone what stands behind it, and the program may
have had its say in it.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from types import CodeType, FrameType, TracebackType

from ..wire.bindings import FUNCTIONS
from ..wire.source import name_of

_Position = tuple[int, int]  # line and column
_RUNNING = frozenset(("run", "run_until_complete", "exit"))  # what they are given is done before they do anything


def at_the_end(error: BaseException, sources: Mapping[str, str]) -> bool:
    """Whether an exception was raised by the last statement of each part of the tests that was running.

    Args:
        sources: texts of the tests by their file names.
    """
    frames = [t for t in _all(error.__traceback__) if t.tb_frame.f_code.co_filename in sources]
    straight = False
    for trace, inner in zip(frames, [*frames[1:], None], strict=True):
        where = _position(trace)
        code = trace.tb_frame.f_code
        body = _body(ast.parse(sources[code.co_filename]), code.co_name, where)
        last, straight = _last(body, where, error, straight)
        if last is None:
            return False
        if not (_calls(last, trace.tb_frame, inner.tb_frame.f_code) if inner else _leaves(last) or not straight):
            return False
    return True


def _all(trace: TracebackType | None) -> list[TracebackType]:
    found = []
    while trace is not None:
        found.append(trace)
        trace = trace.tb_next
    return found


def _position(trace: TracebackType) -> _Position:
    line, _, column, _ = list(trace.tb_frame.f_code.co_positions())[trace.tb_lasti // 2]
    return line or 0, column or 0


def _holds(node: ast.AST, where: _Position) -> bool:
    start, end = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
    return bool(start <= where < end)


def _body(module: ast.Module, name: str, where: _Position) -> Sequence[ast.stmt]:
    """Of the function that runs there."""
    if name == "<module>":
        return module.body
    if name == "<lambda>":
        lambdas = [n.body for n in ast.walk(module) if isinstance(n, ast.Lambda) and _holds(n, where)]
        return [ast.copy_location(ast.Expr(lambdas[-1]), lambdas[-1])] if lambdas else []
    functions = (n for n in ast.walk(module) if isinstance(n, FUNCTIONS))
    inner = [f for f in functions if f.name == name and _holds(f, where)]
    return inner[-1].body if inner else ()


def _last(
    body: Sequence[ast.stmt], where: _Position, error: BaseException, straight: bool
) -> tuple[ast.stmt | None, bool]:
    """The statement there, if nothing of ``body`` remains to be done behind it, and whether a loop remains to be gone on with.

    Args:
        straight: nothing may decide whether it is reached: it stands in a loop, the rest of which it leaves undone.
    """
    if not body or not _holds(body[-1], where):
        return None, straight
    last = body[-1]
    parts: list[Sequence[ast.stmt]] = []
    if isinstance(last, (ast.For, ast.AsyncFor, ast.While)):
        straight = straight or any(_holds(s, where) for s in last.body)
        parts = [last.body, last.orelse]
    elif isinstance(last, (ast.With, ast.AsyncWith)):
        parts = [last.body]
    elif isinstance(last, (ast.Try, ast.TryStar)):  # what stands behind `finally` is done, and has raised nothing
        parts = [*([] if last.orelse else [last.body]), last.orelse]
        parts += () if straight else (h.body for h in last.handlers)
        parts += [last.finalbody] if error.__context__ is None else []
    elif isinstance(last, ast.If) and not straight:
        parts = [last.body, last.orelse]
    elif isinstance(last, ast.Match) and not straight:
        parts = [case.body for case in last.cases]
    elif isinstance(last, (ast.Expr, ast.Raise, ast.Return, ast.Assign, ast.AnnAssign)):
        return last, straight
    for part in parts:
        found, in_loop = _last(part, where, error, straight)
        if found is not None:
            return found, in_loop
    return None, straight


def _leaves(statement: ast.stmt) -> bool:
    """Whether it does nothing but end, whatever the program says."""
    call = getattr(statement, "exc" if isinstance(statement, ast.Raise) else "value", None)
    told = call.args if isinstance(call, ast.Call) else [call]
    return all(isinstance(t, (ast.Constant, ast.Name)) for t in told)


def _calls(statement: ast.stmt, frame: FrameType, called: CodeType) -> bool:
    """Whether it does nothing but call that function of the tests, and once."""
    call = getattr(statement, "value", None)
    while isinstance(call, ast.Await) or (
        isinstance(call, ast.Call) and len(call.args) == 1 and name_of(call.func) in _RUNNING
    ):
        call = call.value if isinstance(call, ast.Await) else call.args[0]
    if not isinstance(call, ast.Call):
        return False
    name = name_of(call.func)
    found = {**frame.f_globals, **frame.f_locals}.get(name) if isinstance(call.func, ast.Name) else None
    return name == called.co_name or getattr(found, "__code__", None) is called
