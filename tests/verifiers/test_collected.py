"""Files of tests, as pytest itself judges them and as `code` does: test by test the same verdict."""

import json
import os
import re
import subprocess
import sys

import pytest

from grpo_kit.verifiers.code import CodeTask, TaskError, run_task
from grpo_kit.verifiers.collected import collected
from grpo_kit.verifiers.fixtures import FileError

FUNCTIONS = """
from __future__ import annotations
import pytest
from solution import add, Stack

CASES = [(1, 2, 3), (2, 2, 4), pytest.param(0, 5, 5, id="zero"), pytest.param(1, 1, 3, marks=pytest.mark.xfail)]

def helper(value):
    return value

@pytest.mark.parametrize("a,b,want", CASES)
def test_rows(a, b, want):
    assert helper(add(a, b)) == want

@pytest.mark.parametrize("y", [10, 20])
@pytest.mark.parametrize(["x"], [[1], [2]])
def test_product(x, y):
    assert add(x, y) == x + y

@pytest.mark.parametrize("n", range(2, 4))
def test_range(n):
    assert add(n, 0) == n

def test_raises():
    with pytest.raises(TypeError):
        add(1, "a")

def test_default(extra=1):
    assert add(extra, 1) == 2

@pytest.mark.skip(reason="later")
def test_skipped():
    assert add(1, 1) == 3
"""
FIXTURES = """
import pytest
from solution import Stack

log = []

@pytest.fixture(autouse=True)
def around():
    log.append("in")
    yield
    log.append("out")

@pytest.fixture
def stack():
    made = Stack()
    made.push(1)
    return made

@pytest.fixture(name="filled", params=[1, 2])
def fill(request, stack):
    for value in range(request.param):
        stack.push(value)
    yield stack
    assert stack.size() > 0

@pytest.fixture
def unused(tmp_path):
    return open(tmp_path / "a")

def test_pop(stack):
    assert stack.pop() == 1
    assert log[-1] == "in"

def test_filled(filled, stack):
    assert filled is stack
    assert filled.size() > 1

@pytest.mark.usefixtures("stack")
def test_used():
    assert Stack().size() == 0
"""
METHODS = """
import unittest
import pytest
from solution import Stack, add

class Base:
    @classmethod
    def setup_class(cls):
        cls.first = 3

    def setup_method(self, method):
        self.stack = Stack()

    def teardown_method(self):
        assert self.stack.size() < 9

    def test_inherited(self):
        self.stack.push(self.first)
        assert self.stack.pop() == 3

class TestStack(Base):
    @pytest.fixture
    def two(self):
        return 2

    @pytest.mark.parametrize("value", [1, 2])
    def test_push(self, value, two):
        self.stack.push(value)
        self.stack.push(two)
        assert self.stack.size() == 2

class Cases(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.base = 5

    def setUp(self):
        self.stack = Stack()

    def test_pop(self):
        self.stack.push(self.base)
        self.assertEqual(self.stack.pop(), 5)

    def test_each(self):
        for value in range(3):
            with self.subTest(value=value):
                self.assertEqual(add(value, 1), value + 1)
"""
AROUND = """
import time
from unittest.mock import patch
from solution import greet, ask, nap

def test_prints(capsys):
    greet("Ann")
    assert capsys.readouterr().out == "Hello Ann\\n"
    assert capsys.readouterr().out == ""

def test_asks(monkeypatch):
    monkeypatch.setattr("builtins.input", lambda prompt="": "Bob")
    assert ask() == "Bob"

@patch("time.sleep")
def test_naps(sleep):
    nap()
    sleep.assert_called_once_with(3)

def test_naps_again(monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    nap()
    assert slept == [3]
"""
CONDITIONS = """
import sys
import unittest
import pytest
from solution import add, greet

total = None

def setup_module():
    global total
    total = [0]

def setup_function(function):
    total.append(add(1, 1))

def teardown_function():
    assert add(2, 2) == 4

@pytest.mark.skipif(sys.version_info < (3, 8), reason="old")
def test_new():
    assert total[-1] == 2

@pytest.mark.skipif(sys.version_info >= (3, 8), reason="new")
def test_old():
    assert add(1, 1) == 3

@pytest.mark.skipif(not sys.platform.startswith("win") and sys.version_info[0] == 3, reason="here")
def test_elsewhere():
    assert add(1, 1) == 3

@pytest.mark.skipif(sys.platform == "win32" or sys.version_info[:2] in ((2, 7), (3, 1)), reason="elsewhere")
class TestHere:
    def test_zero(self):
        assert add(5, 0) == 5

class TestMade:
    def __init__(self):
        self.made = 1

    def test_nothing(self):
        assert add(1, 1) == 3

class Cases(unittest.TestCase):
    @unittest.skipUnless(sys.version_info >= (3, 6), "old")
    def test_unless(self):
        self.assertEqual(add(3, 4), 7)

def test_printed(capsys):
    greet("Ann")
    out, err = capsys.readouterr()
    assert (out, err) == ("Hello Ann\\n", "")

if __name__ == "__main__":
    pytest.main([__file__])
"""
ROUND = """
import contextlib
import os
import pytest
from solution import add, Stack

D = {"a": 1, "b": 2}

@pytest.fixture
def quiet():
    try:
        yield 1
    except Exception as error:
        print(error)

@pytest.fixture
def quieter():
    with contextlib.suppress(Exception):
        yield 1

@pytest.fixture(params=[n for n in range(2)])
def number(request):
    return request.param

def test_quiet(quiet):
    assert add(2, quiet) == 3

def test_quieter(quieter):
    assert add(3, quieter) == 4

def test_number(number):
    assert add(number, 1) == number + 1

@pytest.mark.parametrize("os,v", list(D.items()))
def test_items(os, v, monkeypatch):
    monkeypatch.setenv("KEY", os)
    assert add(v, 1) == v + 1

def test_twice():
    assert add(1, 1) == 3

def test_twice():
    assert add(4, 1) == 5

@pytest.mark.usefixtures("quiet")
class Base:
    CASES = [(1, 2), (3, 4)]

class TestRows(Base):
    ROWS = [(1, 2), (3, 4)]

    def setup_method(self, method):
        self.stack = Stack()
        self.name = method.__name__

    @pytest.fixture
    def filled(self):
        self.stack.push(1)
        return self.stack

    @pytest.mark.parametrize("a,b", ROWS)
    def test_row(self, a, b):
        assert add(a, 1) == b

    def test_filled(self, filled):
        assert filled.pop() == 1
        assert self.name == "test_filled"
"""
FILES = {
    "round": ROUND,
    "conditions": CONDITIONS,
    "functions": FUNCTIONS,
    "fixtures": FIXTURES,
    "methods": METHODS,
    "around": AROUND,
}
RIGHT = """
import time

def add(a, b): return a + b

class Stack:
    def __init__(self): self.values = []
    def push(self, value): self.values.append(value)
    def pop(self): return self.values.pop()
    def size(self): return len(self.values)

def greet(name): print("Hello", name)
def ask(): return input("name? ")
def nap(): time.sleep(3)
"""
CHANGES = [
    ("a + b", "a"),
    ("a + b", "a + int(b)"),
    ("len(self.values)", "1"),
    ("self.values.pop()", "self.values.pop() + 1"),
    ('"Hello", name', '"Hi"'),
    ('input("name? ")', '"Ann"'),
    ("time.sleep(3)", "time.sleep(0)"),
]
PROGRAMS = [RIGHT, *(RIGHT.replace(*change) for change in CHANGES)]


