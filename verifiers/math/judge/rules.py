"""The table of equality: for a kind of gold and a kind of response, the rule that decides, in order.

The first rule that does not hand the pair on decides. Amounts are taken apart first, then residues, relations and
lists, down to single collections; docs/math.md has an example of every rule.
"""

from __future__ import annotations

from ..values import (
    Based,
    Cases,
    Ellipsis_,
    Expr,
    Labelled,
    ListOf,
    Matrix,
    Modular,
    NamedSet,
    Percent,
    Quantity,
    Ratio,
    Relation,
    SetBuilder,
    SetOf,
    SetOperation,
    Text,
    Tuple,
    Value,
)
from . import amounts, lists, plain, residues, statements, structures
from .marker import Marker, Mode, Row

_ANY = (Value,)
_AMOUNT = (Quantity, Percent)
_STATEMENT = (Relation, Labelled)
_SET_LIKE = (SetOf, SetOperation, SetBuilder, NamedSet, Tuple, Relation)

TABLE: tuple[Row, ...] = (
    Row((Expr,), (Expr,), plain.same_plain),
    Row((Ratio,), _AMOUNT, structures.never),
    Row(_AMOUNT, (Ratio,), structures.never),
    Row(_AMOUNT, _ANY, amounts.same_amount),
    Row(_ANY, _AMOUNT, amounts.same_amount),
    Row((Modular,), (Modular,), residues.same_residue),
    Row((Modular,), (Expr, Relation, Labelled), residues.residue_of_gold),
    Row((Expr, Relation, Labelled), (Modular,), residues.residue_of_response),
    Row(_STATEMENT, _STATEMENT, statements.both_statements),
    Row(_STATEMENT, _ANY, statements.gold_statement),
    Row(_ANY, _STATEMENT, statements.response_statement),
    Row((ListOf,), _ANY, lists.same_list),
    Row(_ANY, (ListOf,), lists.same_list),
    Row((Tuple,), (SetOf,), lists.signs_in_tuple),
    Row((SetOf,), (Tuple,), lists.signs_in_tuple),
    Row((Ratio,), _ANY, structures.same_ratio),
    Row(_ANY, (Ratio,), structures.same_ratio),
    Row((Based,), _ANY, structures.same_based),
    Row(_ANY, (Based,), structures.same_based),
    Row((Matrix, Tuple), (Expr,), structures.vector_in_letters),
    Row((Expr,), (Matrix, Tuple), structures.vector_in_letters),
    Row((Matrix,), _ANY, structures.same_matrix),
    Row(_ANY, (Matrix,), structures.same_matrix),
    Row((Cases,), (Cases,), structures.same_cases),
    Row((Tuple,), (Tuple,), structures.same_tuple),
    Row((SetBuilder,), (SetBuilder,), structures.same_builder),
    Row((SetOf,), (SetOf, Expr), lists.same_as_sets),
    Row((Expr,), (SetOf,), lists.same_as_sets),
    Row(_SET_LIKE, _SET_LIKE, structures.same_set),
    Row((Text,), (Text,), structures.same_text),
    Row((Ellipsis_,), (Ellipsis_,), structures.always),
)
_MARKERS: dict[Mode, Marker] = {mode: Marker(TABLE, mode) for mode in ("strict", "default", "lenient")}


def marker(mode: Mode = "default", integers: frozenset[str] = frozenset()) -> Marker:
    """The marker of a mode; ``integers`` are the variables that the gold declares to be whole numbers."""
    made = _MARKERS[mode]
    return made if not integers else Marker(TABLE, mode, integers, made.found)
