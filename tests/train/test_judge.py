"""Who judges, and that its verdict is what right means everywhere; two runs whose reward is hacked say so."""

import json
from collections import Counter

import pytest

from grpo_kit.config.read import load_recipe
from grpo_kit.errors import RunFailed, UserError
from grpo_kit.evaluate.judge import find_judge
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.report.head import watch_card
from grpo_kit.run.dispatch import train
from grpo_kit.run.request import TrainRequest
from grpo_kit.run.start import check_verifiers
from grpo_kit.scoring import Scorer, VerifierSpec
from grpo_kit.train.batch import build_batch, rollout_metrics
from grpo_kit.train.filters import agrees
from grpo_kit.train.pairs import mine_labels
from grpo_kit.train.preflight import preflight
from grpo_kit.types import Completion, Group, Prompt, Score, Task

SOURCE = """
from grpo_kit.verifiers import verifier

def chatty(response):
    return min(1.0, len(response) / 16)

@verifier(name="ranked_here", group=True)
def ranked(response: list) -> list:
    return [1.0] * len(response)

def crash(response):
    raise ValueError("no opinion")
"""


@pytest.fixture(scope="module")
def chatty(tmp_path_factory):
    path = tmp_path_factory.mktemp("verifiers") / "mine.py"
    path.write_text(SOURCE)
    return str(path)


def recipe(*overrides, name="quickstart/addition"):
    return load_recipe(name, list(overrides))


@pytest.mark.parametrize(
    ("overrides", "shown", "is_reward"),
    [
        (["verifiers=[{name: math}]"], "math", True),
        (["verifiers=[{name: math},{name: MINE:chatty, weight: 2}]"], "math", False),
        (["verifiers=[{name: MINE:chatty, weight: 2},{name: math}]"], "math", False),
        (["verifiers=[{name: MINE:chatty}]"], "math", False),
        (["verifiers=[{name: MINE:chatty}]", "data.task=sort_letters"], "exact", False),
        (["verifiers=[{name: length, options: {maximum: 9}}]", "data.task=countdown"], "countdown", False),
        (["verifiers=[{name: MINE:chatty}]", "data.task=one_line_function"], "code", False),
        (["verifiers=[{name: MINE:chatty}]", "evaluation.verifier=MINE:chatty"], "your reward (chatty)", True),
        (["verifiers=[{name: math}]", "evaluation.verifier={name: number}"], "number", False),
    ],
)
def test_who_judges(chatty, overrides, shown, is_reward):
    judge = find_judge(recipe(*(o.replace("MINE", chatty) for o in overrides)))
    assert (str(judge), judge.is_reward) == (shown, is_reward)


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        ([{"prompt": f"{i}?", "answer": str(i)} for i in range(40)], "math"),
        ([{"prompt": f"{i}?", "answer": f"word{'abcdefghij'[i % 10]}"} for i in range(40)], "exact"),
        ([{"prompt": f"{i}?", "answer": "an essay " * 90} for i in range(40)], "your reward (chatty)"),
        (
            [{"prompt": f"{i}?", "answer": str(i), "verifier": "number"} for i in range(40)],
            "each row's own verifier, else math",
        ),
    ],
)
def test_who_judges_a_dataset(chatty, tmp_path, rows, shown):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = [f"data={{path: {path}}}", "warm_start=null", f"verifiers=[{{name: '{chatty}:chatty'}}]"]
    assert str(find_judge(recipe(*data))) == shown


def test_a_judge_that_is_not_there_or_cannot_judge_is_refused_early(chatty):
    with pytest.raises(UserError, match=r"evaluation.verifier: there is no verifier named 'maht'.*math"):
        check_verifiers(recipe("evaluation.verifier=maht"))
    with pytest.raises(UserError, match=r"evaluation.verifier: .*against each other"):
        check_verifiers(recipe(f"evaluation.verifier={chatty}:ranked"))
    with pytest.raises(UserError, match="a judge has no weight"):
        recipe("evaluation.verifier={name: math, weight: 2}")
    with pytest.raises(UserError, match=r"evaluation.verifier: countdown does not|countdown"):
        preflight(recipe("evaluation.verifier=countdown"), None)
    with pytest.raises(UserError, match="Did you mean hacking"):
        recipe("limits.hacking=hackin")


def scored(chatty, texts, specs, judge, **settings):
    task = Task("t", ({"role": "user", "content": "2+5="},), "7")
    completions = [Completion("t", i, [i], [-1.0], text, "stop", 0) for i, text in enumerate(texts)]
    with Scorer(specs, workers=0, judge=judge, **settings) as scorer:
        (group,) = scorer.score_groups([Group(task, Prompt("t", (1,)), completions)])
        return group, scorer.statistics()


