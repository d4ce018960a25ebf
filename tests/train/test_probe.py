"""Will it learn? What the probe says of answers that are made up, and of a tiny model's own."""

import dataclasses
import io
import itertools
import math
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from rich.console import Console

import grpo_kit.train.probe as probing
from grpo_kit.data.tasks import ProceduralSource
from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.observe.console import RunConsole
from grpo_kit.plan.shapes import shape_of
from grpo_kit.run.dispatch import train
from grpo_kit.run.probe import advice
from grpo_kit.run.request import TrainRequest
from grpo_kit.train.assemble import open_scorer
from grpo_kit.train.prospect import LongestBatch, Probed, least_wrong, teaches, teaching
from grpo_kit.types import Completion, Group, Prompt, Score
from tests.kit.played import ENDS_TURNS
from tests.kit.runs import recipe
from tests.kit.terminal import Terminal
from tests.kit.tiny import TINY_RECIPE


def probed(texts, algorithm="grpo", *, cut=(), group_size=4, config=None):
    """What is found where prompt n was answered by ``texts(answer)``; ``cut``: indices of answers that ended at the limit."""
    config = config or recipe(algorithm, f"rollout.group_size={group_size}")
    source = ProceduralSource("addition", 1, 0, held_out=False)
    groups = []
    for index in range(12):
        task = source.task(index)
        completions = [
            Completion(task.id, i, [7] * (12 if i in cut else 6), [-1.0], text, "length" if i in cut else "stop", 0)
            for i, text in enumerate(texts(int(task.answer), index))
        ]
        groups.append(Group(task, Prompt(task.id, (1, 2, 3)), completions))
    with open_scorer(config, workers=0) as scorer:
        groups = list(scorer.score_groups(iter(groups)))
    objective = resolve_objective(algorithm, config.objective)
    return config, Probed(
        groups=groups, asked=12, hurried=False, group_size=group_size, limit=12, context=512,
        teaching=teaching(groups, objective), seconds=1.0, batch=LongestBatch(64, 1), forecast=None,
        step_seconds=1.0, warmed=False, compares=objective.needs_comparison,
        least_wrong=least_wrong(objective),
    )  # fmt: skip


def box(number):
    return f"so \\boxed{{{number}}}"


def test_right_answers_without_a_mark_are_named_first():
    config, found = probed(lambda answer, _: [f"I add them and get {answer}", "I add them and get 7 or so"])
    assert found.right().value == 0.0
    assert found.without_answer == 1.0
    assert found.reasons()[0][0] == "nothing marks a final answer"
    assert 0.5 <= found.unmarked < 0.6
    verdict, changes = advice(config, found)
    assert verdict.startswith("Nothing would be learned")
    assert changes[0].startswith("verifiers.0.options.last_expression=true: 0.0% -> 5")
    assert "shape: boxed" in changes[1]


def test_where_nothing_is_right_a_cold_start_is_named_first():
    config, found = probed(lambda answer, _: [box(answer + 1), box(answer + 2)])
    assert (found.right().value, found.unmarked, found.without_answer) == (
        0.0,
        pytest.approx(math.nan, nan_ok=True),
        0.0,
    )
    verdict, changes = advice(config, found)
    assert verdict.startswith("Nothing would be learned")
    assert changes[0].startswith("a cold start")


def test_answers_that_are_cut_ask_for_room_where_those_that_end_are_better():
    config, found = probed(lambda answer, _: [box(answer), "so I begin to", "so I begin to"], cut=(1, 2))
    assert found.truncated == pytest.approx(2 / 3)
    assert found.right_of_finished == 1.0
    _, changes = advice(config, found)
    assert any(change.startswith("rollout.max_tokens=24") for change in changes)
    config, found = probed(lambda answer, _: [box(answer + 1), "so I begin to", "so I begin to"], cut=(1, 2))
    _, changes = advice(config, found)
    assert any(change.startswith("shorter answers") for change in changes)


