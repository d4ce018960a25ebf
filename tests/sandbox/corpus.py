"""The corpus of forging programs, and what of it a sandbox gets wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grpo_kit.sandbox import Limits, Sandbox, TestError

from .forging_answering import ANSWERING
from .forging_blocks import BLOCKS
from .forging_derived import DERIVED
from .forging_emptied import EMPTIED
from .forging_equality import EQUALITY
from .forging_executed import EXECUTED, REFUSED
from .forging_frameworks import FRAMEWORKS
from .forging_indirect import INDIRECT
from .forging_lent import LENT
from .forging_messages import MESSAGES
from .forging_own_word import OWN_WORD
from .forging_programs import CLASSES, EXCEPTIONS, NAMES, TOLD, Attack, objects
from .forging_put import PUT
from .forging_raised import RAISED
from .forging_relayed import RELAYED
from .forging_replaced import REPLACED
from .forging_replies import REPLIES
from .forging_shared import SHARED
from .forging_standing import STANDING
from .forging_swallowed import SWALLOWED
from .forging_texts import TEXTS
from .forging_undone import UNDONE

# Importing asyncio takes up to 0.2 s of CPU where others use the same caches.
LIMITS = Limits(cpu_s=1, wall_s=10)
KINDS: dict[str, Sequence[Attack]] = {
    "objects": objects(),
    "names": NAMES,
    "exceptions": EXCEPTIONS,
    "classes": CLASSES,
    "told": TOLD,
    "messages": MESSAGES,
    "replies": REPLIES,
    "standing": STANDING,
    "swallowed": SWALLOWED,
    "frameworks": FRAMEWORKS,
    "own word": OWN_WORD,
    "shared": SHARED,
    "executed": EXECUTED,
    "refused": REFUSED,
    "relayed": RELAYED,
    "answering": ANSWERING,
    "replaced": REPLACED,
    "texts": TEXTS,
    "indirect": INDIRECT,
    "undone": UNDONE,
    "emptied": EMPTIED,
    "blocks": BLOCKS,
    "put": PUT,
    "equality": EQUALITY,
    "derived": DERIVED,
    "raised": RAISED,
    "lent": LENT,
}


def decided_by_themselves(sandbox: Sandbox, attacks: Sequence[Attack]) -> list[Any]:
    """Programs of which a test passed, or whose run was called off. All tests of a program are run together."""
    programs: dict[str, tuple[str, str, list[Any], dict[str, Any]]] = {}
    for name, program, tests, arguments in attacks:
        kind = f"{program!r} {sorted(arguments.items())!r} {type(tests[0])}"
        programs.setdefault(kind, (name, program, [], arguments))[2].extend(tests)
    wrong = []
    for name, program, tests, arguments in programs.values():
        waiting: list[list[Any]] = [tests]
        while waiting:
            some = waiting.pop()
            try:
                result = sandbox.run_tests(program, some, limits=LIMITS, **arguments)
            except TestError:  # one of them is refused, whatever the program: it pays nobody
                waiting += [[t] for t in some] if len(some) > 1 else []
                continue
            passed = [test for test, found in zip(some, result.tests, strict=True) if found.passed]
            if passed or result.sandbox_error:
                wrong.append((name, program, passed, result.sandbox_error))
            if len(some) > 1:  # what was not judged, because an earlier test ended the process, is judged alone
                waiting += [[t] for t, found in zip(some, result.tests, strict=True) if found.verdict == "skipped"]
    return wrong


def assert_tells(sandbox: Sandbox, right: str, wrong: str, tests: Sequence[str], arguments: dict[str, Any]) -> None:
    """A right program passes and a wrong one fails, by what it does and not by a name that it lacks."""
    result = sandbox.run_tests(right, tests, limits=LIMITS, **arguments)
    assert result.passed, result.reason
    refused = sandbox.run_tests(wrong, tests, limits=LIMITS, **arguments)
    assert not refused.passed
    assert not refused.reason.startswith(("NameError", "SyntaxError", "ImportError")), refused.reason
