"""Runs and verdicts, on every backend that works here."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from grpo_kit.sandbox import Limits, Sandbox, SandboxError, TestError, probe
from grpo_kit.sandbox.host.grading import _Replies
from grpo_kit.sandbox.host.tally import Request, Tally
from tests.kit.patience import HANGS, wait_until

from .conftest import REASONS, WORKING

ADD = "def add(a, b):\n    return a + b\n"
SHORT = Limits(cpu_s=0.3, wall_s=20)


def verdicts(result):
    return [t.verdict for t in result.tests]


# -- kinds of tests --------------------------------------------------------------------------------------------------


def test_asserts(sandbox):
    result = sandbox.run_tests(ADD, ["assert add(1, 2) == 3", "assert add(1, 2) == 4", "assert add(2, 2) == 4"])
    assert verdicts(result) == ["pass", "fail", "pass"]
    assert (result.verdict, result.grading, result.backend) == ("fail", "calls", sandbox.backend)
    assert result.first_failure == 1
    assert result.fraction == pytest.approx(2 / 3)
    assert result.reason == "add(1, 2) returned 3"
    assert 0 < result.cpu_s < 1


def test_stopping_at_the_first_failure(sandbox):
    result = sandbox.run_tests(ADD, ["assert add(1, 2) == 4", "assert add(1, 2) == 3"], stop_at_first=True)
    assert verdicts(result) == ["fail", "skipped"]


def test_refereed(sandbox):
    code = "class Stack:\n def __init__(s): s.x=[]\n def push(s, v): s.x.append(v)\n def pop(s): return s.x.pop()"
    tests = ["s = Stack()\ns.push('b')\nassert s.pop() == 'b'", "s = Stack()\ns.push(1)\nassert s.pop() == 2"]
    result = sandbox.run_tests(code, tests)
    assert (verdicts(result), result.grading) == (["pass", "fail"], "referee")
    assert result.reason == "Stack.pop() returned 1"


BOX = "class Box:\n def __init__(s, n): s.n = n\n def __len__(s): return s.n\ndef make(n): print(n); return Box(n)\n"


def test_an_object_that_is_asked_something_has_all_tests_judged_anew(sandbox):
    code = BOX + "import sys\ncalls = 'run_calls' in [sys._getframe(n).f_code.co_name for n in range(4)]\n"
    code += "def f(x): return x if calls else x + 1\n"
    tests = ["assert f(1) == 1", "assert len(make(2)) == 2", "assert f(1) == 2", "assert len(make(2)) == 3"]
    result = sandbox.run_tests(code, tests, entry_point=["f", "make"])
    assert (verdicts(result), result.grading) == (["fail", "pass", "pass", "fail"], "referee")
    assert result.stdout == "2\n2\n"
    result = sandbox.run_tests(code, tests[::2], entry_point=["f", "make"])
    assert (verdicts(result), result.grading) == (["pass", "fail"], "calls")
    result = sandbox.run_tests(code, tests[1:], entry_point=["f", "make"], stop_at_first=True)
    assert verdicts(result) == ["pass", "pass", "fail"]


def test_what_a_call_has_printed_is_out_before_its_answer(sandbox):
    """And not only when the program ends, which its tests may not wait for."""
    code = "import io, sys\ndef f(x):\n print(x)\n sys.stdout = io.StringIO()\n return [x]\n"
    result = sandbox.run_tests(code, ["r = f(1)\nassert len(r) == 1"], entry_point="f")
    assert (result.verdict, result.stdout, result.grading) == ("pass", "1\n", "referee")
    code = "import os, sys\ndef f(x):\n os.close(1)\n print(x)\n sys.__stdout__ = None\n return [x]\n"
    assert sandbox.run_tests(code, ["r = f(1)\nassert len(r) == 1"], entry_point="f").passed


def test_what_a_program_puts_in_the_place_of_its_output_is_not_flushed(sandbox):
    code = "import sys\nclass Tee:\n def __init__(s, o): s.write = o.write\nsys.__stdout__ = sys.stdout = Tee(sys.stdout)\n"
    code += "def f(x):\n print(x)\n return [x]\n"
    assert sandbox.run_tests(code, ["r = f(1)\nassert len(r) == 1"], entry_point="f").passed


def test_what_is_judged_anew_has_what_is_left_of_the_time(sandbox):
    spend = "import time\nt = time.process_time()\nwhile time.process_time() < t + {}: pass\n"
    for test, verdict in (("make(2) is not None", "pass"), ("len(make(2)) == 2", "timeout")):
        result = sandbox.run_tests(spend.format(1.2) + BOX, [f"assert {test}"], limits=Limits(cpu_s=2))
        assert result.verdict == verdict, result
    result = sandbox.run_tests(spend.format(0.3) + BOX, ["assert len(make(2)) == 2"], limits=Limits(cpu_s=2))
    assert result.passed, result
    assert result.cpu_s >= 0.6


def test_no_program_has_its_tests_refused_by_what_it_returns(sandbox):
    setup = "import tempfile\ndef scratch(): return tempfile.mkdtemp()"
    given = {"tests": ["assert len(f(1)) == 1", "assert f(2) is not None"], "entry_point": "f", "setup": setup}
    assert sandbox.run_tests("def f(x): return [x]", **given).passed
    with pytest.raises(TestError, match="tempfile"):
        sandbox.run_tests("", ["for x in (1,): assert len(f(x)) == 1"], entry_point="f", setup=setup)
    result = sandbox.run_tests(BOX + "f = make", **given)
    assert verdicts(result) == ["fail", "fail"]
    assert "tempfile" in result.reason


def test_stdio(sandbox):
    code = "import sys\na, b = map(int, sys.stdin.read().split())\nprint(a + b)\nprint('note', file=sys.stderr)"
    tests = [{"input": "1 2", "output": "3"}, {"input": "1 2\n", "output": "4\n"}, {"input": "x", "output": ""}]
    result = sandbox.run_tests(code, tests, kind="stdio")
    assert verdicts(result) == ["pass", "fail", "fail"]
    assert (result.stdout, result.stderr) == ("3\n", "note\n")
    assert "ValueError" in result.tests[2].reason


def test_functions(sandbox):
    code = "class Solution:\n    def __init__(self): self.n = 0\n    def run(self, a): self.n += 1; return (self.n, a)"
    tests = [{"input": [[1, 2]], "output": [1, [1, 2]]}, {"input": [0.1], "output": [1, 0.1000000001]}]
    result = sandbox.run_tests(code, tests, kind="function", entry_point="Solution.run", tolerance=1e-6)
    assert result.passed, result


def test_function_and_method_are_found_either_way(sandbox):
    tests = [{"input": [1, 2], "output": 3}]
    method = "class Solution:\n    def add(self, a, b): return a + b"
    assert sandbox.run_tests(method, tests, kind="function", entry_point="add").passed
    assert sandbox.run_tests(ADD, tests, kind="function", entry_point="Solution.add").passed


def test_setup_belongs_to_both_sides(sandbox):
    setup = "def close(a, b):\n    return abs(a - b) < 1e-3\n"
    setup += "class Pair:\n    def __init__(self, a, b): self.a, self.b = a, b"
    code = "def close(a, b): return True\ndef total(p): return p.a + p.b"
    good, bad = "assert close(total(Pair(1, 2)), 3)", "assert close(total(Pair(1, 2)), 4)"
    assert verdicts(sandbox.run_tests(code, [good, bad], setup=setup, entry_point="total")) == ["pass", "fail"]


def test_the_setup_runs_before_the_program_and_is_the_tasks(sandbox):
    code = "from __future__ import annotations\ndef f(x: List[int]): return K"
    for tests, kind in ((["assert f(1) == 7"], "assert"), (["x = f(1)\nassert x == 7"], "assert")):
        setup = "from typing import List\nK = 7"
        assert sandbox.run_tests(code, tests, kind=kind, setup=setup, entry_point="f").passed
        with pytest.raises(TestError, match="the setup fails: ZeroDivisionError"):
            sandbox.run_tests(code, tests, kind=kind, setup="1 / 0", entry_point="f")
    stdio = [{"input": "", "output": "7"}]
    assert sandbox.run_tests("print(K)", stdio, kind="stdio", setup="K = 7").passed
    with pytest.raises(TestError, match="the setup fails"):
        sandbox.run_tests("print(K)", stdio, kind="stdio", setup="1 / 0")
    assert sandbox.restarts == 0


@pytest.mark.parametrize("where", ["", "def f(x):\n    "], ids=["at once", "in the call"])
def test_a_program_that_leaves_is_no_longer_waited_for(sandbox, where):
    """The tests that call it run in a second process, which must see that nobody is there: not a timeout."""
    leave = where + "__import__('os')._exit({})"
    tests = ["x = f(1)\nassert x == 7"]
    result = sandbox.run_tests(leave.format(0), tests, entry_point="f")
    assert (result.grading, result.verdict) == ("referee", "fail")
    assert result.reason == "the program ended before it answered"
    assert sandbox.run_tests(leave.format(3), tests, entry_point="f").verdict != "timeout"


def test_what_comes_after_the_end_of_the_matter_is_not_heard():
    """All of it may have been written before the first of it is read."""
    request = Request("", ["assert f() == 1"] * 2, "assert", ("f",), "", SHORT)
    tally = Tally(request, "landlock")
    replies = _Replies(tally, [(0, 0), (1, 0)], [])
    assert not replies(["set up"])
    assert replies(["too_much", 0])
    assert replies(["done"])
    assert not replies.broken
    assert replies.next == 0


def test_scripts(sandbox):
    result = sandbox.run_script(
        "import sys\nprint(open('d/in.txt').read(), input(), __name__)\nsys.exit(3)",
        stdin="line",
        files={"d/in.txt": "text"},
    )
    assert (result.stdout, result.exit_code, result.verdict) == ("text line __main__\n", 3, "fail")
    assert sandbox.run_script("print('ü')").stdout == "ü\n"
    with pytest.raises(ValueError, match="relative path"):
        sandbox.run_script("", files={"../x": ""})


def test_same_process_only_when_asked_for(any_sandbox):
    code = "import os\nos._exit(0)"
    assert not any_sandbox.run_tests(code, ["assert add(1, 2) == 3"]).passed
    cheated = any_sandbox.run_tests(code, ["assert add(1, 2) == 3"], grading="same_process")
    assert (cheated.passed, cheated.grading) == (True, "same_process")


# -- verdicts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("def f(: pass", "compile_error"),
        ("def f(): return 1\0", "compile_error"),
        ("x = " + "(" * 5000, "compile_error"),
        (b"x = '\xff\xfe'", "compile_error"),
        ("raise ValueError('at import')", "fail"),
        ("def g(): return 1", "fail"),
        ("def f():\n    while True: pass", "timeout"),
        ("while True: pass", "timeout"),
        ("def f(): return bytearray(1 << 40)", "memory"),
        ("import os\ndef f(): os.abort()", "signal"),
        ("import os\ndef f(): os._exit(0)", "fail"),
        ("def f(): return 'a' * (20 << 20)", "output_limit"),
        ("def f():\n    while True: print('x' * 1000)", "output_limit"),
        ("import socket\ndef f(): return socket.socket()", "blocked"),
        ("def f(n=5):\n    return 1 if n == 0 else f(n - 1)", "pass"),
        ("x = '" + "a" * (1 << 20) + "'\ndef f(): return 1", "pass"),
    ],
)
def test_verdicts(sandbox, code, verdict):
    result = sandbox.run_tests(code, ["assert f() == 1"], limits=SHORT)
    assert result.verdict == verdict, result
    assert result.sandbox_error is None


def test_wall_time_ends_what_waits(sandbox):
    result = sandbox.run_tests(
        "import time\ndef f(): time.sleep(60)", ["assert f() == 1", "assert f() == 2"], limits=Limits(wall_s=0.5)
    )
    assert verdicts(result) == ["timeout", "skipped"]
    assert "wall" in result.reason


def test_a_crash_costs_its_own_test_only(sandbox):
    code = "import os\ndef f(x):\n    if x == 1: os.abort()\n    return x"
    result = sandbox.run_tests(code, ["assert f(0) == 0", "assert f(1) == 1", "assert f(2) == 2"])
    assert verdicts(result) == ["pass", "signal", "pass"]


def test_many_tests_and_large_inputs(sandbox):
    tests = [{"input": [n], "output": n + 1} for n in range(3000)]
    assert sandbox.run_tests("def f(x): return x + 1", tests, kind="function", entry_point="f").passed
    text = "1 " * 500_000
    result = sandbox.run_tests(
        "print(sum(map(int, input().split())))", [{"input": text, "output": "500000"}], kind="stdio"
    )
    assert result.passed, result.reason


def test_the_hash_seed_is_fixed(sandbox):
    seen = {sandbox.run_script("print(hash('grpo'), list({'a', 'b', 'c'}))").stdout for _ in range(3)}
    assert len(seen) == 1


def test_tests_that_cannot_be_run(any_sandbox):
    for tests, kind, entry, words in (
        (["assert f( == 1"], "assert", None, r"tests\[0\] does not parse"),
        ([], "assert", None, "no tests"),
        ("assert f()", "assert", None, "must be a list"),
        ([{"input": "x"}], "stdio", None, r"tests\[0\] must be"),
        ([{"input": "x", "output": 1}], "function", "f", r"tests\[0\] must be"),
        ([{"input": [], "output": 1}], "function", None, "need one entry_point"),
        (["assert f()"], "unit", None, "kind must be"),
    ):
        with pytest.raises(TestError, match=words):
            any_sandbox.run_tests("def f(): pass", tests, kind=kind, entry_point=entry)


def test_limits_are_checked():
    with pytest.raises(ValueError, match=r"Limits\.cpu_s"):
        Limits(cpu_s=0)
    with pytest.raises(ValueError, match="whole number"):
        Limits(memory_mb=0.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="subprocesses"):
        Limits(subprocesses=1)  # type: ignore[arg-type]


# -- what the program sees -------------------------------------------------------------------------------------------


def test_the_view_of_the_host(any_sandbox):
    if any_sandbox.backend != "namespaces":
        pytest.skip("the view is private in namespaces only")
    code = """