@pytest.mark.parametrize(
    ("context", "said"),
    [
        (512, "rollout.max_tokens=24: 100% are cut; none of them ends"),
        (20, "shorter answers: ask for them in prompt_template (data); none of them ends"),
    ],
)
def test_where_none_ends_no_share_is_made_up(context, said):
    config, found = probed(
        lambda answer, _: [box(answer), "no"], cut=(0, 1), config=recipe("grpo", "rollout.max_tokens=12")
    )
    config = config.model_copy(update={"data": config.data.model_copy(update={"max_prompt_tokens": 8})})
    changes = advice(config, dataclasses.replace(found, context=context))[1]
    assert any(change.startswith(said) for change in changes), changes
    assert "nan" not in " ".join(changes)


def test_a_few_answers_that_end_say_nothing_of_those_that_are_cut():
    """Whoever ends early, of a thousand, has not thought; that he is wrong is no reason to ask the others for less."""
    config, found = probed(
        lambda answer, index: [box(answer + 1) if index < 3 else "so I begin to", "so I begin to"],
        config=recipe("grpo", "rollout.max_tokens=12"),
    )
    groups = [
        dataclasses.replace(
            g,
            completions=[
                dataclasses.replace(c, finish_reason="stop" if "box" in c.text else "length") for c in g.completions
            ],
        )
        for g in found.groups
    ]
    _, changes = advice(config, dataclasses.replace(found, groups=groups))
    assert any(c.startswith("rollout.max_tokens=24: 88% are cut; only 3 end, too few to go by") for c in changes), (
        changes
    )


def test_one_reward_for_all_teaches_nothing_where_it_is_compared_with_those_of_other_prompts():
    for algorithm in ("reinforce", "reinforce++", "ppo"):
        config, found = probed(lambda answer, _: [box(answer + 1), box(answer + 2)], algorithm)
        verdict, changes = advice(config, found)
        assert verdict == "Nothing would be learned: no response is right.", algorithm
        assert changes[0].startswith("a cold start")
    config, found = probed(lambda answer, index: [box(answer if index == 1 else 0), box(0)], "reinforce")
    assert advice(config, found)[0].startswith("It can learn")


def test_what_a_data_set_s_own_verifier_could_read_is_said_of_that_one():
    math_of = {"verifiers": [{"name": "math"}]}
    sets = [{"name": "a", "task": "addition"}, {"name": "b", "task": "addition"} | math_of]
    config = recipe("grpo", f"data={sets}", "verifiers=[{name: exact}]", "rollout.max_tokens=12")
    _, found = probed(lambda answer, _: [f"I add them and get {answer}", "I add them and get 7 or so"])
    groups = [
        dataclasses.replace(g, task=dataclasses.replace(g.task, data_set="ab"[i % 2]))
        if i % 2
        else dataclasses.replace(
            g,
            task=dataclasses.replace(g.task, data_set="a"),
            parts=[{"exact": Score(0.0)} for _ in g.parts],
        )
        for i, g in enumerate(found.groups)
    ]
    _, changes = advice(config, dataclasses.replace(found, groups=groups))
    assert changes[0].startswith("data.1.verifiers.0.options.last_expression=true: ")
    assert changes[1].startswith("a second verifier in data.1.verifiers {name: format")


def test_pass_at_k_needs_as_many_wrong_ones_as_a_set_has():
    config = recipe("pass_at_k", "rollout.group_size=8", "objective.set_size=4")
    _, found = probed(lambda answer, _: [box(answer)] * 5 + [box(0)] * 3, "pass_at_k", group_size=8, config=config)
    assert found.teaching == 0
    _, found = probed(lambda answer, _: [box(answer)] * 4 + [box(0)] * 4, "pass_at_k", group_size=8, config=config)
    assert found.teaching == 12
    # One of three is right: a pass rate of Beta(1/3 + 1, 2/3 + 2), and from four to seven wrong ones of eight.
    _, found = probed(lambda answer, _: [box(answer), box(0), box(0)], "pass_at_k", group_size=8, config=config)
    assert found.least_wrong == 4
    assert found.teaching_share(8) == pytest.approx(557498 / 885735)


