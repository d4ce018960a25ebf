"""Sessions: a namespace that lives for several calls."""

# ruff: noqa: E501
from __future__ import annotations

import time
from pathlib import Path

import pytest

from grpo_kit.sandbox import Limits

SMALL = Limits(cpu_s=0.5, wall_s=5, output_kb=64)


@pytest.fixture
def session(sandbox):
    with sandbox.session(SMALL) as made:
        yield made


def test_state_is_kept_between_calls(session):
    assert session.run("x = 20\ndef double(n): return 2 * n").verdict == "pass"
    step = session.run("print('hello')\ndouble(x) + 2")
    assert (step.verdict, step.stdout, step.value, step.error, step.alive) == ("pass", "hello\n", "42", "", True)
    assert session.run("None").value == ""
    assert session.run("open('f', 'w').write('kept')").value == "4"
    assert session.run("open('f').read()").value == "'kept'"
    assert session.run("import sys\nprint('e', file=sys.stderr)").stderr == "e\n"


def test_exceptions_are_text(session):
    step = session.run("y = 1\n1 / 0")
    assert step.verdict == "fail"
    assert step.error.endswith("ZeroDivisionError: division by zero")
    assert "<call 1>" in step.error
    assert session.run("y").value == "1"
    assert "SyntaxError" in session.run("def (").error
    assert "SystemExit" in session.run("raise SystemExit(3)").error
    assert "RecursionError" in session.run("def f(): f()\nf()").error
    assert session.run("class E(Exception):\n def __str__(s): raise ValueError\nraise E").verdict == "fail"
    assert session.run("y").value == "1"


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("while True: pass", "timeout"),
        ("while True: print('x' * 10000)", "output_limit"),
        ("import os\nos._exit(3)", "fail"),
        ("import os\nos.abort()", "signal"),
        ("import os\nos.write(100, b'\\xff' * 64)", "fail"),
        (
            "open('big', 'wb')\nfor i in range(9): open(f'b{i}', 'wb').write(bytes(8 << 20))\nimport time\ntime.sleep(3)",
            None,
        ),
    ],
)
def test_what_goes_wrong_ends_the_session_and_nothing_else(sandbox, code, verdict):
    with sandbox.session(SMALL) as made:
        step = made.run(code)
        if verdict is None:  # a full tmpfs is an error of the program; a scratch that is only looked at ends it
            assert step.verdict == "fail"
        else:
            assert (step.verdict, step.alive) == (verdict, False), step
            assert len(step.stdout) <= 64 * 1024
            later = made.run("1")
            assert (later.verdict, later.alive) == ("skipped", False)
            assert later.error.startswith("the session has ended")
    assert sandbox.run_tests("def f(): return 1", ["assert f() == 1"]).passed


def test_calls_together_are_limited(sandbox):
    with sandbox.session(SMALL, total=SMALL.with_(cpu_s=0.6, output_kb=70)) as made:
        assert made.run("print('x' * 60000)").verdict == "pass"
        step = made.run("print('x' * 60000)")
        assert (step.verdict, step.alive) == ("output_limit", False)
    with sandbox.session(SMALL, total=SMALL.with_(cpu_s=0.6)) as made:
        busy = "import time\nt = time.process_time()\nwhile time.process_time() - t < 0.35: pass"
        assert made.run(busy).verdict == "pass"
        assert made.run(busy).verdict == "timeout"


def test_nothing_goes_on_between_calls(session):
    session.run(
        "import threading\nn = 0\ndef count():\n global n\n while True: n += 1\nthreading.Thread(target=count, daemon=True).start()"
    )
    first = int(session.run("n").value)
    pid = session._worker.process.pid
    for _ in range(1000):  # a thread that runs stops when it is next interrupted
        states = [_state(child) for child in _descendants(pid)]
        if "T" in states:
            break
        time.sleep(0.005)
    assert "T" in states
    assert int(session.run("n").value) >= first


def _descendants(pid: int) -> list[int]:
    found = [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found + [g for child in found for g in _descendants(child)]


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_session_is_as_isolated_as_a_run(session):
    assert "Error" in session.run("import socket\nsocket.socket()").error
    assert "Error" in session.run("open('/etc/shadow').read()").error
    assert "Error" in session.run("import os\nos.fork()").error


def test_nothing_is_left_behind(sandbox):
    made = sandbox.session(SMALL)
    made.run("import os\nos.makedirs('a/b')\nos.mkdir('c', 0)\nopen('d', 'w').write('x')")
    pids, folder = [made._worker.process.pid, *_descendants(made._worker.process.pid)], made._worker.scratch
    made.close()
    made.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert folder is None or not Path(folder).exists()
    assert made.run("1").alive is False
