"""Groups that stand in a file: pairs, labels, demonstrations, and rollouts read back."""

import gzip
import json

import pytest

from grpo_kit.data.records import fitting, open_records, read_rollouts
from grpo_kit.data.tasks import ProceduralSource, is_held_out
from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import ALGORITHMS
from grpo_kit.observe.rollout_file import rollout_lines
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.policy.scratch import build_tokenizer
from grpo_kit.train.learners import open_learner
from grpo_kit.train.preflight import preflight
from grpo_kit.types import Completion, Group, Prompt, Score, Turn
from tests.kit.episodes import episode_groups
from tests.kit.runs import recipe
from tests.kit.tiny import make_policy


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def records(algorithm, tmp_path, rows=None, **examples):
    if rows is not None:
        write(tmp_path / "rows.jsonl", rows)
        examples = {"path": str(tmp_path / "rows.jsonl")}
    config = recipe(algorithm)
    config = config.model_copy(
        update={"examples": config.examples.model_copy(update={"demonstrations": False, **examples})}
    )
    return open_records(config, build_tokenizer(), pairs=ALGORITHMS[algorithm].family != "policy_gradient")


def test_pairs_from_a_file(tmp_path):
    rows = [{"prompt": "1+1=", "chosen": "2", "rejected": "3", "margin": 0.5}]
    (group,) = records("dpo", tmp_path, rows).next(1, 1)
    tokenizer = build_tokenizer()
    assert [s.value for s in group.scores] == [1.0, 0.0]
    assert [tokenizer.decode(c.token_ids) for c in group.completions] == ["2<|endoftext|>", "3<|endoftext|>"]
    assert tokenizer.decode(group.prompt.token_ids) == "<|user|>1+1=<|assistant|>"
    assert group.task.meta["margin"] == 0.5


def test_labels_and_demonstrations_from_a_file(tmp_path):
    rows = [{"prompt": "a", "response": "x", "label": False}, {"prompt": "b", "response": "y", "label": True}]
    found = records("kto", tmp_path, rows).next(1, 2)
    assert {(g.task.prompt, g.scores[0].value) for g in found} == {("a", 0.0), ("b", 1.0)}
    (group,) = records("sft", tmp_path, [{"prompt": "a", "response": "x"}]).next(1, 1)
    assert group.scores[0].value == 1.0


def test_every_epoch_is_a_new_order_of_all_rows(tmp_path):
    made = records("sft", tmp_path, [{"prompt": f"p{i}", "response": "x"} for i in range(6)])
    first = [g.task.prompt for s in (1, 2) for g in made.next(s, 3)]
    second = [g.task.prompt for s in (3, 4) for g in made.next(s, 3)]
    assert sorted(first) == sorted(second) == [f"p{i}" for i in range(6)]
    assert first != second
    assert [g.task.prompt for g in made.next(2, 3)] == first[3:]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"prompt": "a", "answer": "x"}], "needs columns prompt, chosen and rejected, or prompt and response"),
        ([{"prompt": "a", "response": ""}], "row 0: prompt and responses must be text"),
        ([{"prompt": "a" * 100, "response": "x"}], "none of the 1 prompts has at most"),
    ],
)
def test_bad_rows_are_one_clear_paragraph(tmp_path, rows, message):
    with pytest.raises(UserError, match=message):
        records("sft", tmp_path, rows)


def test_demonstrations_of_pairs_are_right_against_wrong():
    config = recipe("dpo")
    (group,) = open_records(config, build_tokenizer(), pairs=True).next(1, 1)
    right, wrong = group.completions
    assert right.text != wrong.text
    assert right.text.endswith("}")
    single = recipe("sft", "examples.mistakes=1.0")
    (mistaken,) = open_records(single, build_tokenizer(), pairs=False).next(1, 1)
    assert mistaken.completions[0].text == wrong.text


