"""Where tests end themselves: an exit with nothing to complain of counts as the last thing that they do, and nowhere else.

Whatever it is called and however it is come by, an exit in the middle leaves undone what stands behind it, and the program may
have had its say in it.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from types import TracebackType

from ..wire.source import name_of

_Position = tuple[int, int]  # line and column


def at_the_end(error: BaseException, sources: Mapping[str, str]) -> bool:
    """Whether an exception was raised by the last statement of each part of the tests that was running.

    Args:
        sources: texts of the tests by their file names.
    """
    frames = [t for t in _all(error.__traceback__) if t.tb_frame.f_code.co_filename in sources]
    inner = [t.tb_frame.f_code.co_name for t in frames[1:]]
    for trace, called in zip(frames, [*inner, None], strict=True):
        where = _position(trace)
        code = trace.tb_frame.f_code
        body = _body(ast.parse(sources[code.co_filename]), code.co_name, where)
        last = _last(body, where)
        if last is None or (called is not None and not _calls(last, called)):
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
    """Of the function that runs there; that of a lambda is no statement."""
    if name == "<module>":
        return module.body
    functions = (n for n in ast.walk(module) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)))
    inner = [f for f in functions if f.name == name and _holds(f, where)]
    return inner[-1].body if inner else ()


def _last(body: Sequence[ast.stmt], where: _Position) -> ast.stmt | None:
    """The statement there, if nothing of ``body`` remains to be done behind it."""
    if not body or not _holds(body[-1], where):
        return None
    last = body[-1]
    parts: list[Sequence[ast.stmt]] = []
    if isinstance(last, ast.If):
        parts = [last.body, last.orelse]
    elif isinstance(last, (ast.With, ast.AsyncWith)):
        parts = [last.body]
    elif isinstance(last, (ast.Try, ast.TryStar)) and not last.finalbody:
        parts = [*([] if last.orelse else [last.body]), last.orelse, *(h.body for h in last.handlers)]
    elif isinstance(last, ast.Match):
        parts = [case.body for case in last.cases]
    elif isinstance(last, (ast.Expr, ast.Raise, ast.Return)):
        return last
    return next((found for part in parts if (found := _last(part, where)) is not None), None)


def _calls(statement: ast.stmt, name: str) -> bool:
    """Whether it does nothing but call that function of the tests, and once."""
    call = getattr(statement, "value", None)
    return isinstance(call, ast.Call) and name == name_of(call.func)
