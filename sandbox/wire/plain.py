"""The methods of plain data: names that, asked of a result, say that data was expected."""

from __future__ import annotations

import collections
import decimal
import fractions

_TYPES = (
    *(str, bytes, bytearray, list, tuple, dict, set, frozenset, int, float, complex, range),
    *(collections.deque, collections.Counter, collections.OrderedDict, decimal.Decimal, fractions.Fraction),
)
# Of arrays and tables, which are not at hand where the sandbox runs without them.
_ARRAYS = """
    all any argmax argmin argsort astype cumsum dot equals eq ne flatten isin isna max mean min nonzero prod ravel
    reshape round squeeze std sum tolist transpose to_dict to_list to_numpy tobytes unique value_counts var item
    shape dtype ndim columns iloc loc dtypes count index values items keys get copy append replace T
"""
_OF_KINDS = [frozenset(n for n in dir(kind) if not n.startswith("_")) for kind in _TYPES] + [frozenset(_ARRAYS.split())]
DATA_NAMES = frozenset().union(*_OF_KINDS)
# Those that say yes or no, or how often, or are given what is wanted. `find` and `index` say where, which a test compares.
JUDGING = frozenset(name for name in DATA_NAMES if name.startswith(("is", "compare")))
JUDGING |= {"all", "any", "count", "endswith", "eq", "equals", "ne", "same_quantum", "startswith"}
JUDGING |= {
    "difference",
    "intersection",
    "symmetric_difference",
    "removeprefix",
    "removesuffix",
    "partition",
    "rpartition",
}
# What says yes or no, given what is wanted or not.
SAYING_YES = frozenset(name for name in JUDGING if name.startswith(("is", "starts", "ends", "eq", "ne", "same")))


def of_data(attributes: frozenset[str] | set[str]) -> bool:
    """Whether there is one kind of data that has all of these attributes."""
    return any(attributes <= kind for kind in _OF_KINDS)