def test_rollouts_read_back_are_what_was_logged(tmp_path):
    run = RunDirectory(tmp_path)
    run.rollouts.mkdir()
    task = ProceduralSource("addition", 1, 0, held_out=False).task(0)
    completions = [Completion(task.id, i, [5, i], [-0.5, -1.5], "t", "stop", 7) for i in range(2)]
    scores = [Score(0.75), Score(status="timeout")]
    group = Group(task, Prompt(task.id, (1, 2)), completions, scores, [{"math": s} for s in scores])
    run.log_rollouts(1, [group], [[0.1, 0.0]])
    (found,) = read_rollouts(tmp_path)
    assert found.completions == completions
    assert found.prompt == group.prompt
    assert [(s.value, s.status) for s in found.scores] == [(0.75, "ok"), (scores[1].value, "timeout")]
    assert found.parts[0]["math"].value == 0.75


def test_episodes_read_back_are_what_was_logged(tmp_path):
    run = RunDirectory(tmp_path)
    run.rollouts.mkdir()
    made = episode_groups()
    made[0].completions[0].fresh = True
    run.log_rollouts(1, made, [[0.0] * len(g.completions) for g in made])
    found = read_rollouts(tmp_path)
    assert [g.completions for g in found] == [g.completions for g in made]
    assert [g.task.messages for g in found] == [g.task.messages for g in made]
    assert [g.outcome_weight for g in found] == [0.5] * len(made)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("inserted", [[99, [7]]]),
        ("inserted", [[2, [7]], [1, [7]]]),
        ("inserted", [[1, ["7"]]]),
        ("inserted", [[1, [-7]]]),
        ("inserted", 3),
        ("turns", [{"text": "no start"}]),
        ("turns", [{"start": 99, "text": ""}]),
        ("turns", [{"start": 2, "text": ""}, {"start": 1, "text": ""}]),
        ("turns", [{"start": 0, "text": "", "replies": [{"role": "tool", "content": 3}]}]),
        ("turns", [{"start": 0, "text": "", "reward": "much"}]),
        ("ending", "nobody knows"),
        ("outcome", {"value": "much"}),
        ("messages", ["hello"]),
    ],
)
def test_a_damaged_episode_is_named(tmp_path, field, value):
    run = RunDirectory(tmp_path)
    run.rollouts.mkdir()
    run.log_rollouts(1, episode_groups((1,)), [[0.0]])
    path = run.rollouts / "step-000001.jsonl.gz"
    (row,) = rollout_lines(path)
    with gzip.open(path, "wt") as file:
        file.write(json.dumps(row | {field: value}) + "\n")
    with pytest.raises(UserError, match=r"step-000001\.jsonl\.gz is damaged"):
        read_rollouts(tmp_path)


def test_with_its_conversation_an_episode_must_fit_into_the_context():
    (group,) = episode_groups((1,))
    (episode,) = group.completions
    length = 24 + len(episode.token_ids) + episode.inserted_length
    assert fitting([group], 100, length, "examples") == ([group], [])
    with pytest.raises(UserError, match="longer than the model's context"):
        fitting([group], 100, length - 1, "examples")
    # With a prompt for every turn it is the longest turn that must fit.
    episode.token_ids, episode.inserted, episode.fresh = list(range(9)), [(2, [7] * 30), (6, [7] * 10)], True
    assert episode.context_length(24) == 34
    assert fitting([group], 100, 34, "examples") == ([group], [])


def test_a_folder_without_rollouts_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no recorded rollouts"):
        read_rollouts(tmp_path)
    (tmp_path / "rollouts").mkdir()
    with gzip.open(tmp_path / "rollouts" / "step-000001.jsonl.gz", "wt"):
        pass
    assert read_rollouts(tmp_path) == []


def test_two_groups_of_one_task_stay_two_in_the_record(tmp_path):
    run = RunDirectory(tmp_path)
    run.rollouts.mkdir()
    task = ProceduralSource("addition", 1, 0, held_out=False).task(0)
    made = []
    for number in range(2):
        completions = [Completion(task.id, i, [5, i, number], [-0.5] * 3, "t", "stop", 7) for i in range(2)]
        scores = [Score(1.0), Score(float(number))]
        made.append(Group(task, Prompt(task.id, (1, 2)), completions, scores, [{"math": s} for s in scores]))
    run.log_rollouts(1, made, [[0.1, 0.0]] * 2)
    assert [g.completions for g in read_rollouts(tmp_path)] == [g.completions for g in made]