# What pytest says of each file with each program, all in one process: starting one takes a second.
DRIVER = """
import contextlib, io, json, pathlib, sys
import pytest

class Reports:
    def __init__(self): self.failed = {}
    def pytest_runtest_logreport(self, report):
        left_out = report.skipped or hasattr(report, "wasxfail")
        if report.failed or (report.when == "call" and not left_out):
            name = report.nodeid.rpartition("::")[2].partition("[")[0]
            self.failed[name] = self.failed.get(name, False) or report.failed

files, programs = json.load(sys.stdin)
found = {}
for name, file in files.items():
    for index, program in enumerate(programs):
        folder = pathlib.Path(f"{name}_{index}")
        folder.mkdir()
        (folder / "solution.py").write_text(program)
        (folder / "test_file.py").write_text(file)
        sys.modules.pop("solution", None)
        sys.modules.pop("test_file", None)
        reports = Reports()
        with contextlib.redirect_stdout(io.StringIO()):
            pytest.main(["-q", "--rootdir", str(folder), str(folder / "test_file.py")], plugins=[reports])
        found.setdefault(name, []).append({test: not failed for test, failed in reports.failed.items()})
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def judged_by_pytest(tmp_path_factory):
    """By file, for each program what its tests came to, without those that are left out."""
    run = subprocess.run(
        [sys.executable, "-B", "-c", DRIVER],
        cwd=tmp_path_factory.mktemp("files"),
        input=json.dumps([FILES, PROGRAMS]),
        capture_output=True,
        text=True,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p no:cacheprovider"},
        check=True,
    )
    return json.loads(run.stdout)


@pytest.mark.parametrize("name", FILES)
def test_each_test_is_judged_as_pytest_judges_it(name, judged_by_pytest):
    task = CodeTask.read({"kind": "pytest", "tests": [FILES[name]]})
    names = [re.findall(r"def (test\w*)", script)[-1] for script in task.tests]
    for program, expected in zip(PROGRAMS, judged_by_pytest[name], strict=True):
        found = dict.fromkeys(names, True)
        for test, result in zip(names, run_task(program, task).tests, strict=True):
            found[test] = found[test] and result.verdict == "pass"
        assert found == expected, program
    assert all(judged_by_pytest[name][0].values())
    assert sum(not all(one.values()) for one in judged_by_pytest[name]) >= 2


def test_a_subtest_that_fails_fails_its_case():
    file = "import unittest\nfrom solution import f\n\nclass Cases(unittest.TestCase):\n    def test_each(self):\n"
    file += (
        "        for n in range(3):\n            with self.subTest(n=n):\n                self.assertEqual(f(n), n)\n"
    )
    task = CodeTask.read({"kind": "pytest", "tests": [file]})
    assert run_task("def f(n): return n", task).passed
    assert not run_task("def f(n): return min(n, 1)", task).passed


def test_a_script_holds_no_other_test():
    scripts = collected(FUNCTIONS)
    assert all(script.count("def test_") == 1 and "pytest.param" not in script for script in scripts)
    assert scripts[0].endswith("test_rows(a=1, b=2, want=3)")


TWO = """
import tempfile
import pytest
from solution import f

