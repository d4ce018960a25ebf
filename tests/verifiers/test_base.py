"""The contract: arguments by name, what may come back, and messages that name the verifier and what it did."""

import asyncio
import math
import sys

import pytest

from grpo_kit.verifiers import REGISTRY, Score, VerifierError, from_function, get_verifier, verifier


@pytest.fixture(autouse=True)
def _clean_registry():
    before = dict(REGISTRY)
    yield
    for name in set(REGISTRY) - set(before):
        if not REGISTRY[name].function.__module__.startswith("grpo_kit"):
            del REGISTRY[name]


def returning(value):
    return from_function(lambda response: value, name="mine")


@pytest.mark.parametrize(
    ("result", "value", "status"),
    [
        (True, 1.0, "ok"),
        (0, 0.0, "ok"),
        (-2.5, -2.5, "ok"),
        (None, 0.0, "abstain"),
        ({"score": 0.5, "extracted": 3, "passed": 2}, 0.5, "ok"),
        ({"status": "abstain", "reason": "unsure"}, 0.0, "abstain"),
        (Score(0.25, extracted="x"), 0.25, "ok"),
        (Score.abstain(), 0.0, "abstain"),
    ],
)
def test_what_may_come_back(result, value, status):
    score = returning(result)(response="r")
    assert (score.value, score.status) == (value, status)


@pytest.mark.parametrize(
    "result",
    [math.nan, math.inf, -math.inf, "1", [1.0], {"points": 1}, {"score": math.nan}, {"score": {"score": 1}}, object(),
     10**400, {"score": 1.0, "metrics": {"x": math.nan}}],
)  # fmt: skip
def test_what_may_not_come_back(result):
    with pytest.raises(VerifierError, match=r"verifier 'mine'.*test_base.py"):
        returning(result)(response="r")


def test_a_dict_becomes_score_and_metrics():
    score = returning({"score": 1, "extracted": 42, "reason": "fine", "passed": 3})(response="r")
    assert score == Score(1.0, extracted="42", reason="fine", metrics={"passed": 3.0})


def test_arguments_by_name():
    seen = {}

    def check(completion_ids, meta, answer, messages, prompt, response, option=5):
        seen.update(locals())
        return 1

    made = from_function(check).with_options({"option": 6})
    made(response="r", answer="a", prompt="p", meta={"k": 1}, completion_ids=[1], messages=[])
    seen.pop("seen", None)
    assert seen == {
        "response": "r", "answer": "a", "prompt": "p", "meta": {"k": 1}, "completion_ids": [1], "messages": [],
        "option": 6,
    }  # fmt: skip


def test_keyword_arguments_get_everything():
    made = from_function(lambda response, **others: float(len(others)), name="open")
    assert made(response="r", answer="a").value == 5.0


def test_batch_group_and_async():
    batch = from_function(lambda response, answer: [r == a for r, a in zip(response, answer, strict=True)],
                          name="b", batch=True)  # fmt: skip
    cases = [{"response": "x", "answer": "x"}, {"response": "y", "answer": "x"}]
    assert [s.value for s in batch.score_many(cases)] == [1.0, 0.0]
    group = from_function(lambda response, answer: [float(len(set(response)))] * len(response), name="g", group=True)
    assert [s.value for s in group.score_many(cases)] == [2.0, 2.0]

    async def later(response):
        await asyncio.sleep(0)
        return response == "x"

    assert [s.value for s in from_function(later).score_many(cases)] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("result", "message"),
    [([1.0], "given 2 responses and returned 1"), (1.0, "must return a list of 2"), ("ab", "list of 2"),
     ([1.0, math.nan], "response 1 of the call.*finite"), ([1.0, "x"], "response 1")],
)  # fmt: skip
def test_a_batch_verifier_that_returns_nonsense(result, message):
    made = from_function(lambda response: result, name="b", batch=True)
    with pytest.raises(VerifierError, match=rf"'b'.*{message}"):
        made.score_many([{"response": "x"}, {"response": "y"}])


def test_an_unknown_parameter():
    with pytest.raises(VerifierError, match=r"'check'.*'respone'.*Did you mean 'response'"):
        from_function(check_with_typo(), name="check")


def check_with_typo():
    return lambda respone, answer: 1


def test_a_duplicate_name():
    @verifier(name="twice")
    def one(response):
        return 1

    with pytest.raises(VerifierError, match=r"'twice' is taken by .*test_base.py"):

        @verifier(name="twice")
        def two(response):
            return 2


def test_an_unknown_option_and_bad_settings():
    with pytest.raises(VerifierError, match=r"no option 'patern'.*Did you mean 'pattern'"):
        get_verifier("regex").with_options({"patern": "x"})
    with pytest.raises(VerifierError, match="not both"):
        from_function(lambda response: 1, name="x", batch=True, group=True)
    with pytest.raises(VerifierError, match="above 0"):
        from_function(lambda response: 1, name="x", timeout=0)


def test_lookup_by_file_name_and_module(tmp_path, monkeypatch):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "reward.py").write_text(f"def check(response): return response == {folder!r}\n")
    for folder in ("a", "b"):  # two files of one name do not shadow each other
        assert get_verifier(f"{tmp_path}/{folder}/reward.py:check")(response=folder).value == 1.0
    assert "reward" not in sys.modules
    monkeypatch.chdir(tmp_path / "a")
    assert get_verifier("reward.py:check")(response="a").value == 1.0
    with pytest.raises(VerifierError, match=r"no module 'reward'.*current directory is not"):
        get_verifier("reward:check")
    with pytest.raises(VerifierError, match=r"no function 'chek'.*check.*Did you mean 'check'"):
        get_verifier("reward.py:chek")
    with pytest.raises(VerifierError, match="no such verifier file"):
        get_verifier("missing.py:check")
    with pytest.raises(VerifierError, match=r"'nmber'.*Did you mean 'number'"):
        get_verifier("nmber")
    assert str(tmp_path / "a") not in sys.path
    assert get_verifier("grpo_kit.verifiers.number:number") is get_verifier("number")


def test_lookup_by_entry_point(tmp_path, monkeypatch):
    info = tmp_path / "plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[grpo_kit.verifiers]\nplugged = plugin_module:check\n")
    (tmp_path / "plugin_module.py").write_text("def check(response, answer): return response == answer\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = get_verifier("plugged")
    assert found.name == "plugged"
    assert found(response="1", answer="1").value == 1.0


def test_an_error_in_the_users_file_is_its_own(tmp_path):
    (tmp_path / "broken.py").write_text("def check(response): return 1\n\n1 / 0\n")
    with pytest.raises(ZeroDivisionError) as caught:
        get_verifier(f"{tmp_path}/broken.py:check")
    assert str(caught.traceback[-1].path) == str(tmp_path / "broken.py")
    assert caught.traceback[-1].lineno == 2
