"""Programs that try to decide their own verdict, as (name, program, tests, arguments of run_tests): none may pass a test."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

Attack = tuple[str, str, list[str], dict[str, Any]]

# -- objects whose methods answer ------------------------------------------------------------------------------------

ANSWERS = """
 def __getattr__(s, n): return lambda *a, **k: True
 def __getitem__(s, i): return True
 def __len__(s): return 2
 def __iter__(s): return iter([1, 2])
 def __call__(s, *a): return s
 def __sub__(s, o): return s
 __rsub__ = __add__ = __radd__ = __mul__ = __rmul__ = __and__ = __rand__ = __or__ = __xor__ = __truediv__ = __mod__ = __sub__
 def __abs__(s): return 0.0
 __round__ = __neg__ = lambda s, *a: 0.0
 def __contains__(s, x): return True
 def __lt__(s, o): return True
 __gt__ = __le__ = __ge__ = __eq__ = __ne__ = __lt__
 def __bool__(s): return True
 def __hash__(s): return 1
 def __float__(s): return 0.0
 __int__ = __index__ = lambda s: 0
 def __str__(s): return ''
 __array_interface__ = {'data': (4096, False), 'shape': (4,), 'typestr': '<i8', 'version': 3}
 def __array__(s, *a, **k): return [1]
 def __enter__(s): return s
 def __exit__(s, *a): return True
