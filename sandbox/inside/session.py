"""The session's side in the program's process: run one piece of code after the other in one namespace."""

from __future__ import annotations

import ast
import linecache
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any

_LONGEST = 16_384


def serve(receive: Callable[[], list[Any]], send: Callable[[Any], None]) -> None:
    """Answer ["run", number, code] with ["ran", number, exception as text, repr of the last expression's value]."""
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = module
    send(["ready"])
    while True:
        _, number, code = receive()
        error, value = _run(number, code, module.__dict__)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BaseException as broken:
                error = error or f"{type(broken).__name__} while flushing the output"
        send(["ran", number, error, value])


def _run(number: int, code: str, namespace: dict[str, Any]) -> tuple[str, str]:
    name = f"<call {number}>"
    linecache.cache[name] = (len(code), None, code.splitlines(True), name)
    try:
        tree = ast.parse(code, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name, "exec", dont_inherit=True), namespace)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), name, "eval", dont_inherit=True), namespace)
            return "", "" if value is None else repr(value)[:_LONGEST]
        return "", ""
    except BaseException as error:
        return _text(error), ""


def _text(error: BaseException) -> str:
    try:
        trace = error.__traceback__
        lines = traceback.format_exception(type(error), error, trace.tb_next if trace else None)
        text = "".join(lines).strip()
    except BaseException:
        text = type(error).__name__
    return text if len(text) <= _LONGEST else f"...{text[-_LONGEST + 3 :]}"
