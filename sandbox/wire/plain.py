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
"""
DATA_NAMES = frozenset(n for kind in _TYPES for n in dir(kind) if not n.startswith("_")) | frozenset(_ARRAYS.split())
