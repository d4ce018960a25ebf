"""Tests that ask the program nothing are no tests: they would pay every program."""

import pytest

from grpo_kit.sandbox import TestError

RIGHT, WRONG = "def f(x):\n    return x + 1", "def f(x):\n    return None"
CASE = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(f(1), 2)\n"
IDLE = {
    "nothing": "# nothing",
    "nothing of the program's": "assert 1 + 1 == 2",
    "a function of pytest": "def test_f():\n    assert f(1) == 2",
    "a check that is not called": "def check(candidate):\n    assert candidate(1) == 2",
    "a check that another one calls": "def check():\n    assert f(1) == 2\ndef all_of_them():\n    check()",
    "a case": CASE,
    "a main, and no case": "import unittest\nunittest.main(exit=False)",
    "behind the guard of a script": f"{CASE}if __name__ == '__main__':\n    assert f(1) == 2\n    unittest.main()",
    "a case within the guard": "if '__main__' == __name__:\n    def test():\n        assert f(1) == 2\n    test()",
}
ASKED = {
    "a check that is called": ("def check(candidate):\n    assert candidate(1) == 2\ncheck(f)",),
    "through two functions": ("def one(n):\n    return f(n)\ndef two():\n    assert one(1) == 2\ntwo()",),
    "a case that is run": (
        f"{CASE}found = unittest.TestResult()\nT('test_a').run(found)\nassert found.wasSuccessful()",
    ),
    "a case and a main that finds it": (f"{CASE}unittest.main(exit=False)",),
    "a case and a main that ends the test": (f"{CASE}unittest.main()",),
    "in a class's body": ("class Facts:\n    assert f(1) == 2",),
    "by one of several tests": ("assert 1 + 1 == 2", "assert f(1) == 2"),
    "through the names there are": (
        "def test_f():\n    assert f(1) == 2\nfor name, test in list(globals().items()):\n"
        "    if name.startswith('test_'):\n        test()",
    ),
}


@pytest.mark.parametrize("label", IDLE)
@pytest.mark.parametrize("program", [RIGHT, WRONG])
def test_what_no_program_can_fail_is_refused(sandbox, label, program):
    with pytest.raises(TestError, match="ask the program nothing"):
        sandbox.run_tests(program, [IDLE[label]])


@pytest.mark.parametrize("label", ASKED)
def test_what_asks_is_asked(sandbox, label):
    assert sandbox.run_tests(RIGHT, list(ASKED[label])).passed
    assert not sandbox.run_tests(WRONG, list(ASKED[label])).passed


def test_a_program_may_be_called_as_a_built_in_is(sandbox):
    program = "def sum(a, b):\n    return a - b"
    assert sandbox.run_tests(program, ["assert sum(3, 1) == 2"], entry_point="sum").passed
    assert not sandbox.run_tests(WRONG, ["assert sum(3, 1) == 2"]).passed  # judged, not refused


def test_the_error_says_what_is_not_called(sandbox):
    with pytest.raises(TestError, match="test_f is defined and nothing calls it"):
        sandbox.run_tests(RIGHT, [IDLE["a function of pytest"]])


def test_a_stub_of_the_program_in_the_setup_is_the_programs(sandbox):
    assert sandbox.run_tests(RIGHT, ["assert f(1) == 2"], entry_point="f", setup="def f(x):\n    pass").passed


