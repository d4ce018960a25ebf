"""The wire encoding: data survives, anything else is refused, and no message costs more than its length."""

from __future__ import annotations

import collections
import contextlib
import datetime
import decimal
import enum
import fractions
import json
import math
import re
from collections import Counter, OrderedDict, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpo_kit.sandbox.wire import codec, shown

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(max_size=50),
    st.complex_numbers(allow_nan=False),
    st.fractions(),
    st.decimals(allow_nan=False, min_value=-(10**50), max_value=10**50),
    st.dates(),
    st.datetimes(),
    st.timedeltas(),
)
hashables = st.one_of(scalars, st.tuples(scalars, scalars), st.frozensets(st.integers(), max_size=5))
values = st.recursive(
    st.one_of(scalars, st.sets(hashables, max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.tuples(inner, inner),
        st.dictionaries(hashables, inner, max_size=5),
        st.builds(collections.deque, st.lists(inner, max_size=3)),
    ),
    max_leaves=20,
)


def through(value, **options):
    return codec.decode(codec.from_bytes(codec.to_bytes(codec.encode(value, **options))[4:]))


def test_a_member_that_is_large_is_no_member():
    class Large(enum.IntEnum):
        A = 1
        B = 1 << 4000

    small, large = (codec.decode(codec.encode(member)) for member in Large)
    assert codec.is_member(small, "Large")
    assert not codec.is_member(large, "Large")
    assert large == 1 << 4000
    for kind, value in (("int", 1 << 4000), ("str", "x" * 500), ("list", [1])):
        with pytest.raises(codec.Malformed):
            codec.decode({"~": "member", "v": [kind, "Large", "B", codec.encode(value)]})


@given(values)
def test_data_survives_with_its_types(value):
    back = through(value)
    assert back == value
    assert repr(back) == repr(value) or isinstance(value, (set, frozenset, dict, list, tuple, collections.deque))
    assert type(back) is type(value)


def test_special_floats_and_large_numbers():
    assert math.isnan(through(math.nan))
    assert through([math.inf, -0.0]) == [math.inf, -0.0]
    assert through(-(10**9000)) == -(10**9000)  # beyond the digits that Python prints
    assert through("\ud800") == "\ud800"


def test_subclasses_travel_as_the_data_they_hold():
    class Always(int):
        def __eq__(self, other):
            return True

        def __int__(self):
            return 3

        __hash__ = int.__hash__

    class Color(enum.IntEnum):
        RED = 1

    Point = collections.namedtuple("Point", "x y")
    assert type(through(Always(7))) is int
    assert through(Always(7)) == 7
    assert through(Color.RED) == 1
    assert through(collections.Counter("aab")) == {"a": 2, "b": 1}
    assert through(Point(1, 2)) == (1, 2)
    assert through(Point(1, 2)).y == 2
    with pytest.raises(AttributeError):
        _ = through(Point(1, 2)).z


def test_objects_do_not_travel():
    thing = through([object()])[0]
    assert isinstance(thing, codec.Opaque)
    with pytest.raises(TypeError, match="own where data was expected"):
        assert thing == object()
    assert isinstance(through(lambda: 1), codec.Opaque)
    assert isinstance(through(iter([1])), codec.Opaque)
    assert through((n * n for n in range(3)), iterate=True) == [0, 1, 4]


@pytest.mark.parametrize(
    "data",
    [
        {"~": "code", "v": "x"},
        {"~": "ref", "v": ["object", 1, "x"]},
        {"v": 1},
        {"~": "int", "v": "12"},
        {"~": "int", "v": 12},
        {"~": "dict", "v": [1]},
        {"~": "set", "v": [[1]]},
        {"~": "bytes", "v": "&&"},
        {"~": "fraction", "v": ["0x1", "0x0"]},
        {"~": "range", "v": ["0x0", "0x" + "f" * 50, "0x1"]},
        {"~": "record", "v": [["a"], [1, 2]]},
        {"~": "ndarray", "v": [1, 2, 3]},
        {"~": ["list"], "v": 1},
    ],
)
def test_malformed_values_are_refused(data):
    with pytest.raises(codec.Malformed):
        codec.decode(data)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda s: st.lists(s) | st.dictionaries(st.sampled_from(["~", "v", "x"]), s),
        max_leaves=15,
    )
)
def test_decoding_never_fails_in_another_way(data):
    with contextlib.suppress(codec.Malformed):
        codec.decode(json.loads(json.dumps(data)))


