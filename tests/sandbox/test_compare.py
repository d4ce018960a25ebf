"""When an output is the right one."""

from __future__ import annotations

import pytest

from grpo_kit.sandbox.wire.codec import Array, Opaque
from grpo_kit.sandbox.wire.compare import same_text, same_value


@pytest.mark.parametrize(
    ("actual", "expected", "tolerance", "same"),
    [
        ("7\n", "7", None, True),
        ("7  \n\n\n", "7\n", None, True),
        ("7\r\n8\r\n", "7\n8\n", None, True),
        ("\n7", "7", None, True),
        ("7 8", "7\n8", None, False),
        ("7  8", "7 8", None, True),
        ("2.0", "2", None, True),
        ("2", "2.0", None, True),
        ("0.250", "0.25", None, True),
        ("1e400", "1e401", None, False),
        ("1e400", "10e399", None, True),
        ("100001", "100000", 1e-4, False),
        ("100000.9", "100000", 1e-4, True),
        ("1000", "1e3", None, True),
        ("-0.0", "0.0", None, True),
        ("0.333333", "0.333333333333", None, True),
        ("0.3333", "0.333333333333", None, False),
        ("3.1416", "3.14159", None, False),
        ("2.0000001", "2", None, False),
        ("10000001", "10000000", None, False),
        ("1000000.5", "1000000.0", None, True),
        ("YES  NO", "YES NO", None, False),
        ("x = 0.5000", "x = 0.5", None, True),
        ("room 7", "room 007", None, False),
        ("1\n2", "1 2", None, False),
        ("*  *", "* *", None, False),
        ("nan", "nan", None, True),
        ("1_000", "1000", None, False),
        ("٣", "3", None, False),
        ("1" * 5000, "1" * 4999 + "2", None, False),
        ("", "0", None, False),
        ("0.3333", "0.33333333", None, False),
        ("0.33333331", "0.33333333", 1e-6, True),
        ("1000000.5", "1000000", 1e-6, True),
        ("0.34", "0.33", 1e-6, False),
        ("nan", "nan", 1e-6, True),
        ("nan", "1", 1e-6, False),
        ("x 1.0", "y 1.0", 1e-6, False),
        ("inf", "1", 1e-6, False),
        ("1_0", "10", 1e-6, False),
        ("0\n1\n2\n3", "2", None, False),
    ],
)
def test_same_text(actual, expected, tolerance, same):
    assert same_text(actual, expected, tolerance) is same


@pytest.mark.parametrize(
    ("actual", "expected", "tolerance", "same"),
    [
        ((1, 2), [1, 2], None, True),
        ([1, [2, 3]], [1, (2, 3)], None, True),
        (True, 1, None, True),
        (1, True, None, True),
        ("1", 1, None, False),
        (1.0, 1, None, True),
        (0.1 + 0.2, 0.3, None, False),
        (0.1 + 0.2, 0.3, 1e-9, True),
        ([0.1 + 0.2], [0.3], 1e-9, True),
        (10**400, 1.5, 1e-9, False),
        ({"a": 1}, {"a": 1.0}, None, True),
        ({"a": 1}, {"b": 1}, None, False),
        ({1, 2}, {1, 2}, None, True),
        (frozenset({1}), {1}, None, False),
        (None, None, None, True),
        (1.0, True, None, True),
        (2, True, None, False),
        ("True", True, None, False),
        ([1, 0], [True, False], None, True),
        ({1: "a"}, {"1": "a"}, None, True),
        ({1: "a", "1": "b"}, {"1": "a"}, None, False),
        ({True: 1, None: 2}, {"true": 1, "null": 2}, None, True),
        ({"1": "a"}, {1: "a"}, None, False),
        ({1: "a"}, {"2": "a"}, None, False),
        (Opaque("X"), 1, None, False),
        (Array("int64", (2,), [1, 2]), [1, 2], None, True),
        (float("nan"), float("nan"), None, True),
    ],
)
def test_same_value(actual, expected, tolerance, same):
    assert same_value(actual, expected, tolerance) is same


@pytest.mark.parametrize(
    ("actual", "expected", "same"),
    [
        ("yes\n1 2", "YES 1\n2\n", True),
        ("0.500001", "0.5", True),
        ("0.5001", "0.5", False),
        ("1 2", "1 2 3", False),
        ("no", "yes", False),
        ("3", "4", False),
        ("", "1", False),
        ("a\n\nb", "a b", True),
        ("100001", "100000", False),
        ("100000.9", "100000.0", True),
        ("3.000001", "3", True),
    ],
)
def test_word_by_word(actual, expected, same):
    assert same_text(actual, expected, layout="tokens") is same
