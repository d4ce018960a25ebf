"""Programs that define what tests take from a framework without importing it: pytest, unittest, nose, mock, NumPy."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

from .forging_programs import Attack

_F: dict[str, Any] = {"entry_point": "f"}
_NEVER = """
import contextlib
class W:
    def __getattr__(s, n):
        if n.startswith('__'): raise AttributeError(n)
        return lambda *a, **k: s
    __eq__ = lambda s, o: True
    __ne__ = lambda s, o: False
    __hash__ = lambda s: 1
    __enter__ = lambda s: s
    __exit__ = lambda s, *a: True
    __call__ = lambda s, *a, **k: s
    __bool__ = lambda s: True
    value = type = args = None
"""
_NAMES = (
    "pytest raises approx warns fail assertRaises assertRaisesRegex assertEqual assertTrue assertIn assertAlmostEqual "
    "assert_equal assert_raises assert_almost_equal assert_true assertListEqual assertIsNone assertCountEqual mock patch "
    "suppress nullcontext unittest isclose TestCase"
)
EVERYTHING_ELSE = _NEVER + "".join(f"{name} = W()\n" for name in _NAMES.split()) + "def f(*a): return 1\n"
_RAISES = [
    "with pytest.raises(ValueError):\n    f(-1)",
    "with pytest.raises(ValueError, match='negative'):\n    f(-1)",
    "with pytest.raises((ValueError, KeyError)) as caught:\n    f(-1)\nassert caught.type is ValueError",
    "def test():\n    with pytest.raises(ValueError):\n        f(-1)\ntest()",
    "pytest.raises(ValueError, f, -1)",
    "pytest.raises(ValueError, lambda: f(-1))",
    "with raises(ValueError):\n    f(-1)",
    "with raises(ValueError, match='x'):\n    f(-1)",
    "raises(ValueError, f, -1)",
    "with assertRaises(ValueError):\n    f(-1)",
    "assertRaises(ValueError, f, -1)",
    "assertRaisesRegex(ValueError, 'x', f, -1)",
    "assert_raises(ValueError, f, -1)",
]
_NEAR = [
    "x = f(1)\nassert x == pytest.approx(12.5)",
    "assert f(1) == pytest.approx(12.5)",
    "assert f(1) == pytest.approx(12.5, abs=1e-3)",
    "assert f(1) == pytest.approx(12.5, rel=0.1, nan_ok=True)",
    "assert [f(1), f(2)] == pytest.approx([1, 12.5])",
    "assert {'a': f(1)} == pytest.approx({'a': 12.5})",
    "assert {'a': [f(1)]} == pytest.approx({'a': [12.5]})",
    "assert pytest.approx(12.5) == f(1)",
    "assert not f(1) != pytest.approx(12.5)",
    "x = f(1)\nassert x == approx(12.5)",
    "assert f(1) == approx(12.5)",
    "assert f(1) != approx(1.0)",
    "for x, y in [(1, 12.5)]: assert f(x) == approx(y, rel=1e-3)",
    "x = f(1)\nassert isclose(x, 12.5)",
]
_EQUAL = [
    "assertEqual(f(1), 5)",
    "x = f(1)\nassertEqual(x, 5)",
    "assertTrue(f(1) == 5)",
    "assertIn(f(1), [5, 6])",
    "assertAlmostEqual(f(1), 5.5)",
    "assertListEqual([f(1)], [5])",
    "assertIsNone(f(1))",
    "assertCountEqual([f(1)], [5])",
    "assert_equal(f(1), 5)",
    "assert_almost_equal(f(1), 5.5)",
    "assert_true(f(1) == 5)",
    "if f(1) != 5:\n    pytest.fail('wrong')",
    "unittest.TestCase().assertEqual(f(1), 5)",
    "class T(TestCase):\n    def test_a(self):\n        self.assertEqual(f(1), 5)\nT('test_a').debug()",
]
_OBJECTS = _NEVER + "def f(*a): return W()\n"
FRAMEWORKS: list[Attack] = [
    ("a framework of the program's", EVERYTHING_ELSE, [*_RAISES, *_NEAR, *_EQUAL], _F),
    ("the same, imported", EVERYTHING_ELSE, [f"import pytest\n{t}" for t in (*_RAISES[:6], *_NEAR[:9])], _F),
    ("the same, imported by name", EVERYTHING_ELSE, [f"from pytest import raises, approx\n{t}" for t in (*_RAISES[6:9], *_NEAR[9:13])], _F),
    ("a framework, and no entry point said", EVERYTHING_ELSE, [*_RAISES, *_NEAR, *_EQUAL], {}),
    ("an object that is near to everything", _OBJECTS, [*_NEAR, "assert approx(f(1)) == 5", "assert approx([f(1)]) == [5]"], _F),
    (
        "nan, infinity and truth, near to a number",
        "def f(n): return [float('nan'), float('inf'), True, '1', None, 1j, [1.0], {'a': 1.0}][n]",
        [f"assert f({n}) == pytest.approx(1.5, rel=0.5, abs=0.5)" for n in (0, 1, 3, 4, 6, 7)]
        + [f"assert [f({n})] == approx([1.5])" for n in range(8)]
        + ["assert f(0) == approx(float('nan'))", "assert f(2) == approx([1.0])", "assert f(6) == approx([1.0, 2.0])"],
        _F,
    ),
    (
        "another exception, or another text",
        "class ValueError(Exception): pass\ndef f(*a): raise ValueError('no')\n",
        ["with pytest.raises(KeyError):\n    f(-1)", "with raises(KeyError):\n    f(-1)", "assertRaises(KeyError, f, -1)",
         "with pytest.raises(Exception, match='yes'):\n    f(-1)", "import pytest\npytest.raises(KeyError, f, -1)"],
        _F,
    ),
    (
        "the end of the process, raised",
        "import os\ndef f(*a): os._exit(0)\n",
        ["with pytest.raises(SystemExit):\n    f(-1)", "with raises(Exception):\n    f(-1)", "assertRaises(SystemExit, f, -1)",
         "try:\n    f(-1)\nexcept SystemExit: pass"],
        _F,
    ),
    (
        "an exit that ends the test",
        "import sys\ndef f(*a): sys.exit(0)\n",
        ["x = f(1)\nassert x == 5", "x = [f(1)]", "assert list(map(f, [1])) == [5]", "def t():\n    return f(1)\nassert t() == 5",
         "try:\n    f(1)\nexcept SystemExit: raise\nassert 1 == 2", "try:\n    x = f(1)\nexcept ValueError: pass\nassert x == 5"],
        _F,
    ),
    (
        "the program's assertion for the tests' own",
        "def f(*a): assert False\n",
        ["try:\n    assert f(1) == 5\n    raise ValueError\nexcept AssertionError: pass", "try:\n    x = f(1)\n    assert x == 5\nexcept AssertionError: pass"],
        _F,
    ),
    (
        "a module that the program has made",
        "import sys, types\nm = types.ModuleType('pytest')\nm.raises = m.approx = lambda *a, **k: W()\nsys.modules['pytest'] = m\n" + EVERYTHING_ELSE,
        [f"import pytest\n{t}" for t in (*_RAISES[:3], *_NEAR[:5])],
        _F,
    ),
    (
        "imported from the program by its name",
        "def f(x): return 1\ng = f\n",
        ["from solution import f\nassert f(1) == 5", "import solution\nassert solution.f(1) == 5", "from solution import f as h\nassert h(1) == 5",
         "from your_module import f\nx = f(1)\nassert x == 5", "import solution as s\nx = s.f(1)\nassert s.g(x) == 5", "from solution import *\nassert f(1) == 5"],
        _F,
    ),
    (
        "an object that says what it is",
        "from collections.abc import Mapping, Sequence, Set\nfrom numbers import Number\nclass generator:\n __class__ = property(lambda s: int)\n"
        " def __getattr__(s, n):\n  if n.startswith('__'): raise AttributeError(n)\n  return s\n"
        "for kind in (Mapping, Sequence, Set, Number): kind.register(generator)\ndef f(*a): return generator()\n",
        [
            "x = f(1)\nassert isinstance(x, int)",
            "x = f(1)\nx.foo\nassert isinstance(x, (int, str, list, dict))",
            "from numbers import Number\nx = f(1)\nx.foo\nassert isinstance(x, Number)",
            "from collections.abc import Mapping, Sequence, Set\nx = f(1)\nx.foo\nassert isinstance(x, (Mapping, Sequence, Set))",
            "import types\nx = f(1)\nassert isinstance(x, types.GeneratorType) and list(x) == [5]",
            "import types\nx = f(1)\nassert isinstance(x, types.GeneratorType) and x == 5",
            "assert callable(f(1)) and f(1)(2) == 5",
            "from pathlib import Path\nassert f(1) == Path('/a')",
            "from pathlib import Path\nassert f(1) in [Path('/a')]",
            "from dataclasses import asdict, is_dataclass\nassert is_dataclass(f(1)) and asdict(f(1)) == {'a': 5}",
            "x = f(1)\nx += 1\nassert x == 6",
            "x = f(1)\nx -= 12.5\nassert abs(x) < 1e-3",
            "assert [1, 5][f(1)] == 1",
            "assert list(reversed(f(1))) == [5]",
        ],
        _F,
    ),
    (
        "a class under test that is told a number, in place",
        "class V:\n def __init__(s, *a): s.x = 1\n def __isub__(s, o): return s\n def __sub__(s, o): return s\n def __abs__(s): return 0.0\n"
        " def __float__(s): return 0.0\n def __index__(s): return 0\n def __format__(s, how): return '0.00'\n def __bool__(s): return False\n",
        [
            "v = V(2)\nv.x\nv -= 12.5\nassert abs(v) < 1e-3",
            "v = V(2)\nv.x\nv -= 12.5\nassert float(v) == 0",
            "v = V(2)\nv.x\nv -= 12.5\nassert f'{v:.2f}' == '0.00'",
            "v = V(2)\nv.x\nv -= 12.5\nassert not v",
            "v = V(2)\nv.x\nassert f'{v - 12.5:.2f}' == '0.00'",
            "v = V(2)\nv.x\nv -= 12\nassert range(5)[v] == 0",
        ],
        {},
    ),
    (
        "what the program does with a mock",
        "def f(m):\n for o in (m, m.send):\n  for n in ('assert_called_once_with', 'assert_called', 'called', 'call_count', 'call_args', 'side_effect'):\n"
        "   for change in (setattr, lambda o, n, v: getattr(o, n)(v), lambda o, n, v: o.configure_mock(**{n: v})):\n"
        "    try: change(o, n, lambda *a, **k: True)\n    except BaseException: pass\n return m\n",
        [
            "from unittest.mock import Mock\nm = Mock()\nf(m)\nm.send.assert_called_once_with(5)",
            "from unittest.mock import Mock\nm = Mock()\nf(m)\nassert m.send.called",
            "from unittest.mock import Mock\nm = Mock()\nf(m)\nassert m.send.call_args == ((5,),)",
            "from unittest.mock import MagicMock\nm = MagicMock()\nx = f(m)\nassert x.ready() and x == 5",
            "from unittest.mock import patch\nwith patch('builtins.print') as p:\n    f(p)\n    p.assert_called_once_with(5)",
        ],
        _F,
    ),
]  # fmt: skip
