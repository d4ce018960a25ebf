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
        ("\n7", "7", None, False),
        ("7 8", "7\n8", None, False),
        ("7  8", "7 8", None, False),
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
        (True, 1, None, False),
        (1, True, None, False),
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
        (Opaque("X"), 1, None, False),
        (Array("int64", (2,), [1, 2]), [1, 2], None, True),
        (float("nan"), float("nan"), None, True),
    ],
)
def test_same_value(actual, expected, tolerance, same):
    assert same_value(actual, expected, tolerance) is same