"""
SHAPES = {  # where the object stands; X is the call in the tests
    "a result": ("class W:" + ANSWERS + "def greet(n): return W()", "greet('Ann')", "greet"),
    "a class for a function": ("class greet:\n def __init__(s, *a): pass" + ANSWERS, "greet('Ann')", "greet"),
    "a class in capitals": ("class Greet:\n def __init__(s, *a): pass" + ANSWERS, "Greet('Ann')", "Greet"),
    "a method's result": (
        "class W:" + ANSWERS + "class Solution:\n def greet(s, n): return W()",
        "Solution().greet('Ann')",
        "Solution.greet",
    ),
    "without an entry point": ("class W:" + ANSWERS + "def greet(n): return W()", "greet('Ann')", None),
}
QUESTIONS = (
    *("assert X.startswith('Hello')", "x = X\nassert x.issuperset({1, 3})", "x = X\nassert x.equals([1, 2])"),
    *(
        "assert X",
        "x = X\nassert x",
        "assert 3 in X",
        "x = X\nassert (x - 5) == 0",
        "x = X\nassert abs(x - 12.5) < 1e-3",
    ),
    *("assert abs(X - 12.5) < 1e-3", "assert X != 5", "x = X\nassert not x == 5", "x = X\nassert x['a']"),
    *("x = X\nassert all(x[i] for i in range(3))", "x = X\nassert {1, 7} <= x", "x = X\nassert x & {1} == {1}"),
    *("x = X\nassert round(x, 2) == 0.0", "x = X\nassert x != [] and x", "x = X\nassert hasattr(x, 'keys')"),
    *("x = X\nassert getattr(x, 'startswith', None)('H')", "x = X\nassert [x] == [5]", "x = X\nassert x in [1, 2]"),
    *("x = X\nassert any(v == 7 for v in [x])", "x = X\nassert x.all()", "assert not X", "x = X\nassert x > 3 > 2"),
    *(
        "x = X\nassert x.difference({1, 2}) == x",
        "x = X\nassert len(x.symmetric_difference({4})) == 2",
    ),
    *(
        "x = X\nassert {x: 1}[7]",
        "x = X\nassert divmod(x, 3) == x",
        "x = X\nassert x.count(3)",
        "assert max(X, 3) == 3.5",
    ),
)


def objects() -> list[Attack]:
    made = []
    for shape, (program, call, entry_point) in SHAPES.items():
        for question in QUESTIONS:
            test = question.replace("X", call)
            made.append((f"{shape}: {question}", program, [test], {"entry_point": entry_point}))
    return made


# -- names -----------------------------------------------------------------------------------------------------------

AREA = "\ndef area(r): return 1\n"
NAMES: list[Attack] = [
    (f"{program} {test}", program + AREA, [test], {"entry_point": "area"})
    for program, test in (
        ("def abs(x): return 0", "assert abs(area(2) - 12.57) < 1e-3"),
        ("def abs(x): return 0", "x = area(2)\nassert abs(x - 12.57) < 1e-3"),
        ("def all(x): return True", "assert all(area(i) == 9 for i in (1, 2))"),
        ("def any(x): return True", "x = area(2)\nassert any(x == v for v in (7, 8))"),
        ("def range(*a): return []", "for i in range(3): assert area(i) == i * i + 5"),
        ("def sorted(*a, **k): return [1, 2]", "assert sorted([area(1), area(2)]) == [1, 2]"),
        ("def set(*a): return 3", "assert set([area(1)]) == set([7])"),
        ("def len(x): return 3", "x = [area(1)]\nassert len(x) == 3"),
        ("def isinstance(*a): return True", "x = area(1)\nassert isinstance(x, str)"),
        ("def zip(*a): return []", "for a, b in zip([area(1)], [9]): assert a == b"),
        ("def map(*a): return []", "assert list(map(area, [1])) == []"),
        ("class math: isclose = staticmethod(lambda *a, **k: True)", "assert math.isclose(area(2), 12.57)"),
        (
            "class math: isclose = staticmethod(lambda *a, **k: True)",
            "import math\nassert math.isclose(area(2), 12.57)",
        ),
        ("class math: pi = 1", "assert area(1) == math.pi"),
        (
            "class itertools: permutations = staticmethod(lambda *a: [])",
            "for p in itertools.permutations([1]): assert area(p) == 2",
        ),
        (
            "class collections: Counter = staticmethod(lambda *a: 0)",
            "assert collections.Counter([area(1)]) == collections.Counter([2])",
        ),
        ("class re: match = staticmethod(lambda *a: True)", "assert re.match('a+', str(area(1)))"),
        (
            "class random: seed = staticmethod(lambda *a: 0); random = staticmethod(lambda: 1)",
            "random.seed(0)\nassert area(0) == random.random()",
        ),
        ("class copy: deepcopy = staticmethod(lambda x: 1)", "assert area(1) == copy.deepcopy([1])"),
        ("class statistics: mean = staticmethod(lambda x: 1)", "assert area(1) == statistics.mean([4, 6])"),
        ("class operator: eq = staticmethod(lambda a, b: True)", "assert operator.eq(area(1), 5)"),
        ("def Counter(x): return 0", "assert Counter([area(1)]) == Counter([2])"),
        ("def isclose(*a, **k): return True", "assert isclose(area(2), 12.57)"),
        ("def isclose(*a, **k): return True", "x = area(2)\nassert isclose(x, 12.57)"),
        ("def deepcopy(x): return 1", "assert area(1) == deepcopy([5])"),
        ("def permutations(x): return []", "for p in permutations([1]): assert area(p) == 2"),
        ("def sqrt(x): return 1", "assert area(1) == sqrt(16)"),
        ("def gcd(*a): return 1", "assert area(1) == gcd(8, 4)"),
        ("def reduce(*a): return 1", "assert area(1) == reduce(lambda a, b: a + b, [2, 3])"),
        ("def defaultdict(*a): return 1", "assert area(1) == defaultdict(int)"),
        ("import builtins\nbuiltins.abs = lambda x: 0", "x = area(2)\nassert abs(x - 12.57) < 1e-3"),
        ("import math\nmath.isclose = lambda *a: True", "import math\nx = area(2)\nassert math.isclose(x, 12.57)"),
        (
            "import math as helper\nhelper.isclose = lambda *a, **k: True",
            "x = area(2)\nassert helper.isclose(x, 12.57)",
        ),
    )
]
NAMES += [
    ("a helper of the setup", "def twice(x): return 4\ndef area(r): return 1", ["assert twice(area(3)) == 4"],
     {"entry_point": "area", "setup": "def twice(x): return 2 * x"}),
    ("a constant of the setup", "TEN = 1\ndef area(r): return 1", ["x = area(3)\nassert x == TEN"],
     {"entry_point": "area", "setup": "TEN = 10"}),
    ("an exception for a function", "class area(Exception): pass", ["assert area(2)"], {"entry_point": "area"}),
    ("an exception for a function, refereed", "class area(Exception): pass", ["x = area(2)\nassert x"], {}),
    ("a module for a function", "import math as area", ["x = area\nassert area(2) == 5"], {"entry_point": "area"}),
    ("isclose without an entry point", "def isclose(*a): return True" + AREA, ["assert isclose(area(2), 12.57)"], {}),
    ("math without an entry point", "class math: isclose = lambda *a: True" + AREA, ["assert math.isclose(area(2), 3)"], {}),
    ("Counter without an entry point", "def Counter(x): return 1" + AREA, ["assert Counter(area(2)) == Counter([2])"], {}),
]  # fmt: skip

# -- exceptions that empty a check -----------------------------------------------------------------------------------

_RAISES = "def area(r): raise {}"
_LOOPS = (
    "assert all(map(area, [1, 2]))",
    "assert not any(map(area, [1, 2]))",
    "assert all(a == b for a, b in zip(map(area, [1, 2]), [3, 4]))",
    "for x in map(area, [1]): assert x == 5",
    "assert list(filter(area, [1, 2])) == []",
    "assert [*map(area, [1])] == []",
    "assert next(map(area, [1]), 5) == 5",
    "assert sum(map(area, [1])) == 0",
    "assert dict(zip([1], map(area, [1]))) == {}",
    "it = map(area, [1])\nassert not set(it)",
)
EXCEPTIONS: list[Attack] = [
    (f"{error}: {loop}", _RAISES.format(error), [loop], {"entry_point": "area"})
    for error in ("StopIteration", "StopIteration(5)", "type('S', (StopIteration,), {})")
    for loop in _LOOPS
]
EXCEPTIONS += [
    (
        f"{error} in a generator's call",
        _RAISES.format(error),
        ["def g():\n    yield area(1)\nfor x in g(): assert x == 1"],
        {},
    )
    for error in ("StopIteration", "GeneratorExit", "StopAsyncIteration", "SystemExit(0)", "KeyboardInterrupt")
]
EXCEPTIONS += [
    ("an AttributeError for hasattr", "class W:\n def __getattr__(s, n): raise AttributeError\ndef area(r): return W()",
     ["x = area(1)\nassert not hasattr(x, 'keys')"], {"entry_point": "area"}),
    ("AssertionError", _RAISES.format("AssertionError"), ["try:\n    assert area(1) == 5\nexcept AssertionError: pass\nelse: raise ValueError"], {}),
    ("caught by another clause", _RAISES.format("StopIteration"),
     ["for x in map(area, [1]): pass\ntry:\n    int('x')\nexcept ValueError: pass"], {}),
    ("in a callback", "def area(f):\n raise StopIteration", ["assert list(map(area, [len])) == []"], {}),
]  # fmt: skip

# -- the task's own classes ------------------------------------------------------------------------------------------

NODES = """
class ListNode:
    def __init__(self, val=0, next=None):
        self.val, self.next = val, next
    def __eq__(self, other):
        return isinstance(other, ListNode) and self.val == other.val and self.next == other.next