def test_a_data_set_with_fewer_prompts_than_its_share_of_the_probe_is_asked_for_all_of_them(tmp_path):
    (tmp_path / "few.jsonl").write_text("".join(f'{{"prompt": "{i}+1=", "answer": "{i + 1}"}}\n' for i in range(4)))
    few = f"{{name: few, path: '{tmp_path}/few.jsonl', max_prompt_tokens: 64}}"
    config = recipe("grpo", f"data=[{few}, {{name: sums, task: addition}}]", "rollout.max_tokens=4")
    console = RunConsole(Console(file=io.StringIO()))
    found = probing.probe(config, resolve_objective("grpo", {}), shape_of(config.model), 16, console)
    assert {name: len(groups) for name, groups in found.by_data_set().items()} == {"few": 4, "sums": 8}
    assert found.asked == 12


@pytest.mark.parametrize("algorithm", ["grpo", "on_policy_distillation"])
def test_what_teaches_without_being_right_is_no_cold_start(algorithm):
    """A reward may differ where the judge calls nothing right, and a teacher speaks of every token."""
    config, found = probed(lambda answer, _: [box(answer + 1), box(answer + 2)], algorithm)
    verdict, changes = advice(config, dataclasses.replace(found, teaching=12))
    assert verdict == "It can learn: about 100% of the groups teach something."
    assert not any(change.startswith("a cold start") for change in changes)


def test_rare_successes_ask_for_larger_groups():
    config, found = probed(lambda answer, index: [box(answer if index in (3, 8) else 0), box(1)])
    verdict, changes = advice(config, found)
    assert found.teaching == 2
    assert any(change.startswith("rollout.group_size=8: about") for change in changes)
    assert found.likely_to_differ(8) > found.likely_to_differ(4) > 0
    assert "Little" in verdict or "It can" in verdict


def test_what_is_known_already_is_said():
    config, found = probed(lambda answer, _: [box(answer), box(answer)])
    verdict, changes = advice(config, found)
    assert verdict == "Little would be learned: nearly everything is right already."
    assert changes[0] == "harder prompts (data)"


def test_a_recipe_that_fits_is_told_so():
    config, found = probed(lambda answer, index: [box(answer), box(answer + index % 2)])
    verdict, _ = advice(config, found)
    assert verdict.startswith("It can learn")
    assert found.solved == 1.0
    assert 0.5 < found.right().value < 1.0


def test_without_verdicts_it_says_so():
    config, found = probed(lambda answer, _: [box(answer), box(answer)])
    for group in found.groups:
        for part in group.parts:
            part["math"] = Score(0.0, "error", reason="no such file")
    verdict, changes = advice(config, found)
    assert verdict == "Nothing would be learned: most responses have no verdict."
    assert changes[0] == "mend the verifier (above)"


def test_the_expected_share_is_that_of_its_prior():
    """Against the sum over all outcomes of a group, each pass rate in turn, weighted by its density."""
    _, found = probed(lambda answer, index: [box(answer if index < 6 else 0), box(answer if index < 3 else 0)])
    rate, points = found.right().value, [(i + 0.5) / 4000 for i in range(4000)]
    wanted = []
    for group in found.groups:
        right = sum(v.right for v in group.verdicts())
        weights = [p ** (rate + right - 1) * (1 - p) ** (1 - rate + 2 - right - 1) for p in points]
        differ = [
            sum(math.prod(p if r else 1 - p for r in marks) for marks in itertools.product([True, False], repeat=4)
                if len(set(marks)) > 1)
            for p in points
        ]  # fmt: skip
        wanted.append(sum(w * d for w, d in zip(weights, differ, strict=True)) / sum(weights))
    assert found.likely_to_differ(4) == pytest.approx(sum(wanted) / len(wanted), abs=0.02)


