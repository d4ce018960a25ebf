"""The tests' side of a refereed run: executes the test script in a process that never runs the program.

Names of the program are proxies (`proxy`); a call through one is a message to the program's process, and plain data comes
back. Everything else that the tests use is this side's own: built-ins, modules, and the functions and classes of the
setup, whose objects travel as data (`instances`).
"""

from __future__ import annotations

import ast
import builtins
import sys
import threading
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from . import bound, constants, ended, evaluated, needs, outstanding, passed, rewritten, testing, waited
from .bound import TaskBroken
from .connection import Connection
from .emptied import BehindItsEnd
from .expected import may_compare
from .held import Gone, number
from .helper import Helper
from .joined import Threads
from .link import Link
from .proxy import Proxy
from .raised import held_by, known_text
from .texts import Handed, guard_names

_exec = builtins.exec  # that of the tests is another one (`evaluated`)


def _prepare(job: dict[str, Any], link: Link, common: rewritten.Common) -> dict[str, Any]:
    """Look at what the tests need, and hear of what fails where nobody looks; returns the namespace of the tests.

    Raises:
        TaskBroken: they need what is not here.
    """
    texts = [job["setup"], *(text for _, text in job["tests"])]
    told = " ".join((*texts, *job["own"].values()))
    outstanding.watch(link.outstanding, told)
    if "pytest" in told:
        testing.install()
    trees = needs.trees_of(texts)
    why = needs.compiles(texts) or needs.missing(trees, set(job["names"]) - set(job["exceptions"]))
    places, why_not = needs.places(trees)
    if why or why_not:
        raise TaskBroken(why or why_not)
    passed.lend_library(link.of_library, told)
    passed.lend_members(link.operation, told)
    passed.lend_tee(told)
    waited.watch(link.waits, told)
    module = types.ModuleType("__tests__")
    sys.modules["__main__"] = sys.modules["__tests__"] = module  # where unittest.main() looks for cases
    namespace = module.__dict__
    namespace["__builtins__"] = builtins
    link.handed = Handed(told)
    evaluated.guard(link.of_library, texts, link.handed, common)
    guard_names(link.handed, told, link.outstanding.add)
    link.around.watch(places, told)  # what stands there by now is what the tests find
    return namespace


def _help(job: dict[str, Any], link: Link, namespace: dict[str, Any]) -> rewritten.Names:
    """Give the tests their helper; returns what their names are, for how they are read."""
    own = {*job["own"], *job["exceptions"]}
    data = bound.Data(link, namespace, [n for n in job["names"] if n not in own])
    asked = (number, link.operation, lambda: link.asked[threading.get_ident()])
    namespace[rewritten.HELPER] = Helper(
        link.outstanding, *asked, data.now, namespace, link.emptied, link.handed, link.instances
    )
    setattr(builtins, rewritten.HELPER, namespace[rewritten.HELPER])  # for text that they execute with other names
    program = frozenset(n for n in job["names"] if n not in own)
    # Where it is said what is under test, the rest is a class, or nothing: without that, it may be a function.
    others = (program if job["entry_points"] else program & link.classes) - link.under_test
    others |= frozenset(job["compared"])
    others = frozenset(n for n in others if n[:1].isupper())
    if not may_compare(map(ast.parse, [job["setup"], *(text for _, text in job["tests"])])):
        others = frozenset()
    return rewritten.Names(others, program, frozenset(data.bound))