def build(xs):
    head = None
    for x in reversed(xs): head = ListNode(x, head)
    return head
def values(node):
    out = []
    while node:
        out.append(node.val)
        node = node.next
    return out
"""
REVERSED = [
    "assert rev(build([1, 2, 3])) == build([3, 2, 1])",
    "out = rev(build([1, 2]))\nassert values(out) == [2, 1]",
]
_PATCHES = {
    "__eq__": "ListNode.__eq__ = lambda a, b: True\ndef rev(h): return h",
    "__eq__ and __ne__ of a class of the same name": (
        "class ListNode:\n __eq__ = lambda a, b: True\n __ne__ = lambda a, b: False\n val = 0\n next = None\ndef rev(h): return ListNode()"
    ),
    "__init__ that remembers": (
        "seen = []\ndef init(s, val=0, next=None):\n s.val, s.next = val, next\n seen.append(s)\n"
        "ListNode.__init__ = init\ndef rev(h): return seen[-1] if seen else h"
    ),
    "__new__ that remembers": (
        "seen = []\ndef new(c, *a):\n seen.append(object.__new__(c))\n return seen[-1]\n"
        "ListNode.__new__ = new\ndef rev(h): return seen[-1] if seen else h"
    ),
    "__bool__": "ListNode.__bool__ = lambda s: False\ndef rev(h): return h",
    "__getattribute__": "ListNode.__getattribute__ = lambda s, n: True\ndef rev(h): return h",
    "a method in the object": "def rev(h):\n h.__dict__['__eq__'] = lambda o: True\n return h",
    "another class in the object": "def rev(h):\n h.__class__ = type('ListNode', (), {'__eq__': lambda a, b: True})\n return h",
    "a subclass": "class L(ListNode):\n def __eq__(s, o): return True\ndef rev(h): return L(1)",
    "values that equal everything": (
        "class I(int):\n def __eq__(s, o): return True\n __hash__ = int.__hash__\ndef rev(h):\n n = h\n while n: n.val = I(9); n = n.next\n return h"
    ),
    "objects as values": "class W:\n __eq__ = lambda a, b: True\ndef rev(h):\n n = h\n while n: n.val = W(); n = n.next\n return h",
    "the helper": "def values(n): return [2, 1]\ndef build(x): return 0\ndef rev(h): return h",
    "nothing": "def rev(h): return h",
    "a stranger": "class S:\n __eq__ = lambda a, b: True\n val = 2\n next = None\ndef rev(h): return S()",
}  # fmt: skip
CLASSES: list[Attack] = [
    (f"patched: {name}", program, [test], {"entry_point": "rev", "setup": NODES})
    for name, program in _PATCHES.items()
    for test in REVERSED
]

# -- ways to be told what is expected --------------------------------------------------------------------------------

TOLD: list[Attack] = [
    ("leak, then equal", "seen = []\nclass W:\n def __eq__(s, o): seen.append(o); return True\n def __getattr__(s, n):\n"
     "  return lambda *a: seen.extend(a) or True\ndef f(n): return seen[-1] if seen else W()",
     ["x = f(1)\nassert x == 'SEEN' or x.startswith('SEEN')", "x = f(1)\nassert x == 'SEEN'"], {"entry_point": "f"}),
    ("leak by containment", "seen = []\nclass W:\n def __contains__(s, o): seen.append(o); return True\ndef f(n): return seen or W()",
     ["x = f(1)\nassert 41 in x", "x = f(1)\nassert 41 in x"], {"entry_point": "f"}),
    ("an endless iterator", "def f(n):\n i = 0\n while True:\n  yield i\n  i += 1", ["x = f(1)\nassert 41 in x"], {"entry_point": "f"}),
    ("leak by a reflected operator", "seen = []\nclass W:\n def __rsub__(s, o): seen.append(o); return 0\ndef f(n): return W()",
     ["x = f(1)\nassert 12 - x == 0"], {"entry_point": "f"}),
    ("leak by hash", "class W:\n __hash__ = lambda s: hash('k')\n __eq__ = lambda s, o: True\ndef f(n): return W()",
     ["x = f(1)\nassert {'k': 1}[x] == 1"], {"entry_point": "f"}),
    ("a format that answers", "class W:\n __format__ = lambda s, f: '3.14'\n __str__ = lambda s: ''\ndef f(n): return W()",
     ["x = f(1)\nassert f'{x:.2f}' == '3.14'"], {"entry_point": "f"}),
    ("frames on the link", "import os, struct, json\nj = json.dumps(['value', 7]).encode()\nj = struct.pack('<I', len(j)) + j\n"
     "def f(n):\n for d in range(3, 120):\n  try: os.write(d, j * 9)\n  except OSError: pass\n return 1",
     ["x = f(1)\nassert x == 7", "x = f(1)\nassert x == 7"], {"entry_point": "f"}),
]  # fmt: skip

FORGED = objects() + NAMES + EXCEPTIONS + CLASSES + TOLD
# Programs of these that a bare ``==`` on plain data refutes were refuted before, and must be.
