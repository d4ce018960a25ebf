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
