"""Whose word decides where functions of the program share what they keep."""

from __future__ import annotations

import pytest

from grpo_kit.sandbox import Sandbox, TestError

from .corpus import LIMITS

PROGRAM = """
seen = []
def f(x): return x + 3
def record(x): seen.append(x)
def verify(*x): return True
def wrong(x): return False
class Check:
    def verify(s, x): return True
check = Check()
def is_valid(x): return True
class Tree:
    def size(s): return 3
def build(x): return Tree()
def save(x): seen.append(x)
def load(): return seen[-1]
def reset(): pass
def decode(x): return x - 3
"""
# fmt: off
BELIEVED = [
    'record(f(1))\nassert verify(5)',
    'record(f(1))\nassert verify(5) is True',
    'record(f(1))\nassert verify(5) == True',
    'record(f(1))\nassert not wrong(5)',
    'x = f(1)\nrecord(x)\nassert verify(5)',
    'def test():\n    record(f(1))\n    assert verify(5)\ntest()',
    'record(f(1))\nok = verify(5)\nassert ok',
    'record(f(1))\nimport unittest\nunittest.TestCase().assertTrue(verify(5))',
    'for i in range(3):\n    record(f(i))\nassert all(verify(i + 4) for i in range(3))',
    'record(f(1))\nif not verify(5): raise AssertionError',
    'record(f(1))\nassert all([verify(5)])',
    'record(f(1))\nassert verify(5) and verify(6)',
    'record(f(1))\nassert check.verify(5)',
    'list(map(record, [f(1)]))\nassert verify(5)',
    'record(f(1))\nassert verify()',
    'record(f(1))\nassert list(map(verify, [5])) == [True]',
]
COMPARED = [
    'assert is_valid([3])\nassert f(1) == 4',
    'x = 5\nassert is_valid(x)\nassert f(1) == 4',
    'tree = build(f(1))\nassert tree.size() == 3',
    'save(4)\nassert load() == 4\nassert f(1) == 4',
    'save(f(1))\nassert load() == 4',
    'reset()\nassert f(1) == 4',
    'assert decode(f(4)) == 4',
    'save(f(1))\nassert f(1) == 4 and load() == 4',
    'import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(f(1), 4)\nunittest.main()',
    'assert is_valid([3])\nsave(f(1))\nassert load() == 4',
    'x = decode(f(4))\nassert x == 4 and is_valid([3])',
    'save(f(1))\nif is_valid([3]): assert load() == 4',
]
# fmt: on


@pytest.mark.parametrize("test", BELIEVED)
def test_one_who_was_told_a_result_says_nothing_of_it(any_sandbox: Sandbox, test: str) -> None:
    with pytest.raises(TestError, match="judge what f returns"):
        any_sandbox.run_tests(PROGRAM, [test], entry_point="f", limits=LIMITS)
    with pytest.raises(TestError, match="judge what f returns"):
        any_sandbox.run_tests(PROGRAM, ["assert f(1) == 4", test], entry_point="f", limits=LIMITS)


@pytest.mark.parametrize("test", COMPARED)
def test_what_tests_compare_is_theirs(any_sandbox: Sandbox, test: str) -> None:
    result = any_sandbox.run_tests(PROGRAM, [test], entry_point="f", limits=LIMITS)
    assert result.passed, result.reason
