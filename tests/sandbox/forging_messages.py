"""Programs that forge what is said to the tests, or hide functions in what looks like data: (name, program, tests, arguments)."""

# ruff: noqa: E501

from __future__ import annotations

from .forging_programs import NODES, Attack

_SERVE = "import sys\nS = sys.modules['_grpo_kit_sandbox.inside.serve'].Server\n"
_NAMES = (
    _SERVE
    + "old = S.on_names\ndef new(s, wanted):\n found = old(s, wanted)\n found[0][{!r}] = ['value', s.encode({})]\n return found\nS.on_names = new\ndef area(r): return 1"
)
_FIELD = "from collections import namedtuple\nW = namedtuple('W', {!r})\ndef area(r): return W(lambda *a: True)"
_ATTRIBUTE = "def area(r):\n n = ListNode()\n n.{} = lambda *a: True\n return n"
_DEEP = "import os, struct\nd = '[' * 900 + ']' * 900\nj = ('[\"load_error\", [%s]]' % d).encode()\nos.write(100, struct.pack('<I', len(j)) + j)\nos._exit(1)"
_MANY = "import os, struct\nfor i in range(20): os.write(100, struct.pack('<I', 5) + b'[\"x\"]')\ndef area(r): return 1"
_CHECK = "def check(x):\n    assert x == 3, 'want SECRET'\n    return x\n"
_AREA = {"entry_point": "area"}
MESSAGES: list[Attack] = [
    (f"an answer about {name} that nobody asked for", _NAMES.format(name, given), [test], _AREA)
    for name, given, test in (
        ("abs", "lambda x: 0", "x = area(2)\nassert abs(x - 12.57) < 1e-3"),
        ("isclose", "lambda *a: True", "x = area(2)\nassert isclose(x, 12.57)"),
        ("range", "lambda *a: []", "for i in range(3):\n    x = area(i)\n    assert x == i + 5"),
        ("__builtins__", "{'abs': lambda x: 0}", "x = area(2)\nassert abs(x - 12.57) < 1e-3"),
    )
]
MESSAGES += [
    (f"a named tuple with {name}", _FIELD.format(name), [f"{before}assert {x}.{name}({given})"], _AREA)
    for name, given in (
        ("startswith", "'Hello'"),
        ("issuperset", "{1}"),
        ("isdigit", ""),
        ("equals", "[1]"),
        ("count", "3"),
    )
    for before, x in (("", "area(1)"), ("x = area(1)\n", "x"))
]
MESSAGES += [
    (
        f"a node with {name}",
        _ATTRIBUTE.format(name),
        [f"x = area(1)\nassert x.{name}({given})"],
        {"setup": NODES, **_AREA},
    )
    for name, given in (("startswith", "'Hello'"), ("issuperset", "{1}"), ("equals", "[1]"))
]
MESSAGES += [
    (f"an identity of something else: {check}", "class W: pass\ndef area(r): return W()", [f"assert {check}"], _AREA)
    for check in (
        "bool(area(1)) is True",
        "(area(1) == 5) is False",
        "(not area(1)) is False",
        "(area(1) != 5) is True",
    )
]
MESSAGES += [
    ("a swallowed assertion", "def area(f):\n try: f(0)\n except BaseException: pass", [_CHECK + "area(check)"], _AREA),
    ("a swallowed assertion, and a result", "def area(f):\n try: f(0)\n except BaseException: return 3", [_CHECK + "assert area(check) == 3"], _AREA),
    ("told by an assertion", "def area(f):\n try: f(0)\n except BaseException as e: m = str(e)\n return m.split()[-1]",
     [_CHECK + "try:\n    x = area(check)\nexcept AssertionError: x = 0\nassert x == 'SECRET'"], _AREA),
    *((f"an opaque value made up: {check}", _SERVE + "S.on_call = lambda s, t, a, k: [{'~': 'opaque', 'v': 'x'}, {}]\ndef area(r): return 1", [f"x = area(1)\nassert {check}"], _AREA)
      for check in ("x", "x != 3", "x not in [1]")),
    ("a nested report", _DEEP, [{"input": "", "output": "x"}], {"kind": "stdio"}),
    ("a nested report, refereed", _DEEP, ["x = area(1)\nassert x == 2"], _AREA),
    ("many messages", _MANY, [{"input": "", "output": "x"}], {"kind": "stdio"}),
    ("many messages, refereed", _MANY, ["x = area(1)\nassert x == 2"], _AREA),
    ("as many digits as it says", "def area(r): return -10**9", ["assert round(5, area(1)) == 5.5"], _AREA),
]  # fmt: skip