ENDED = (
    "import sys\nsys.exit(f(1))",
    "import sys\nx = f(1)\nsys.exit(x)\nassert f(2) == 3",
    "raise SystemExit(f(1))",
    "import sys\nsys.exit(int(f(1) or 0))",
    "import sys\ncode = 0\ncode += f(1)\nsys.exit(code)",
    "import sys\ndef main():\n    return f(1)\nsys.exit(main())",
    "import sys\ndef end(code):\n    sys.exit(code)\nend(f(1))",
    "import sys\nsys.exit(len(f(1)))",
    "import sys as s\ns.exit(f(1))",
    "from sys import exit as bye\nbye(f(1))",
    "import sys\nassert f(1) == 0\nsys.exit(f(1) if f(1) else 0)",
    "import sys\nleave = sys.exit\nleave(f(1))",
    "End = SystemExit\nraise End(f(1))",
    "exit(code=f(1))",
    "import sys\nmain = lambda: f(1)\nsys.exit(main())",
    "import sys\nsys.exit([0, 1][f(1)])",
    # Taken, but elsewhere too, later, or let through.
    "import sys\ndef main(): sys.exit(f(1))\ntry: main()\nexcept SystemExit as end: assert end.code == 0\nmain()",
    "import sys\ndef main(): sys.exit(f(1))\ndef run(g): g()\ntry: main()\nexcept SystemExit: pass\nrun(main)",
    "import sys\ntry: main = lambda: sys.exit(f(1))\nexcept SystemExit: pass\nmain()",
    "import sys\ntry: g = (sys.exit(f(x)) for x in [1])\nexcept SystemExit: pass\nnext(g)",
    "import sys\ndef main():\n    yield 1\n    sys.exit(f(1))\ntry: g = main()\nexcept SystemExit: pass\nlist(g)",
    "import sys\ntry: sys.exit(f(1))\nexcept SystemExit: raise",
    "import sys\ntry: sys.exit(f(1))\nexcept SystemExit as end: sys.exit(end.code)",
    "import sys\ndef main(): sys.exit(f(1))\ndef run(): main()\ntry: main()\nexcept SystemExit: pass\nrun()",
    "import sys\ndef main(n): main(n - 1) if n else sys.exit(f(1))\nmain(2)",
    "import sys\ndef main(): sys.exit(f(1))\ntry: main()\nexcept SystemExit: pass\nglobals()['ma' + 'in']()",
    "import sys\nclass T:\n    def main(self): sys.exit(f(1))\ntry: T().main()\nexcept SystemExit: pass",
)
CASE = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): self.assertEqual(f(1), 2)\n"
ENDED_BEFORE_THE_END = (
    CASE + "unittest.main()\nassert f(1) == 3",
    CASE + "r = unittest.main(argv=['x'])\nprint(r)",
    CASE.replace("unittest", "ut").replace("import ut", "import unittest as ut") + "ut.main()\nassert f(1) == 3",
    CASE.replace("import unittest", "import unittest\nfrom unittest import main") + "main()\nassert f(1) == 3",
    "import sys\nassert f(1) == 2\nsys.exit(0)\nassert f(2) == 3",
    "assert f(1) == 2\nexit()\nassert f(2) == 3",
    "assert f(1) == 2\nraise SystemExit\nassert f(2) == 3",
    "assert f(1) == 2\nraise SystemExit(0)\nassert f(2) == 3",
    "import os\nassert f(1) == 2\nos._exit(0)\nassert f(2) == 3",
)
ENDED_BY_THE_TESTS = (
    "import sys\nassert f(1) == 2\nsys.exit(0)",
    "import sys\nfailed = 0\nfor x in (1, 2):\n    if f(x) != x + 1: failed += 1\nsys.exit(failed)",
    "import sys\nok = f(1) == 2\nsys.exit(0 if ok else 1)",
    "import sys\nsys.exit(not f(1) == 2)",
    "import sys\nfailed = [x for x in (1, 2) if f(x) != x + 1]\nsys.exit(len(failed))",
    "import sys\nsys.exit(sum(f(x) != x + 1 for x in (1, 2)))",
    "import sys\ntry:\n    sys.exit(f(1))\nexcept SystemExit as end:\n    assert end.code == 2",
    "import sys\ndef main():\n    assert f(1) == 2\n    return 0\nsys.exit(main())",
    "import sys\ntry:\n    sys.exit(f(1))\nexcept BaseException as end:\n    assert end.code == 2",
    "import sys\ndef main(): sys.exit(f(1))\ntry: main()\nexcept SystemExit as end: assert end.code == 2",
    "import sys\ndef end(code): sys.exit(code)\ntry:\n    end(f(1))\nexcept SystemExit as e:\n    if e.code != 2: raise KeyError",
    "import sys\ndef main(): sys.exit(f(1))\ndef run(): main()\ntry: run()\nexcept SystemExit as e: assert e.code == 2",
    "import sys\ndef main(n): main(n - 1) if n else sys.exit(f(1))\ntry: main(2)\nexcept SystemExit as end: assert end.code == 2",
    "import sys, pytest\nmain = lambda: sys.exit(f(1))\nassert pytest.raises(SystemExit, main).value.code == 2",
    "import sys, pytest\nassert pytest.raises(SystemExit, lambda: sys.exit(f(1))).value.code == 2",
    "import sys, pytest\ndef main(): sys.exit(f(1))\ndef test():\n    with pytest.raises(SystemExit) as e: main()\n"
    "    assert e.value.code == 2\ntest()",
    "import sys\na = b = len\na = b\nb = a\nassert a([f(1)]) == 1 and f(1) == 2",
)


@pytest.mark.parametrize("test", ENDED)
def test_tests_that_end_by_what_the_program_says_are_refused(sandbox, test):
    with pytest.raises(TestError, match="the program's own word"):
        sandbox.run_tests("def f(x):\n    return 0", [test], entry_point="f")


@pytest.mark.parametrize("test", ENDED_BEFORE_THE_END)
def test_tests_that_end_before_their_last_statement_are_refused(sandbox, test):
    with pytest.raises(TestError, match="never reached: put it at the end"):
        sandbox.run_tests(RIGHT, [test], entry_point="f")


def test_a_function_by_the_name_of_an_exit_ends_nothing(sandbox):
    test = "def exit(): pass\nexit()\nassert f(1) == 2"
    assert sandbox.run_tests(RIGHT, [test], entry_point="f").passed
    assert not sandbox.run_tests(WRONG, [test], entry_point="f").passed
    assert sandbox.run_tests("def quit(): return 3", ["x = quit()\nassert x == 3"], entry_point="quit").passed


def test_cases_that_are_run_and_end_nothing_are_no_end(sandbox):
    test = CASE + "unittest.main(exit=False)\nassert f(2) == 3"
    assert sandbox.run_tests(RIGHT, [test], entry_point="f").passed
    assert not sandbox.run_tests(WRONG, [test], entry_point="f").passed


@pytest.mark.parametrize("test", ENDED_BY_THE_TESTS)
def test_tests_may_end_by_a_comparison_of_theirs(sandbox, test):
    assert sandbox.run_tests(RIGHT, [test], entry_point="f").passed
    assert not sandbox.run_tests(WRONG, [test], entry_point="f").passed
    assert not sandbox.run_tests("def f(x):\n    return 0", [test], entry_point="f").passed


@pytest.mark.parametrize("label", ["a function of pytest", "a check that is not called", "a case"])
def test_an_idle_test_among_others_is_refused(sandbox, label):
    with pytest.raises(TestError, match=r"tests\[1\] asks the program nothing"):
        sandbox.run_tests(RIGHT, ["assert f(1) == 2", IDLE[label]])


def test_a_test_may_define_what_another_one_calls(sandbox):
    tests = ["def check(g):\n    assert g(1) == 2", "import math", "check(f)"]
    assert sandbox.run_tests(RIGHT, tests).passed
    assert not sandbox.run_tests(WRONG, tests).passed
