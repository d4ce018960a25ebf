"""Every shipped verifier gives its own test cases the expected value."""

import importlib.util

import pytest

from grpo_kit.scoring.selftest import examine
from grpo_kit.verifiers import REGISTRY
from grpo_kit.verifiers.lookup import SHIPPED, named_verifier


def _all_cases():
    for name, module in SHIPPED.items():
        if importlib.util.find_spec(f"grpo_kit.verifiers.{module}") is None or named_verifier(name) is None:
            continue
        for index, case in enumerate(REGISTRY[name].cases() if REGISTRY[name].cases else ()):
            yield pytest.param(name, case, id=f"{name}-{index}")


@pytest.mark.parametrize(("name", "case"), list(_all_cases()))
def test_a_shipped_verifier_scores_its_own_cases(name, case):
    found = REGISTRY[name].with_options(case.options)
    score = found(
        response=case.response,
        answer=case.answer,
        prompt=case.prompt,
        meta=dict(case.meta),
        completion_ids=list(range(len(case.response.split()))),
        messages=[{"role": "user", "content": case.prompt}],
    )
    if case.expected is None:
        assert score.status == "abstain", score
    else:
        assert score.status == "ok", score
        assert score.value == pytest.approx(case.expected), score


@pytest.mark.parametrize("name", [name for name in SHIPPED if name in REGISTRY and REGISTRY[name].cases])
def test_a_shipped_verifier_survives_the_attacks(name):
    rows = examine(name)
    assert sum(row.kind == "attack" for row in rows) > 20
    assert [row for row in rows if row.problem and not row.warning] == []