def test_held_out_prompts_of_a_file_are_not_learned_from(tmp_path):
    """The evaluation holds them out of data; examples of the same problems must not bring them back."""
    rows = [{"prompt": f"{i}+{i}=", "response": "x"} for i in range(200)]
    write(tmp_path / "rows.jsonl", rows)
    config = recipe("sft", "evaluation={tasks: 4}")
    config = config.model_copy(
        update={
            "examples": config.examples.model_copy(
                update={"demonstrations": False, "path": str(tmp_path / "rows.jsonl")}
            )
        }
    )
    found = open_records(config, build_tokenizer(), pairs=False)
    assert 100 < found.size < 200
    assert not any(is_held_out(found.group(i).task.prompt) for i in range(found.size))


def test_a_record_of_another_tokenizer_is_refused(tmp_path):
    run = RunDirectory(tmp_path)
    run.rollouts.mkdir()
    task = ProceduralSource("addition", 1, 0, held_out=False).task(0)
    ids = build_tokenizer().encode("12", add_special_tokens=False)
    for text, refused in (("12", False), ("21", True)):
        group = Group(
            task, Prompt(task.id, (1, 2)), [Completion(task.id, 0, ids, [-1.0] * 2, text, "stop", 0)], [Score(1.0)]
        )
        group.parts.append({"math": Score(1.0)})
        run.log_rollouts(1, [group], [[0.0]])
        if refused:
            with pytest.raises(UserError, match="sampled with another tokenizer"):
                records("offline_pg", tmp_path, rollouts=str(tmp_path))
        else:
            assert records("offline_pg", tmp_path, rollouts=str(tmp_path)).size == 1


def test_the_tokenizer_of_a_recorded_episode_is_told_by_its_last_turn(tmp_path):
    run = RunDirectory(tmp_path)
    run.rollouts.mkdir()
    ids = build_tokenizer().encode("1234", add_special_tokens=False)
    (group,) = episode_groups((1,))
    group.completions[0] = Completion(
        "0", 0, ids, [-1.0] * 4, "34", "stop", 0, inserted=[(2, [5])], turns=[Turn(0, "12"), Turn(2, "34")]
    )
    run.log_rollouts(1, [group], [[0.0]])
    assert records("offline_pg", tmp_path, rollouts=str(tmp_path)).size == 1


def test_recorded_log_probabilities_are_of_the_temperature_that_sampled(tmp_path):
    """Their ratio means nothing at another one; a likelihood is taken at 1 whatever the recipe samples with."""
    run = RunDirectory(tmp_path)
    run.rollouts.mkdir()
    run.write_config(recipe("grpo", "rollout.temperature=0.7"))
    ids = build_tokenizer().encode("12", add_special_tokens=False)
    for number in range(4):
        task = ProceduralSource("addition", 1, 0, held_out=False).task(number)
        made = Group(
            task, Prompt(task.id, (1, 2)), [Completion(task.id, 0, ids, [-1.0] * 2, "12", "stop", 0)], [Score(1.0)]
        )
        made.parts.append({"math": Score(1.0)})
        run.log_rollouts(number + 1, [made], [[0.0]])
    loose = ("scoring.max_rejected_gold=1.0", f"examples={{rollouts: {tmp_path}}}")
    with pytest.raises(UserError, match=r"was sampled at 0\.7.*Set rollout\.temperature=0\.7"):
        preflight(recipe("offline_pg", *loose), None)
    preflight(recipe("offline_pg", *loose, "rollout.temperature=0.7"), None)
    config = recipe("sft", *loose, "rollout.temperature=0.5")
    preflight(config, None)
    learner = open_learner(config, ALGORITHMS["sft"], make_policy())
    assert learner.updater.temperature == 1.0
