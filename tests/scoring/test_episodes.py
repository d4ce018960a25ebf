"""Episodes of several turns: what verifiers are told of them, and what their environment paid as a part of the reward."""

from pathlib import Path

import pytest

from grpo_kit.scoring import Scorer, ScoringError, VerifierSpec
from grpo_kit.types import CUT, Completion, Group, Prompt, Score, Task, Turn
from grpo_kit.verifiers import VerifierError

FILE = Path(__file__).parents[1] / "kit" / "scoring_verifiers.py"
EQUAL, HEARD = f"{FILE}:equal", f"{FILE}:heard"
ASKED = {"role": "user", "content": "guess"}


def reply(text):
    return {"role": "user", "content": text}


def episode(index, text, outcome=None, turns=(), before=("40",)):
    """Of two turns: 40, higher, and then a text."""
    earlier = [Turn(2 * n, said, (reply("higher"),), seconds=0.25) for n, said in enumerate(before)]
    paid = [Turn(t.start, t.text, t.replies, reward, seconds=0.25) for t, reward in zip(earlier, turns, strict=False)]
    made = [*(paid or earlier), Turn(2 * len(earlier), text)]
    return Completion("t", index, [1, 2, 3, 4], [0.0] * 4, text, "stop", 0, turns=made, ending="done", outcome=outcome)


def group(*episodes, meta=None):
    return Group(Task("t", (ASKED,), "42", meta or {}), Prompt("t", (1,)), list(episodes))


def scored(made, specs=(), **settings):
    settings = {"workers": 0} | settings
    with Scorer([VerifierSpec(spec) for spec in specs], **settings) as scorer:
        (found,) = scorer.score_groups([made])
        return found


@pytest.mark.parametrize("workers", [0, 1])
def test_each_episode_is_judged_by_its_last_turn_and_its_own_conversation(workers):
    made = group(episode(0, "42"), episode(1, "41", before=("1", "2")), Completion("t", 2, [1], [0.0], "42", "stop", 0))
    found = scored(made, [HEARD], workers=workers)
    assert [s.reason for s in found.scores] == [
        "user guess / assistant 40 / user higher -> 42",
        "user guess / assistant 1 / user higher / assistant 2 / user higher -> 41",
        "user guess -> 42",
    ]
    assert [s.value for s in found.scores] == [3.0, 5.0, 1.0]


def test_what_the_environment_paid_is_one_more_part_of_the_reward():
    made = group(episode(0, "42", Score(1.0, reason="found"), turns=[0.25]), episode(1, "41", Score(0.0)))
    found = scored(made, [EQUAL], outcome=("guess", 2.0))
    assert [s.value for s in found.scores] == [3.5, 0.0]
    assert [p["guess"].value for p in found.parts] == [1.25, 0.0]
    assert (found.judge, found.mark, found.outcome_weight) == ("equal", "equal", 2.0)
    assert scored(group(episode(0, "42", Score(1.0))), [EQUAL]).outcome_weight is None


def test_without_verifiers_the_environment_judges_too():
    made = group(episode(0, "42", Score(1.0)), episode(1, "41", Score(0.25)), episode(2, "41"))
    found = scored(made, outcome=("guess", 0.5))
    assert [(s.value, s.status) for s in found.scores] == [(0.5, "ok"), (0.125, "ok"), (0.0, "abstain")]
    assert (found.judge, found.mark) == ("guess", "guess")
    assert [v.right for v in found.verdicts()] == [True, False, False]
    with pytest.raises(VerifierError, match="at least one verifier"):
        Scorer([])


def test_a_judge_that_is_none_of_the_reward_looks_on_beside_the_environment():
    made = group(episode(0, "no", Score(1.0)))
    found = scored(made, outcome=("guess", 1.0), judge=VerifierSpec(EQUAL))
    assert (found.scores[0].value, found.judge, found.mark) == (1.0, "equal", "guess")
    assert scored(made, outcome=("guess", 1.0), judge=VerifierSpec(EQUAL), judge_all=True).mark == "equal"


@pytest.mark.parametrize("status", ["error", "timeout"])
def test_an_episode_whose_environment_failed_is_left_out_and_its_siblings_are_not(status):
    failed = Score(status=status, reason="its worker died")
    found = scored(group(episode(0, "42", failed), episode(1, "42", Score(1.0))), [EQUAL], outcome=("guess", 1.0))
    assert [(s.value, s.status) for s in found.scores] == [(0.0, status), (2.0, "ok")]
    assert found.scores[0].reason == "its worker died"


@pytest.mark.parametrize("judge", [None, VerifierSpec(f"{FILE}:heard")])
def test_nobody_judges_half_an_episode_whether_the_environment_pays_or_not(judge):
    broken = episode(0, "42")
    broken.ending = "error"
    found = scored(group(broken, episode(1, "42")), [EQUAL], judge=judge)
    assert [(s.value, s.status) for s in found.scores] == [(0.0, "error"), (1.0, "ok")]
    assert [(v.status, v.right) for v in found.verdicts()] == [("error", False), ("ok", True)]
    assert [m.status for m in found.marks()] == ["error", "ok"]


def test_turns_that_were_paid_are_a_reward_without_an_outcome():
    found = scored(group(episode(0, "42", None, turns=[0.5])), outcome=("guess", 1.0))
    assert found.scores[0].value == 0.5


@pytest.mark.parametrize(("ending", "status"), [*((ending, "ok") for ending in CUT), ("done", "abstain")])
def test_an_episode_that_was_cut_is_paid_nothing_and_is_compared_all_the_same(ending, status):
    lost = episode(0, "41")
    lost.ending = ending
    found = scored(group(lost, episode(1, "42", Score(1.0))), outcome=("guess", 1.0))
    assert [(s.value, s.status) for s in found.scores] == [(0.0, status), (1.0, "ok")]


def test_an_environment_that_keeps_failing_stops_the_run_by_its_name():
    failed = group(episode(0, "42", Score(status="error", reason="no such file")))
    with Scorer([], workers=0, outcome=("guess", 1.0), error_patience=2) as scorer:
        list(scorer.score_groups([failed]))
        with pytest.raises(
            ScoringError, match=r"environment 'guess' failed on 100%.*no such file.*Mend the environment"
        ):
            list(scorer.score_groups([failed]))


def test_what_was_paid_is_counted_like_a_verifiers_scores():
    with Scorer([], workers=0, outcome=("guess", 1.0)) as scorer:
        list(scorer.score_groups([group(episode(0, "42", Score(1.0)), episode(1, "1", Score(0.0)), episode(2, "1"))]))
        found = scorer.statistics()
    assert found["verifier/guess/mean"] == 0.5
    assert found["verifier/guess/abstain"] == 1.0
    assert found["verifier/guess/latency_p50"] == 0.25


def test_a_verifier_of_the_environments_name_is_refused():
    with pytest.raises(VerifierError, match="the environment 'equal' and a verifier have one name"):
        Scorer([VerifierSpec(EQUAL)], workers=0, outcome=("equal", 1.0))
