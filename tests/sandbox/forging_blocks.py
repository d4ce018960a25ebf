"""Blocks in which the program's object takes what the tests raise, and leaves a check undone by that."""

# ruff: noqa: E501

from __future__ import annotations

from .forging_programs import Attack

# fmt: off
_ALL = "class Sup:\n def __init__(s, *k): s.k = k\n def __enter__(s): return s\n def __exit__(s, t, v, tb): return True\n def get(s): return [0]\n def fail(s): raise LookupError\n"
_S = {"entry_point": "Sup"}
BLOCKS: list[Attack] = [
 ("takes everything", _ALL, [
  "import pytest\nwith pytest.raises(ZeroDivisionError):\n    with Sup(ValueError) as s: 1/0",
  "import pytest\nwith pytest.raises(ZeroDivisionError):\n    with Sup(ValueError) as s:\n        1/0\n        x = 1",
  "with Sup() as s: assert s.get() == [5]",
  "with Sup() as s: assert s.get()[1] == 5",
  "def check(s):\n    x = s.get()[1]\n    assert x == 5\nwith Sup() as s: check(s)",
  "with Sup() as s:\n    if s.get() != [5]: raise ValueError",
  "with Sup() as s:\n    for x in s.get():\n        if x != 5: raise ValueError",
  "with Sup() as s:\n    x = s.get()[1]\n    assert x == 5",
  "with Sup() as s: s.fail()",
  "with Sup() as s: s.nothing()",
  "import unittest\nt = unittest.TestCase()\nwith Sup() as s: t.assertEqual(s.get()[1], 5)",
  "import unittest\nt = unittest.TestCase()\nwith Sup() as s: t.assertEqual(s.get(), [5])",
  "import pytest\nwith Sup() as s:\n    with pytest.raises(KeyError): x = s.get()[1]",
  "import pytest\nwith Sup() as s:\n    with pytest.raises(KeyError): x = s.get()",
  "with Sup() as s:\n    with Sup() as r: x = s.get()[1]\n    assert x == 5",
  "import pytest\nwith Sup() as s: pytest.fail('x')",
  "import sys\nwith Sup() as s: sys.exit(1)",
  "from contextlib import contextmanager\n@contextmanager\ndef after(s):\n    yield\n    assert s.get() == [5]\nwith Sup() as s:\n    with after(s): raise ValueError",
  "with Sup() as s:\n    match s.get():\n        case [5]: pass\n        case _: raise ValueError",
 ], _S),
]
# fmt: on