pytestmark = pytest.mark.slow

def test_a():
    assert f(1) == 1

class TestB:
    def test_b(self):
        tempfile.mkdtemp()

    def test_c(self):
        assert f(2) == 2
"""


@pytest.mark.parametrize(
    ("index", "others"), [(0, "tempfile pytest TestB"), (1, "test_a test_c"), (2, "test_b tempfile")]
)
def test_what_other_tests_alone_use_is_not_in_a_script(index, others):
    assert [name for name in others.split() if name in collected(TWO)[index]] == []


def test_a_file_that_is_skipped_as_a_whole_has_no_test():
    with pytest.raises(FileError, match="no test in the file"):
        collected("import pytest\npytestmark = [pytest.mark.skip(reason='x')]\ndef test_a():\n    assert f(1) == 2")


def test_names_that_are_imported_of_the_program_are_its_entry_points():
    assert CodeTask.read({"kind": "pytest", "tests": [AROUND]}).names == ("greet", "ask", "nap")
    assert CodeTask.read({"kind": "pytest", "tests": [AROUND], "entry_point": "nap"}).names == ("nap", "greet", "ask")


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("x = 1", "no test in the file"),
        ("def test_a(tmp_path):\n    assert f(1) == 2", "takes 'tmp_path', a fixture that is not in the file"),
        ("def test_a(monkeypatch):\n    monkeypatch.chdir('/')\n    assert f(1) == 2", "monkeypatch.chdir"),
        ("@pytest.mark.parametrize('a,b', [(1,)])\ndef test_a(a, b):\n    assert f(a) == b", "1 values for a, b"),
        ("@pytest.mark.parametrize(NAMES, [1])\ndef test_a(a):\n    assert f(a) == 1", "does not stand in the text"),
    ],
)
def test_what_no_test_can_be_taken_from_says_so(file, why):
    with pytest.raises(FileError, match=why):
        collected(file)
    with pytest.raises(TaskError, match=why):
        CodeTask.read({"kind": "pytest", "tests": [file]})


AROUND_A_CASE = """
import pytest, unittest
@pytest.fixture(autouse=True)
def c():
    yield
    assert f(2) == 4
