"""Scorers of other libraries that evaluate the text of a response are found by reading them, and refused by name."""

import importlib
import textwrap

import pytest

from grpo_kit.verifiers import VerifierError, from_function, get_verifier
from grpo_kit.verifiers.foreign import evaluation_in

# name of a scorer in the package -> whether it evaluates what it is given
SCORERS = {
    "direct": True,
    "by_map": True,
    "in_a_helper": True,
    "in_another_module": True,
    "by_an_inner_import": True,
    "by_an_alias": True,
    "by_a_builtin_module": True,
    "by_pickle": True,
    "in_a_class_it_makes": True,
    "in_a_lambda_default": True,
    "compares": False,
    "literal": False,
    "by_a_pattern": False,
    "own_parse_expr": False,
    "makes_a_dataclass": False,
    "recursive": False,
}
PACKAGE = {
    "__init__.py": "",
    "helpers.py": """
        import builtins
        from dataclasses import dataclass

        def evaluate(text):
            return eval(text)

        def parse_expr(text):
            return text.split("+")

        class Reader:
            def read(self, text):
                return exec(text)

        @dataclass
        class Pair:
            left: int = 0
    """,
    "scorers.py": """
        import ast
        import builtins
        import pickle
        import re

        from . import helpers
        from .helpers import Pair, Reader, parse_expr

        run = eval

        def direct(answer, entry):
            return float(eval(answer) == entry)

        def by_map(answer, entry):
            return float(sum(map(eval, answer.split())))

        def local(text):
            return eval(text)

        def in_a_helper(answer, entry):
            return local(answer)

        def in_another_module(answer, entry):
            return helpers.evaluate(answer)

        def by_an_inner_import(answer, entry):
            from sympy import Poly
            return Poly(answer) == entry

        def by_an_alias(answer, entry):
            return run(answer)

        def by_a_builtin_module(answer, entry):
            return builtins.eval(answer)

        def by_pickle(answer, entry):
            return pickle.loads(answer)

        def in_a_class_it_makes(answer, entry):
            return Reader().read(answer)

        def in_a_lambda_default(answer, entry, check=lambda text: eval(text)):
            return check(answer)

        def compares(answer, entry):
            return float(answer.strip() == entry["answer"])

        def literal(answer, entry):
            return ast.literal_eval(answer) == entry

        def by_a_pattern(answer, entry):
            return bool(re.compile("a+").match(answer))

        def own_parse_expr(answer, entry):
            return parse_expr(answer) == entry

        def makes_a_dataclass(answer, entry):
            return Pair(len(answer)) == entry

        def recursive(answer, entry):
            return answer == entry or recursive(answer[1:], entry)

        class Base:
            def check(self, text):
                return text == "4"

        class Dataset(Base):
            other = None

            def score_answer(self, answer, entry):
                return self.check(answer)

        class Evaluating(Dataset):
            def check(self, text):
                return eval(text)

        class Handing(Dataset):
            def score_answer(self, answer, entry):
                return self.other.score_answer(answer, entry)
    """,
}


@pytest.fixture(scope="module")
def scorers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    (folder / "foreign_gym").mkdir()
    for name, text in PACKAGE.items():
        (folder / "foreign_gym" / name).write_text(textwrap.dedent(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield importlib.import_module("foreign_gym.scorers")


@pytest.mark.parametrize(("name", "evaluates"), SCORERS.items())
def test_a_scorer_is_read(scorers, name, evaluates):
    found = evaluation_in(getattr(scorers, name))
    assert (found is not None) == evaluates, found


def test_methods_are_followed_from_the_class_that_was_made(scorers):
    assert evaluation_in(scorers.Dataset().score_answer) is None
    assert "check" in evaluation_in(scorers.Evaluating().score_answer)
    assert "score_answer" in evaluation_in(scorers.Handing().score_answer)
    assert evaluation_in(len) is not None  # no source to be read


def test_a_frameworks_scorer_that_evaluates_is_not_adapted(scorers, monkeypatch):
    from grpo_kit.verifiers import adapters

    assert from_function(scorers.direct).shape == "reasoning-gym"  # a package of the user's own
    monkeypatch.setattr(adapters, "FRAMEWORKS", frozenset({"foreign_gym"}))
    with pytest.raises(VerifierError, match="'direct' evaluates text as code"):
        from_function(scorers.direct)
    assert from_function(scorers.compares).shape == "reasoning-gym"


EVALUATING = (
    *("binary_matrix", "countdown", "intermediate_integration", "n_queens", "polynomial_multiplication", "puzzle24"),
    *("simple_integration", "spiral_matrix", "string_insertion"),
)


@pytest.mark.parametrize("name", EVALUATING)
def test_reasoning_gym_datasets_that_evaluate_are_refused(name, tmp_path):
    library = pytest.importorskip("reasoning_gym")
    canary = tmp_path / "canary"
    entry = dict(library.create_dataset(name, size=1, seed=1)[0])
    call = f"__import__('pathlib').Path({str(canary)!r}).touch()"
    for response in (call, f"['a', {call}]", f"[[{call}]]", f"1 + {call}"):
        with pytest.raises(VerifierError, match=f"{name}.*evaluates text as code"):
            get_verifier("reasoning_gym")(response=response, meta={"dataset": name, "entry": entry})
    assert not canary.exists()


def test_no_other_reasoning_gym_dataset_runs_a_canary(tmp_path):
    library = pytest.importorskip("reasoning_gym")
    canary = tmp_path / "canary"
    call = f"__import__('pathlib').Path({str(canary)!r}).touch()"
    found = get_verifier("reasoning_gym")
    for name in ("chain_sum", "sudoku", "propositional_logic", "complex_arithmetic", "rotate_matrix", "word_sorting"):
        entry = dict(library.create_dataset(name, size=1, seed=1)[0])
        for response in (call, f"[{call}]", f"({call})", f"!!python/object/apply:os.system ['touch {canary}']"):
            found(response=f"<answer>{response}</answer>", meta={"dataset": name, "entry": entry})
    assert not canary.exists()