def judge(job: dict[str, Any], descriptor: int, send: Callable[[Any], None]) -> None:
    """Run each test; report [ "test", index, verdict, reason ] for each, or ["gone", index, reason] and stop."""
    connection = Connection(descriptor, job["limits"]["reply_kb"] * 1024)
    under_test = frozenset((*job["classes"], *job["entry_points"]))
    # Both processes' threads are counted as one user's: a quarter is for what the tests' own have there.
    most = max(1, job["limits"]["processes"] // 4)
    link = Link(
        connection,
        job["objects"],
        frozenset(job["methods"]),
        under_test,
        most,
        job["answering"],
    )
    index = 0
    common = rewritten.Common(link.emptied.takers)

    try:
        namespace = _prepare(job, link, common)
        bound.bind(link, job, namespace)
        names = _help(job, link, namespace)
        threads = Threads(link.asking, link.waits.waiting, link.called)
        said, given = _said_and_given(job, namespace)
        whole = _Whole(link, common, names, threads, link.requests, said, given)
        _exec(rewritten.compiled(job["setup"], "<setup>", common, known=namespace), namespace)
        classes = {name: namespace.get(name) for name in job["task_classes"]}
        link.instances.classes = {n: c for n, c in classes.items() if isinstance(c, type)}
        known = link.instances.classes.values()
        for kind in known:
            link.emptied.watched.watch(kind, link.emptied)
        link.instances.constants = constants.constants(known, job["assigned"], job["read"], job["defaulted"])
        link.lends = True
        link.latest.of_setup()
        link.raised.kinds.update({n: c for n, c in link.instances.classes.items() if issubclass(c, Exception)})
        run = {"<setup>": job["setup"]}
        for position, (index, test) in enumerate(job["tests"], 1):
            run[f"<test {index}>"] = test
            threads.last = position == len(job["tests"])
            send(["test", index, *_judge_one(run, namespace, whole)])
    except TaskBroken as error:
        send(["task", str(error)])
    except Gone as error:
        send(["gone", index, str(error)])
    except BaseException as error:  # of the names, or of the setup that uses them
        if not isinstance(error, Exception) and held_by(error) is None:
            raise
        send(["gone", index, f"before the tests: {type(error).__name__}: {error}"[:300]])
    send(["done"])


def _said_and_given(job: dict[str, Any], namespace: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Names that stand for what the program says or for nothing, and those that stand for the same whatever the program."""
    program = {n for n in job["names"] if n not in job["own"] and not isinstance(namespace.get(n), Proxy)}
    kinds = {n for n in program if isinstance(namespace.get(n), type)}  # of exceptions: each can be passed and caught
    return program - kinds, {*namespace, *dir(builtins)} - program - {*job["exceptions"]}


@dataclass(slots=True, frozen=True)
class _Whole:
    """What all tests have in common.

    Attributes:
        asked: the requests before the setup.
        said: names by which the program may say something.
        given: names that stand for the same whatever the program.
    """

    link: Link
    common: rewritten.Common
    names: rewritten.Names
    threads: Threads
    asked: int
    said: set[str]
    given: set[str]

    def is_of_tests(self, texts: Sequence[str], asked: int) -> bool:
        """Whether every program would meet what the last of ``texts`` did, ``asked`` requests before it.

        Not if the program has said anything yet that this may depend on.
        """
        if self.link.requests == self.asked and not needs.reads(texts, self.said):
            return True
        apart = self.link.functions or threading.active_count() > 1  # which may run meanwhile
        return self.link.requests == asked and not apart and needs.is_alone(texts, self.given)


def _told(error: BaseException, last: str) -> str:
    """What a test failed by. ``last``: what the program was asked last."""
    return f"{type(error).__name__}: {known_text(error)}"[:300] + (f" (after {last})" if last else "")


def _judge_one(texts: dict[str, str], namespace: dict[str, Any], whole: _Whole) -> tuple[str, str]:
    """Run the last of ``texts``, the setup and the tests so far by file names of their own."""
    name, test = list(texts.items())[-1]
    link, threads = whole.link, whole.threads
    asked = link.requests
    before = threading.enumerate()
    link.last = ""
    link.outstanding.clear()
    link.apart.clear()
    link.emptied.clear()
    link.latest.forget()
    try:
        try:
            _exec(rewritten.compiled(test, name, whole.common, whole.names, namespace), namespace)
        except (Gone, passed.CannotLeave):
            raise
        except BaseException as error:
            is_exit = isinstance(error, SystemExit) and held_by(error) is None
            threads.join(before, failed=not is_exit)
            raise
        threads.join(before)
        namespace[rewritten.HELPER].make_unasked()
        if Gone.happened:
            raise Gone.happened[0]
    except Gone:
        raise
    except AssertionError:  # its message may hold the expected value
        return "fail", link.last or "an assertion failed"
    except passed.CannotLeave as error:
        if whole.is_of_tests([*texts.values()], asked):
            raise TaskBroken(str(error)) from None
        return "fail", str(error)
    except BaseException as error:
        if not isinstance(error, SystemExit) or held_by(error) is not None:
            return "fail", _told(error, link.last)
        if error.code:  # unittest.main() ends so
            return "fail", link.last or f"SystemExit: {error.code}"[:300]
        if link.outstanding.asked and not ended.at_the_end(error, texts):
            return "fail", "the tests ended themselves before their end, once they had asked the program"
    swallowed = link.outstanding.first()
    if isinstance(swallowed, BehindItsEnd):
        return "fail", str(swallowed)
    if swallowed is not None:
        if isinstance(swallowed, AssertionError):
            return "fail", "an assertion failed in a function, a thread or a case of the tests"
        return (
            "fail",
            f"{type(swallowed).__name__} was raised, and nothing in the test took it: {known_text(swallowed)}"[:300],
        )
    return "pass", ""
