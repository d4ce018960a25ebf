"""Standard input is a file, and a program ends as under the interpreter itself: the same output, the same exit code."""

import signal
import subprocess
import sys

import pytest

from grpo_kit.sandbox import Sandbox

INPUT = "1\n2\n3\n"
PROGRAMS = {
    # standard input as a file
    "seek": "import sys\nsys.stdin.readline()\nsys.stdin.seek(0)\nprint(sys.stdin.read())",
    "size": "import os\nprint(os.fstat(0).st_size, os.read(0, os.fstat(0).st_size))",
    "fast input": "import io, os\n"
    "input = io.BytesIO(os.read(0, os.fstat(0).st_size)).readline\nprint(int(input()) + int(input()))",
    "map": "import mmap\nprint(mmap.mmap(0, 0, prot=mmap.PROT_READ)[:])",
    "map by access": "import mmap\nprint(mmap.mmap(0, 0, access=mmap.ACCESS_READ).readline())",
    "read twice": "import sys\na = sys.stdin.read()\nsys.stdin.seek(0)\nprint(a == sys.stdin.read())",
    "by its name": "print(open('/dev/stdin').read())\nprint(open(0).read())",
    "seekable": "import sys\nprint(sys.stdin.seekable(), sys.stdin.tell(), sys.stdin.buffer.peek(3))",
    "regular": "import os, stat\nprint(stat.S_ISREG(os.fstat(0).st_mode))",
    "to the end": "try:\n    while True: print(input())\nexcept EOFError: print('end')",
    "pread": "import os\nprint(os.pread(0, 2, 2), os.lseek(0, 0, os.SEEK_CUR))",
    # the end of the process
    "closed stdout": "import sys\nprint(1)\nsys.stdout.close()",
    "closed descriptor": "import os\nprint(1)\nos.close(1)",
    "closed stderr": "import sys\nprint(1)\nsys.stderr.close()",
    "no stdout": "import sys\nout = sys.__stdout__\nsys.stdout = None\nout.write('6')",
    "atexit": "import atexit, io, sys\nsys.stdout = io.StringIO()\n"
    "atexit.register(lambda: sys.__stdout__.write(sys.stdout.getvalue()))\nprint(7)",
    "file left open": "f = open('/dev/stdout', 'w')\nf.write('hi')",
    "descriptor left open": "import os\nf = os.fdopen(1, 'w')\nf.write('hi')",
    "held in a list": "def make():\n    f = open(1, 'w', closefd=False)\n    f.write('hi')\n    return f\nkept = [make()]",
    "held in a cycle": "class A:\n    def __init__(self):\n        self.me = self\n"
    "        self.f = open(1, 'w', closefd=False)\n        self.f.write('c')\nA()",
    "finalizer": "class A:\n    def __del__(self): print('bye')\na = A()",
    "finalizer with globals": "total = 5\nclass A:\n    def __del__(self): say(total)\na = A()\ndef say(x): print(x)",
    "finalizer with a module": "import json\nclass A:\n    def __del__(self): print(json.dumps([1]))\na = A()",
    "finalizers in order": "class A:\n    def __init__(self, n): self.n = n\n    def __del__(self): print(self.n)\n"
    "a = A(1)\nb = A(2)",
    "generator left open": "def g():\n    try: yield 1\n    finally: print('closed')\nx = g()\nprint(next(x))",
    "names of streams": "import sys\nprint(sys.stdin.name, sys.stdout.name, sys.stderr.buffer.raw.name)",
    "deleted stdout": "import sys\ndel sys.stdout\nsys.__stdout__.write('x')",
    "builtins": "print(__builtins__.__name__)",
    "wrapped buffer": "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer)\nprint('w')",
    "bytes that go nowhere": "import io, sys\nsys.stdout = io.TextIOWrapper(io.BytesIO())\nprint('w')",
    "detached": "import sys\nsys.stdout.detach().write(b'dd')",
    "exit code": "import sys\nprint('a')\nsys.exit(3)",
    "exit message": "import sys\nprint('a')\nsys.exit('bad')",
    "exception": "print('a')\n1 / 0",
    "atexit that raises": "import atexit\natexit.register(lambda: 1 / 0)\nprint('a')",
    "thread": "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.02), print('t'))).start()\nprint('m')",
    "at once": "import os\nprint('lost')\nos._exit(0)",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_under_the_interpreter(sandbox, tmp_path, name):
    (tmp_path / "input").write_text(INPUT)
    with (tmp_path / "input").open() as file:
        command = [sys.executable, "-I", "-S", "-X", "utf8", "-c", PROGRAMS[name]]
        real = subprocess.run(command, stdin=file, capture_output=True, text=True, check=False)
    ran = sandbox.run_script(PROGRAMS[name], INPUT)
    assert (ran.exit_code, ran.stdout) == (real.returncode, real.stdout)


@pytest.mark.parametrize(
    "program",
    [
        "class A:\n    def __del__(self): print(3)\na = A()",
        "def g():\n    try: yield\n    finally: print(3)\nx = g()\nnext(x)",
    ],
)
def test_last_words_are_heard_among_the_imports_of_a_judge(program):
    """The names that a judge puts before a program stand in its module, too."""
    from grpo_kit.verifiers import get_verifier

    task = {"kind": "stdio", "tests": [{"input": "", "output": "3"}]}
    assert get_verifier("code")(response=f"```python\n{program}\n```", answer=task).value == 1.0


def test_standard_input_cannot_be_changed(sandbox):
    program = """
import os
for flags in (os.O_RDWR, os.O_WRONLY):
    try:
        os.write(os.open("/proc/self/fd/0", flags), b"x")
        print("written")
    except OSError:
        pass
try:
    os.write(0, b"x")
    print("written")
except OSError:
    print(input())
"""
    assert sandbox.run_script(program, "5\n").stdout == "5\n"


def test_standard_error_has_a_bound_of_its_own(sandbox):
    noisy = "import sys\nfor _ in range(30): print('x' * 100_000, file=sys.stderr)\nprint(1)"
    ran = sandbox.run_script(noisy)
    assert (ran.verdict, ran.stdout) == ("pass", "1\n")
    assert len(ran.stderr) == sandbox.limits.output_kb * 1024
    assert sandbox.run_script(noisy.replace("file=sys.stderr", "file=sys.stdout")).verdict == "output_limit"
    endless = "import sys\nwhile True: sys.stderr.write('x' * 100_000)"
    assert sandbox.run_script(endless).verdict == "output_limit"


def test_a_large_input_arrives_whole(sandbox):
    text = "7\n" * 2_000_000
    assert sandbox.run_script("import sys\nprint(len(sys.stdin.read()))", text).stdout == f"{len(text)}\n"


def test_a_program_ignores_no_signal_that_the_trainer_ignores():
    """`nohup grpo-kit train` ignores SIGHUP, and a shell's background job SIGINT, which comes to what it starts."""
    ignored = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    program = (
        "import _thread, signal, time\ndef f():\n _thread.interrupt_main(); time.sleep(0.2)\n"
        "def g(): return signal.getsignal(signal.SIGHUP) == signal.SIG_DFL"
    )
    interrupted = "try: f()\nexcept KeyboardInterrupt: pass\nelse: assert False"
    try:
        with Sandbox(workers=1) as sandbox:
            result = sandbox.run_tests(program, [interrupted, "assert g()"], entry_point=["f", "g"])
    finally:
        for number, handler in ignored.items():
            signal.signal(number, handler)
    assert result.passed, result.reason