@pytest.mark.parametrize(
    ("algorithm", "rewards", "wanted"),
    [
        ("grpo", [1.0, 0.0], True),
        ("grpo", [1.0, 1.0], False),
        ("dapo", [0.5, 0.4], False),  # rewards that differ, marks that agree
        ("scalerl", [0.5, 0.4], False),
        ("pass_at_k", [0.5, 0.4], False),
        ("reinforce", [0.0, 0.0], True),
        ("rft", [0.0, 0.0], False),
        ("on_policy_distillation", [0.0, 0.0], True),
        ("online_dpo", [0.0, 0.0], False),
    ],
)
def test_which_groups_teach(algorithm, rewards, wanted):
    task = ProceduralSource("addition", 1, 0, held_out=False).task(0)
    scores = [Score(reward) for reward in rewards]
    parts = [{"math": Score(0.0 if algorithm in ("dapo", "scalerl", "pass_at_k") else reward)} for reward in rewards]
    completions = [Completion(task.id, i, [7], [-1.0], "", "stop", 0) for i in range(2)]
    group = Group(task, Prompt(task.id, (1,)), completions, scores, parts, judge="math", mark="math")
    assert teaches(group, resolve_objective(algorithm, {})) is wanted


def test_when_the_time_is_over_it_says_what_it_has(monkeypatch):
    """Nothing of a round is thrown away that is enough; what is not enough is waited for."""
    now = iter(range(100))
    monkeypatch.setattr(probing, "ENOUGH", 3)
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(now)))
    closed = []

    def stream():
        try:
            for number in range(20):
                yield [Completion(f"t{number}", 0, [7], [-1.0], "", "stop", 0)]
        finally:
            closed.append(True)

    made: Generator = stream()
    came, whole = probing._until(1.0, made)
    assert (len(came), whole, closed) == (3, False, [True])
    came, whole = probing._until(1000.0, stream())
    assert (len(came), whole) == (20, True)


def settings(**changes):
    text = TINY_RECIPE + "threads: 1\nwarm_start: {steps: 30, batch_size: 16}\n"
    for before, after in changes.items():
        text = text.replace(before, after)
    return text


def test_one_screen_and_nothing_written(tmp_path):
    (tmp_path / "tiny.yaml").write_text(settings())
    asked = ("train", "tiny.yaml", "--dry-run", "--probe", "10")
    shown = Terminal(*asked, cwd=tmp_path, columns=80).end()
    assert shown.code == 0, shown.text
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]
    assert max(map(len, shown.lines)) <= 80
    text = shown.text[shown.text.index("the model with random weights, after its warm start") :]
    assert len(text.splitlines()) <= 24
    for said in (
        "10 prompts x 4",
        "right  ",
        "groups that teach",
        "cut at 12",
        "a step",
        "longest micro-batch",
        "nearest change",
    ):
        assert said in text
    assert text.endswith("dry run: nothing was written")
    assert max(map(len, shown.lines)) > 70


def test_an_environment_is_probed_too(tmp_path):
    played = f"environment={{name: '{Path(__file__).parents[1]}/kit/played.py:Counting', max_inserted: 128}}"
    config = recipe("grpo", played, ENDS_TURNS, "verifiers=[]", "rollout.max_tokens=24")
    objective = resolve_objective("grpo", {})
    console = RunConsole(Console(file=io.StringIO()))
    found = probing.probe(config, objective, shape_of(config.model), 8, console)
    assert len(found.groups) == 8
    assert found.episodes.turns > 1
    assert found.batch.seconds is not None
    assert 0.0 <= found.right().value <= 1.0
    assert found.forecast.total > 0


@pytest.mark.parametrize(
    ("recipe_name", "options", "said"),
    [
        ("grpo/grpo", {"dry_run": False}, "--probe goes with --dry-run"),
        ("grpo/grpo", {"fork": "runs/a@1"}, "leave --resume and --fork out"),
        ("ppo/chain", {}, "has several stages"),
        ("imitation/sft", {}, "learns from recorded data alone"),
    ],
)
def test_where_there_is_nothing_to_probe(recipe_name, options, said):
    with pytest.raises(UserError, match=said):
        train(TrainRequest(recipe_name, **{"dry_run": True, "probe": 8} | options))