def test_a_judge_beside_the_reward_is_recorded_and_not_paid(chatty):
    specs, judge = [VerifierSpec(f"{chatty}:chatty")], VerifierSpec("math")
    group, seen = scored(chatty, ["x" * 40, "\\boxed{7}"], specs, judge)
    assert [s.value for s in group.scores] == [1.0, pytest.approx(9 / 16)]
    assert [v.right for v in group.verdicts()] == [False, True]
    assert group.judge == "math"
    assert [m.value for m in group.marks()] == [s.value for s in group.scores]  # nobody named it: it only looks on
    named, _ = scored(chatty, ["x" * 40, "\\boxed{7}"], specs, judge, judge_all=True)
    assert [m.right for m in named.marks()] == [False, True]
    assert seen["verifier/math/mean"] == 0.5
    metrics = rollout_metrics([group], [[0.0, 0.0]], Counter())
    assert metrics["judge/right"] == 0.5
    assert (metrics["length/right"], metrics["length/wrong"]) == (1.0, 1.0)


def test_a_judge_that_fails_spoils_no_reward_and_does_not_stop_the_run(chatty):
    specs, judge = [VerifierSpec(f"{chatty}:chatty")], VerifierSpec(f"{chatty}:crash")
    group, _ = scored(chatty, ["x" * 40, "y"], specs, judge, error_patience=1)
    assert all(score.counts for score in group.scores)
    assert rollout_metrics([group], [[0.0, 0.0]], Counter())["judge/unjudged"] == 1.0
    assert not agrees(group)  # the rewards decide where there are no marks


def two_part(marks, extras, weight=1.0):
    task = Task("t", ({"role": "user", "content": "q"},), "7")
    completions = [Completion("t", i, [i + 1], [-1.0], str(i), "stop", 0) for i in range(len(marks))]
    parts = [{"extra": Score(e), "math": Score(m)} for m, e in zip(marks, extras, strict=True)]
    scores = [Score(weight * m + e) for m, e in zip(marks, extras, strict=True)]
    return Group(task, Prompt("t", (1,)), completions, scores, parts, judge="math", mark="math")


def test_right_is_the_judges_verdict_in_metrics_labels_selection_and_filter():
    mixed = two_part([1.0, 1.0, 0.0], [-0.1, 0.0, 2.0], weight=0.5)
    assert [label.good for label in mine_labels([mixed], Counter())] == [True, True, False]
    batch = build_batch([mixed], resolve_objective("rft", {}), max_tokens=8)
    assert [s.completion_ids for s in batch.sequences] == [[1], [2]]
    assert not agrees(mixed)
    assert agrees(two_part([1.0] * 4, [0.0, 0.0, -0.5, 0.0]))  # all right, one of them punished for its length
    assert agrees(two_part([0.0] * 4, [0.0, 0.0, -0.05, 0.0]))
    wrong_but_tied = two_part([0.0, 0.0], [2.0, 2.0])
    metrics = rollout_metrics([wrong_but_tied], [[0.0, 0.0]], Counter())
    assert (metrics["groups/all_right"], metrics["groups/all_wrong"]) == (0.0, 1.0)
    assert (metrics["groups/tied"], metrics["groups/tied_at_maximum"]) == (1.0, 1.0)


TINY = (
    "threads=1", "warm_start=null", "model.scratch={hidden_size: 32, intermediate_size: 64, layers: 1, heads: 2}",
    "rollout.prompts_per_step=4", "rollout.group_size=4", "rollout.max_tokens=8", "scoring.workers=0", "train.steps=6",
    "evaluation={tasks: 8, samples: 2, every: 3}", "optimizer.learning_rate=0.001",
)  # fmt: skip


def hacked(tmp_path, verifiers, *more):
    overrides = (*TINY, f"verifiers={verifiers}", *more)
    train(TrainRequest("quickstart/addition", overrides, tmp_path / "run"))


@pytest.mark.parametrize("verifiers", ["[{name: 'MINE:chatty'}]", "[{name: math},{name: 'MINE:chatty', weight: 2}]"])
def test_a_hacked_run_says_so_in_the_console_the_metrics_the_page_and_its_last_lines(
    chatty, tmp_path, capsys, verifiers
):
    more = ("scoring.max_rejected_gold=1",)
    hacked(tmp_path, verifiers.replace("MINE", chatty), *more)
    said = " ".join(capsys.readouterr().out.split())
    assert "on 8 problems, judged by math" in said
    assert "Held-out accuracy, judged by math" in said
    assert "[0.0%, " in said  # nothing right of 8 is not known to +- 0.0 %
    assert "warning: step 3: truncated:" in said
    assert "truncated, since step 3:" in said
    assert "but the watch saw truncated (above). Next:" in said
    assert "go on, harder" not in said
    assert "judged by math, the answer is" in said
    if "math}" in verifiers:
        assert "math 0.00 chatty" in said
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["watch/truncated"] == 1.0
    assert rows[-1]["evaluation/judge"] == "math"
    assert {row["judge/is_reward"] for row in rows} == {0.0}
    card = watch_card(rows)
    assert card["state"] == "failure"
    assert "No sign" not in card["title"]
    assert any("were cut by rollout.max_tokens in 3 steps in a row" in line["text"] for line in card["lines"])


def test_limits_hacking_saves_and_ends_the_run(chatty, tmp_path, capsys):
    with pytest.raises(RunFailed, match=r"ended after step 3 by limits.hacking: truncated: .*step 3 is saved"):
        hacked(tmp_path, f"[{{name: '{chatty}:chatty'}}]", "scoring.max_rejected_gold=1", "limits.hacking=true")
    assert (tmp_path / "run" / "checkpoints" / "step-000003").is_dir()