def test_colliding_hashes_are_refused():
    colliding = [n * ((1 << 61) - 1) for n in range(1000)]
    for tag in ("set", "frozenset"):
        with pytest.raises(codec.Malformed, match="colliding"):
            codec.decode({"~": tag, "v": [codec.encode(n) for n in colliding]})
    with pytest.raises(codec.Malformed, match="colliding"):
        codec.decode({"~": "dict", "v": [x for n in colliding for x in (codec.encode(n), 1)]})
    assert len(codec.decode({"~": "set", "v": list(range(5000))})) == 5000


def test_depth_is_bounded():
    value: list = []
    for _ in range(1000):
        value = [value]
    with pytest.raises(codec.TooDeep):
        codec.encode(value)
    with pytest.raises(codec.Malformed):
        codec.decode(value)
    with pytest.raises(codec.Malformed):
        codec.from_bytes(b"[" * 100_000)


def test_numpy_travels_as_data():
    numpy = pytest.importorskip("numpy")
    assert through(numpy.int64(3)) == 3
    assert type(through(numpy.float64(0.5))) is float
    array = through(numpy.array([[1, 2], [3, 4]]))
    assert isinstance(array, codec.Array)
    assert (array.items, array.shape) == ([[1, 2], [3, 4]], (2, 2))


def test_exact_decimals_and_dates():
    for value in (
        decimal.Decimal("1.10"),
        decimal.Decimal("-1E+999999999"),
        fractions.Fraction(1, 3),
        datetime.time(1, 2),
        range(2, 9, 3),
        ...,
    ):
        assert through(value) == value


def test_data_of_the_standard_library_arrives_as_its_kind():
    keys = {"a": 1, "b": 2}
    for value in (Counter("aab"), OrderedDict(b=1, a=2), defaultdict(list, {1: [2]}), defaultdict(None, {1: 2})):
        back = codec.decode(codec.encode(value))
        assert (type(back), back) == (type(value), value)
    assert codec.decode(codec.encode(keys.keys())) == keys.keys()
    assert codec.decode(codec.encode(keys.items())) == keys.items()
    assert list(codec.decode(codec.encode(keys.values()))) == [1, 2]
    assert codec.decode(codec.encode(keys.values(), iterate=True)) == [1, 2]
    assert type(codec.decode(codec.encode(defaultdict(lambda: 7)))) is dict


def test_a_match_arrives_as_its_text_and_groups():
    found = re.match("(?P<head>a+)(x)?(b)", "aabc")
    assert found is not None
    back = codec.decode(codec.encode(found))
    assert back
    assert back != "aab"
    for name in ("group", "groups", "groupdict", "span", "start", "end"):
        assert getattr(back, name)() == getattr(found, name)()
    assert (back["head"], back[3], back.group(1, 2), back.span(2)) == ("aa", "b", ("aa", None), (-1, -1))
    with pytest.raises(IndexError):
        back.group(9)
    spans = {"~": "match", "v": ["x", "abc", [0, 3] * 5000, {"~": "dict", "v": []}]}
    with pytest.raises(codec.Malformed):
        codec.decode(spans)


def test_text_can_be_written():
    assert shown.written("a\ud800ü") == "a\\ud800ü"


def test_what_is_shown_is_bounded_and_in_its_order():
    assert shown.show({3: {1: {2: [4]}}, 1: set()}) == "{3: {1: {2: [4]}}, 1: set()}"
    assert shown.show(dict.fromkeys(range(20, 0, -1))).startswith("{20: None, 19: None")
    assert shown.show(frozenset({5})) == "frozenset({5})"
    deep: list[object] = []
    deep.append({"a": deep})
    assert len(shown.show(deep)) < 300
    assert shown.show(set(range(99))).endswith(", ...}")