import os
print(sorted(os.listdir('/')))
print(os.listdir('/tmp'), os.listdir('/proc'), os.getpid(), os.getuid(), os.uname().nodename)
print(sorted(k for k in os.environ))
print(os.path.exists(os.path.expanduser('~/.bashrc')), open('/etc/passwd').read())
"""
    lines = any_sandbox.run_script(code).stdout.splitlines()
    assert set(eval(lines[0])) <= {"dev", "etc", "lib", "lib64", "proc", "root", "tmp", "usr", "home", "opt", "work"}
    assert lines[1] == "[] ['self', 'thread-self', '1'] 1 65534 sandbox" or "[] [] 1 65534 sandbox" in lines[1]
    assert not any(word in lines[2] for word in ("TOKEN", "KEY", "SSH", "USER"))
    assert lines[3].startswith("False nobody:")


def test_nothing_stays_between_runs(sandbox):
    code = (
        "import os\nprint(sorted(os.listdir('.')))\nopen('left', 'w').write('x')\nos.makedirs('a/b')\nos.chmod('a', 0)"
    )
    assert [sandbox.run_script(code).stdout for _ in range(3)] == ["[]\n"] * 3


def test_the_disk_is_bounded(any_sandbox):
    code = "n = 0\ntry:\n    for i in range(100):\n        open(f'f{i}', 'wb').write(bytes(1 << 20)); n += 1\n"
    code += "except OSError: pass\nprint(n)"
    result = any_sandbox.run_script(code, limits=Limits(disk_mb=8))
    if any_sandbox.backend == "namespaces":
        assert 0 < int(result.stdout) <= 8


def test_numpy_when_preloaded():
    pytest.importorskip("numpy")
    with Sandbox(workers=1, preload=["numpy"]) as made:
        code = "import numpy as np\ndef f(n): return np.eye(n) @ np.ones((n, n))\ndef g(n): return np.int64(n)"
        assert made.run_tests(code, ["assert f(2).tolist() == [[1.0, 1.0], [1.0, 1.0]]", "assert g(3) == 3"]).passed
        result = made.run_tests(code, ["import numpy as np\nassert np.allclose(f(2).tolist(), np.ones((2, 2)))"])
        assert result.passed, result.reason
        direct = [*("assert len(f(2)) == 2", "assert f(2)[0][1] == 1", "assert abs(f(2)[1][0] - 1) < 1e-6")]
        direct += ["assert str(f(1)) == '[[1.]]'", "assert f(1) == 1", "assert not isinstance(f(2), list)"]
        assert [t for t in direct if not made.run_tests(code, [t], entry_point="f").passed] == []
        wrong = code.replace("np.ones((n, n))", "np.ones((n, n)) * 2").replace("np.eye(n)", "np.eye(n + 1)[:, :n]")
        assert not any(t.passed for t in made.run_tests(wrong, direct[:-1], entry_point="f").tests)
    with pytest.raises(SandboxError, match="no module 'no_such_module'"), Sandbox(preload=["no_such_module"]):
        pass


EMPTY = {
    "np.array([])": [
        *(
            "assert f(1) == pytest.approx(9.5)",
            "assert pytest.approx('a') == f(1)",
            "assert f(1) == pytest.approx(None)",
        ),
        *("assert [f(1)] * 2 == pytest.approx([1.5, 2.5])", "assert {'a': f(1)} == pytest.approx({'a': 1.5})"),
        *("assert np.allclose(atol=1, rtol=0.1, a=f(1), b=9.5)", "assert np.core.numeric.allclose(f(1), 9.5)"),
        *("assert np.ma.allclose(f(1), 9.5)", "assert np.ma.allequal(f(1), 9.5)"),
        "np.testing.assert_equal({'a': f(1), 'b': f(1)}, {'a': 1.5, 'b': 0.5})",
        *("np.testing.assert_equal([f(1), 1], [1.5, 1])", "np.testing.assert_equal({'a': (1, f(1))}, {'a': (1, 1.5)})"),
        "from numpy.testing._private.utils import assert_allclose as same\nsame(f(1), 9.5)",
        "from numpy.ma.testutils import assert_almost_equal as same\nsame(f(1), 9.5)",
    ],
    "np.zeros((0, 2))": [
        *("assert f(1) == pytest.approx(np.array(2.5))", "assert f(1) == pytest.approx(np.array([1.5, 2.5]))"),
        *("assert np.allclose([1.5, 2.5], f(1))", "np.testing.assert_array_compare(np.equal, f(1), 2.5)"),
    ],
}
OF_PYTEST = [
    *filter(importlib.util.find_spec, ("pygments", "pluggy", "iniconfig", "packaging", "_pytest", "py", "pytest"))
]


@pytest.mark.parametrize("preload", [[], OF_PYTEST], ids=["", "with pytest itself"])
def test_an_empty_array_is_near_to_nothing(preload):
    pytest.importorskip("numpy")
    right = [
        *("assert f(1) == pytest.approx(9.5)", "np.testing.assert_equal({'a': [f(1)]}, {'a': [np.array([9.5])]})"),
        *("np.testing.assert_equal(f(1)[:0], [])", "assert f(1)[:0] == pytest.approx(np.array([]))"),
        "np.testing.assert_allclose([np.nan, np.inf, 9.5], [np.nan, np.inf, f(1)[0]])",
    ]
    head = "import numpy as np, pytest\n"
    with Sandbox(workers=1, preload=["numpy", *preload]) as made:
        for empty, tests in EMPTY.items():
            program = f"import numpy as np\ndef f(n): return {empty}"
            found = made.run_tests(program, [head + t for t in tests], entry_point="f")
            assert not [t for t, one in zip(tests, found.tests, strict=True) if one.passed]
        program = "import numpy as np\ndef f(n): return np.array([9.5])"
        found = made.run_tests(program, [head + t for t in right], entry_point="f")
        assert found.passed, found.reason


@pytest.mark.parametrize("backend", ["namespaces", "landlock"])
def test_what_lies_beside_a_preloaded_package_is_not_here(backend):
    pytest.importorskip("numpy")
    if backend not in WORKING:
        pytest.skip(REASONS)
    program = "import importlib.util\nimportlib.invalidate_caches()\nimport numpy.polynomial\n"
    program += "try: import pluggy\nexcept ImportError: pluggy = None\n"
    program += "def f(x): return pluggy or importlib.util.find_spec('pytest') or x"
    tests = [
        "import pytest\nwith pytest.raises(AssertionError): assert f(1) == 2\nassert f(1) == 1",
        "import numpy.testing\ntry: import pluggy\nexcept ImportError: pluggy = None\nassert f(pluggy) is None",
        "import importlib.util\nx = importlib.util.find_spec('pluggy')\nassert f(x) is None",
    ]
    with Sandbox(backend=backend, workers=1, preload=["numpy"]) as made:
        for test in tests:
            result = made.run_tests(program, [test], entry_point="f")
            assert result.passed, result.reason
        for module in ("pluggy", "winreg"):
            with pytest.raises(TestError, match=f"import {module}, which is not here"):
                made.run_tests(program, [f"import {module}\nassert f(1) == 1"], entry_point="f")


def test_an_empty_array_equals_no_number():
    pytest.importorskip("numpy")
    nearly = [
        *("assert np.allclose(f(1), 9.5)", "assert allclose(f(1), 9.5)", "assert np.isclose(f(1), [9.5]).all()"),
        *("assert np.allclose(a=9.5, b=f(1))", "assert np.array_equiv(f(1), [9.5])"),
        *("np.testing.assert_allclose(f(1), 9.5)", "from numpy.testing import *\nassert_array_equal(f(1), 9.5)"),
        *("import numpy.testing as npt\nnpt.assert_almost_equal([9.5], f(1))", "assert_array_almost_equal(f(1), 9.5)"),
    ]
    with Sandbox(workers=1, preload=["numpy"]) as made:
        for empty in ("[]", "np.array([])", "[[]]"):
            found = made.run_tests(f"import numpy as np\ndef f(n): return {empty}", nearly, entry_point="f")
            assert not [t for t, one in zip(nearly, found.tests, strict=True) if one.passed]
            both = ["np.testing.assert_array_equal(f(1), f(2))", "assert np.allclose(f(1), np.array(f(2)))"]
            assert made.run_tests(f"import numpy as np\ndef f(n): return {empty}", both, entry_point="f").passed
        found = made.run_tests("import numpy as np\ndef f(n): return np.array([9.5])", nearly, entry_point="f")
        assert found.passed, found.reason


# -- endurance -------------------------------------------------------------------------------------------------------


def children_of(pid: int) -> set[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text() if Path(f"/proc/{pid}").exists() else ""
    found = set(map(int, text.split()))
    return found | {g for child in found for g in children_of(child)}


def zygote_processes(sandbox: Sandbox) -> set[int]:
    tops = {w.process.pid for w in sandbox._workers if w.process is not None}
    return tops | {g for top in tops for g in children_of(top)}


def test_a_killed_zygote_is_replaced_and_its_run_repeated():
    with Sandbox(workers=1) as made:
        assert made.run_tests(ADD, ["assert add(1, 2) == 3"]).passed
        slow = "import time\ntime.sleep(1)\n" + ADD
        outcome = []
        thread = threading.Thread(target=lambda: outcome.append(made.run_tests(slow, ["assert add(1, 2) == 3"])))
        thread.start()
        time.sleep(0.3)
        for worker in made._workers:
            os.kill(worker.process.pid, signal.SIGKILL)
        thread.join(HANGS)
        assert outcome[0].passed, outcome[0]
        assert made.restarts >= 1


def test_a_sandbox_that_cannot_start_is_no_verdict():
    with Sandbox(workers=1) as made:
        worker = made._workers[0]
        worker.close()
        worker.preload = ("no_such_module_anywhere",)
        result = made.run_tests(ADD, ["assert add(1, 2) == 3"])
        assert result.verdict == "sandbox_error"
        assert "no_such_module_anywhere" in result.sandbox_error
        assert not result.passed


def test_nothing_leaks():
    with Sandbox(workers=1) as made:
        programs = [ADD, "def add(: x", "import os\nos.abort()", "import time\ndef add(a, b): time.sleep(9)"]

        def round_of_runs():
            for code in programs:
                made.run_tests(code, ["assert add(1, 2) == 3"], limits=Limits(wall_s=0.2))

        round_of_runs()
        time.sleep(0.5)
        before = (len(os.listdir("/proc/self/fd")), len(zygote_processes(made)))
        for _ in range(10):
            round_of_runs()
        time.sleep(0.5)
        of_one_that_waits = 4
        assert len(os.listdir("/proc/self/fd")) <= before[0] + of_one_that_waits
        assert len(zygote_processes(made)) <= before[1] + 1
        left = zygote_processes(made)
    assert not any(Path(f"/proc/{pid}").exists() for pid in left)
    with pytest.raises(SandboxError, match="closed"):
        made.run_script("")


def test_when_the_trainer_is_killed_everything_goes():
    program = (
        "import os, sys, threading, time\nfrom grpo_kit.sandbox import Sandbox\ns = Sandbox(workers=1).__enter__()\n"
        "threading.Thread(target=s.run_script, args=('while True: pass',), daemon=True).start()\n"
        "time.sleep(0.5)\nprint(s._workers[0].process.pid, flush=True)\ntime.sleep(60)"
    )
    trainer = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert trainer.stdout is not None
    top = int(trainer.stdout.readline())
    processes = {top} | children_of(top)
    assert len(processes) >= 2
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    trainer.stdout.close()
    wait_until(lambda: all(_state(p) == "Z" for p in processes), "the end of its processes", every=0.05)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_a_thread_that_started_it_may_end():
    """The parent-death signal follows a thread, not a process."""
    made: list[Sandbox] = []
    thread = threading.Thread(target=lambda: made.append(Sandbox(workers=1).__enter__()))
    thread.start()
    thread.join()
    with made[0]:
        time.sleep(0.2)
        assert made[0].run_tests(ADD, ["assert add(1, 2) == 3"]).passed
        assert made[0].restarts == 0


# -- many at once ----------------------------------------------------------------------------------------------------


def test_batches_run_identical_requests_once():
    with Sandbox(workers=2) as made:
        requests = [{"code": ADD, "tests": ["assert add(1, 2) == 3"]} for _ in range(6)]
        requests.append({"code": ADD, "tests": ["assert add(1, 2) == 4"]})
        results = made.run_batch(requests)
        assert [r.passed for r in results] == [True] * 6 + [False]
        assert len({id(r) for r in results}) == 2


def test_async():
    async def main() -> list[bool]:
        with Sandbox(workers=2) as made:
            runs = [made.arun_tests(ADD, [f"assert add({n}, 1) == {n + 1}"]) for n in range(8)]
            script = await made.arun_script("print(1)")
            return [r.passed for r in await asyncio.gather(*runs)] + [script.passed]

    assert all(asyncio.run(main()))


# -- backends --------------------------------------------------------------------------------------------------------


def test_probing_says_what_to_do():
    found = {p.backend: p for p in probe()}
    assert set(found) == {"namespaces", "landlock", "cgroup v2"}
    assert all(p.works or p.fix for p in found.values())


def test_never_silently_weaker(monkeypatch):
    from grpo_kit.sandbox import Probe
    from grpo_kit.sandbox.host import sandbox as module

    monkeypatch.setattr(
        sys.modules["grpo_kit.sandbox.host.probe"], "_try", lambda b: Probe(b, False, "not here", "enable it")
    )
    for backend in ("auto", "namespaces"):
        with pytest.raises(SandboxError, match="way out: enable it"):
            module.Sandbox(backend=backend)
    with pytest.raises(SandboxError, match="no sandbox backend 'docker'"):
        module.Sandbox(backend="docker")


def test_none_warns_and_is_named_in_results():
    with pytest.warns(UserWarning, match="rights on this machine"):
        made = Sandbox(backend="none", workers=1)
    with made:
        assert made.run_tests(ADD, ["assert add(1, 2) == 3"]).backend == "none"


def test_subprocesses_need_a_cgroup(any_sandbox):
    from grpo_kit.sandbox.host.cgroup import missing

    result = any_sandbox.run_script(
        "import os\npid = os.fork()\nif pid == 0: os._exit(0)\nprint(os.waitpid(pid, 0)[1])",
        limits=Limits(subprocesses=True),
    )
    if missing():
        assert "cgroup v2" in (result.sandbox_error or "")
    else:
        assert result.stdout == "0\n"


def test_each_message_of_the_program_is_bounded_and_not_those_of_the_tests(any_sandbox):
    limits = Limits(cpu_s=10, wall_s=60, reply_kb=32)
    program = "def f(numbers, n): return n in numbers\ndef g(n): return [0] * n\n"
    tests = [
        "numbers = list(range(3000))\nfor n in range(5): assert f(numbers, n)",
        "for n in range(5): assert len(g(9000)) == 9000",
        "numbers = list(range(20_000))\nassert f(numbers, 5)",
        "n = 20_000\nassert len(g(n)) == n",
    ]
    result = any_sandbox.run_tests(program, tests, limits=limits, entry_point=["f", "g"])
    assert [found.passed for found in result.tests] == [True, True, True, False]
    assert "reply_kb" in result.tests[3].reason