class A(unittest.TestCase):
    def test_a(self): assert f(1) == 2
"""
REST = "\ndef test_z():\n    assert f(1) == 2\n"


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("class TestA:\n    class TestInner:\n        def test_a(self):\n            assert f(2) == 4", "within TestA"),
        ("from unittest import TestCase as TC\nclass A(TC):\n    def test_a(self):\n        assert f(2) == 4", "from TC"),
        ("if True:\n    def test_a():\n        assert f(2) == 4", "within a statement"),
        ("class TestA:\n    try:\n        def test_a(self): assert f(2) == 4\n    finally: pass", "within a statement"),
        ("def make(n):\n    def test():\n        assert f(n) == 4\n    return test\ntest_2 = make(2)", "bound to a function"),
        ("def check(self):\n    assert f(2) == 4\nclass TestA:\n    test_a = check", "bound to a function"),
        ("def check():\n    assert f(2) == 4\nfor k in 'ab':\n    globals()['test_' + k] = check", "globals"),
        ("import unittest\nclass A(unittest.TestCase):\n    def runTest(self):\n        assert f(2) == 4", "runTest"),
        ("class TestA(mixin()):\n    pass", "derived from mixin"),
        ("def test_gen():\n    yield f(2)", "yields"),
        ("import pytest\n@pytest.mark.xfail(raises=KeyError)\ndef test_a():\n    assert f(2) == 4", "more than that"),
        ("@mark.parametrize('a', [param(1, marks=mark.skipif(X, reason=''))])\ndef test_a(a): f(a)", "does not stand"),
        ("import pytest\n@pytest.mark.skipif(open('x'), reason='')\ndef test_a():\n    assert f(2) == 4", "does not stand"),
        ("import pytest\n@pytest.mark.skipif((1).__class__, reason='')\ndef test_a():\n    assert f(2) == 4", "does not stand"),
        ("import functools\ndef check(n): assert f(n) == 4\ntest_5 = functools.partial(check, 5)", "bound to a function"),
        ("def check(): assert f(2) == 4\ntest_it: object = check", "bound to a function"),
        ("def check(): assert f(2) == 4\nalso = test_5 = check", "bound to a function"),
        ("class TestA:\n    def check(self): assert f(2) == 4\n    test_it = check", "bound to a function"),
        ("class Base:\n    def test_a(self): assert f(2) == 4\nTestX = Base", "bound to a function"),
        ("class TestD: pass\nfor i in (1, 2): setattr(TestD, f'test_{i}', lambda self: f(2))", "setattr"),
        ("match 1:\n    case 1:\n        def test_x(): assert f(2) == 4", "within a statement"),
        ("@pytest.mark.parametrize('n,w', [(1, 11)], indirect=['n'])\ndef test_a(n, w): assert f(n) == w", "indirect"),
        ("@pytest.mark.filterwarnings('error')\ndef test_a(): assert f(1) == 4", "filterwarnings|what warnings do"),
        ("def test_a(request): assert f(2) == 4", "the request of pytest"),
        ("def feed(m): m.setenv('A', 'b')\ndef test_a(monkeypatch):\n    feed(monkeypatch)", "hand monkeypatch on"),
        (AROUND_A_CASE, "the fixture c"),
        ("def test_a():\n    assert f(1) == " + "-" * 20000 + "1", "cannot be read|a file of tests"),
        ("@pytest.mark.parametrize(**p)\ndef test_a(a):\n    assert f(a) == 4", "cannot be read"),
        ("@pytest.mark.parametrize('a', range(1000000000))\ndef test_a(a):\n    assert f(a) == 4", "more than 1000 rows"),
        ("import pytest\n@pytest.fixture\ndef n(n): return n\ndef test_a(n):\n    assert f(n) == 4", "cannot be read"),
        ("class TestA(TestB):\n    pass\nclass TestB(TestA):\n    pass", "cannot be read"),
    ],
)  # fmt: skip
def test_a_file_of_which_a_test_would_not_run_is_refused(file, why):
    with pytest.raises(TaskError, match=why):
        CodeTask.read({"kind": "pytest", "tests": [file + REST], "entry_point": "f"})


def test_a_file_that_does_not_parse_is_the_tasks_fault():
    with pytest.raises(TaskError, match="a file of tests: "):
        CodeTask.read({"kind": "pytest", "tests": ["def test_a(:"]})
