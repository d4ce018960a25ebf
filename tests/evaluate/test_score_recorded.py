"""Scoring what was recorded, and files with holes: runs, packed files, labels, empty responses, uneven samples."""

import gzip
import json
from pathlib import Path

import pytest

from grpo_kit.data import rows as data_rows
from grpo_kit.data.rows import read_file
from grpo_kit.errors import UserError
from grpo_kit.evaluate.files import Fields, Labels
from grpo_kit.evaluate.records import Record, read_records, write_records
from grpo_kit.evaluate.score import rescore
from grpo_kit.evaluate.show import notes, table_rows
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.scoring import VerifierSpec
from grpo_kit.types import Completion
from tests.kit.episodes import episode_groups

MATH = VerifierSpec("math")


def rollout(step, task, sample, response, reward, answer="42", status="ok"):
    score = {"value": reward, "status": status, "extracted": None, "reason": ""}
    return {
        "step": step, "task": f"addition/{task}", "sample": sample, "prompt": task, "answer": answer,
        "response": response, "reward": reward, "status": status, "advantage": 0.0, "finish": "stop", "policy_version": step,
        "scores": {"mine": score}, "prompt_ids": [1], "token_ids": [2, 3], "logprobs": [-0.1, -0.2],
    }  # fmt: skip


def write_run(folder, *steps):
    (folder / "rollouts").mkdir(parents=True)
    for number, rows in enumerate(steps, start=1):
        write_lines(folder / "rollouts" / f"step-{number:06d}.jsonl.gz", rows)
    return folder


def write_lines(path, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


HONEST = [rollout(1, t, i, f"\\boxed{{{42 + i}}}", float(i == 0)) for t in "ab" for i in range(2)]
HACKED = [rollout(2, t, i, "so 42 or so, " * 9, 1.5) for t in "abcd" for i in range(2)]


def test_the_last_turn_of_a_recorded_episode_is_judged_with_its_conversation(tmp_path):
    directory = RunDirectory(write_run(tmp_path / "run"))
    directory.log_rollouts(1, episode_groups((2, 3)), [[0.0] * 2, [0.0] * 3])
    heard = Path(__file__).parents[1] / "kit" / "scoring_verifiers.py"
    found = rescore(tmp_path / "run", Fields(), VerifierSpec(f"{heard}:heard"), workers=0)
    assert [r.reason for r in found.records[:2]] == [
        "user question 0 / assistant turn 0 of 0/0 / tool reply 0 -> turn 1 of 0/0",
        "user question 0 / assistant turn 0 of 0/1 / tool reply 0 / assistant turn 1 of 0/1 / tool reply 1 -> turn 2 of 0/1",
    ]
    assert [r.value for r in found.records] == [3, 5, 3, 5, 7]
    assert found.records[1].turns[1].replies == ({"role": "tool", "content": "reply 1"},)


def test_what_a_table_says_of_episodes(tmp_path):
    directory = RunDirectory(write_run(tmp_path / "run"))
    directory.log_rollouts(1, episode_groups((3, 3)), [[0.0] * 3] * 2)
    found = rescore(tmp_path / "run", Fields(), MATH, workers=0)
    assert [note.partition(": ")[2] for note in notes([found.result]) if "episode" in note] == [
        "an episode has 3.00 ± 0.00 turns, 6.00 ± 0.00 calls (22.22 ± 0.00 % of them not understood, 27.78 ± 0.00 % failed), "
        "1.50 ± 0.00 s in the environment; ended by: done 33 %, turns 33 %, length 33 %"
    ]
    (task,) = found.result.tasks.values()
    assert task.metrics["episodes"]["turns"]["problems"] == 2
    json.dumps(task.metrics)
    assert (
        "episodes"
        not in next(iter(rescore(write_run(tmp_path / "plain", HONEST), Fields(), MATH).result.tasks.values())).metrics
    )


def test_an_episode_whose_last_turn_is_empty_is_judged_all_the_same(tmp_path):
    row = rollout(1, "a", 0, "", 0.0)
    row["turns"] = [
        {"start": 0, "text": "40", "replies": [{"role": "user", "content": "higher"}]},
        {"start": 1, "text": ""},
    ]
    heard = Path(__file__).parents[1] / "kit" / "scoring_verifiers.py"
    found = rescore(write_run(tmp_path / "run", [row]), Fields(), VerifierSpec(f"{heard}:heard"), workers=0)
    assert [r.reason for r in found.records] == ["user a / assistant 40 / user higher -> "]
    assert not any("empty" in line for line in found.said)


def test_how_a_recorded_episode_ended_is_known_and_half_an_episode_is_not_judged(tmp_path):
    turns = [{"start": 0, "text": "\\boxed{42}", "calls": 1}]
    rows = [
        rollout(1, "a", n, "\\boxed{42}", 1.0) | {"turns": turns, "ending": e} for n, e in enumerate(("done", "room"))
    ]
    lost = {"outcome": {"value": 0.0, "status": "timeout", "reason": "slow"}, "ending": "deadline", "turns": turns}
    rows.append(rollout(1, "b", 0, "\\boxed{42}", 0.0, status="timeout") | lost)
    rows.append(rollout(1, "b", 1, "\\boxed{42}", 0.0, status="error") | {"turns": turns, "ending": "error"})
    found = rescore(write_run(tmp_path / "run", rows), Fields(), MATH, workers=0)
    assert [r.ending for r in found.records] == ["done", "room", "deadline", "error"]
    assert [r.status for r in found.records] == ["ok", "ok", "timeout", "error"]
    episodes = found.result.tasks["step 1"].metrics["episodes"]
    assert (episodes["calls"]["value"], episodes["endings"]["room"]) == (1.0, 0.25)


def test_a_damaged_episode_is_named_by_its_row(tmp_path):
    row = rollout(1, "a", 0, "42", 0.0) | {"turns": [{"text": "no start"}]}
    with pytest.raises(UserError, match=r"row 0 is no recorded episode: KeyError"):
        rescore(write_run(tmp_path / "run", [row]), Fields(), MATH, workers=0)


def test_samples_of_episodes_are_read_back_as_they_were_written(tmp_path):
    (group,) = episode_groups((3,))
    records = [Record.judged("guess", group.task, c, s) for c, s in zip(group.completions, group.scores, strict=True)]
    write_records(tmp_path / "samples.jsonl", records)
    assert list(read_records(tmp_path / "samples.jsonl")) == records
    plain = Record.judged("guess", group.task, Completion.of_text("0", 0, "42"), group.scores[0])
    assert not {"turns", "inserted", "ending", "messages"} & json.loads(plain.to_json()).keys()


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", HONEST, HACKED)


def test_a_hacked_run_is_one_command(grpo_kit, run, tmp_path):
    shown = grpo_kit("score", "run", "--verifier", "math", "--workers", 0, "--out", "scored")
    assert shown.returncode == 0, shown.stderr
    for expected in (
        "label reward",
        "reward of 1 or more is right (the highest is 1.5): 8 right, 0 wrong",
        "8 of 8 verdicts differ from the label: 8 right by the label and wrong by the verifier, 0 the other way",
        "run, its reward",
        "step 2",
    ):
        assert expected in shown.stdout
    assert len((tmp_path / "scored" / "disagreements.jsonl").read_text().splitlines()) == 8
    missing = grpo_kit("score", "run", "--step", "7")
    assert (missing.returncode, "rollouts of the steps 1 to 2" in missing.stderr) == (2, True)


def test_the_steps_of_a_run_are_lines_of_the_table(run):
    found = rescore(run, Fields(), MATH, workers=0, step="1-2")
    assert {name: task.metrics["avg"]["value"] for name, task in found.result.tasks.items()} == {
        "step 1": 0.5,
        "step 2": 0,
    }
    labels = found.by_labels()
    assert [task.metrics["avg"]["value"] for task in labels.tasks.values()] == [0.5, 1.0]
    assert {r.task for r in found.disagreements} == {"step 2"}
    assert [r.id for r in found.records[:2]] == ["addition/a"] * 2
    assert rescore(run, Fields(), MATH, workers=0).result.tasks.keys() == {"step 2"}


def test_a_packed_file_is_read_like_the_run_it_is_from(run):
    path = run / "rollouts" / "step-000001.jsonl.gz"
    found = rescore(path, Fields(), MATH, workers=0)
    assert found.result.tasks["step-000001"].metrics["avg"]["value"] == 0.5
    assert found.disagreements == []
    assert found.compared == 4


def test_a_reward_that_was_no_verdict_is_no_label(tmp_path):
    rows = [*HONEST, rollout(1, "c", 0, "\\boxed{42}", 0.0, status="timeout")]
    found = rescore(write_run(tmp_path / "run", rows), Fields(), MATH, workers=0)
    assert (found.compared, found.disagreements) == (4, [])
    assert "2 right, 2 wrong, 1 without" in found.said[1]
    (labels,) = found.by_labels().tasks.values()
    assert labels.metrics["unscored"] == {"no label": 1}


@pytest.mark.parametrize(
    ("rewards", "threshold"),
    [
        ([0.0, 1.0], 1.0),
        ([0.975, 0.99, -0.03], 0.495),  # length costs a little, and no reward reaches 1
        ([0.5, 0.0], 0.25),
        ([-1.0, 1.0], 1.0),
        ([3.0, 1.0, 0.2], 1.0),
        ([0.0, 0.0], 1.0),
        ([-0.5, -1.0], 1.0),
        ([], 1.0),
    ],
)
def test_how_a_reward_becomes_a_label(rewards, threshold):
    assert Labels.of("reward", rewards).threshold == pytest.approx(threshold)
    assert Labels.of("reward", rewards, 0.7).threshold == 0.7


def test_a_shaped_reward_is_a_label_all_the_same(tmp_path):
    rows = [rollout(1, t, i, f"\\boxed{{{42 + i}}}", (i == 0) - 0.01) for t in "ab" for i in range(2)]
    run = write_run(tmp_path / "run", rows)
    found = rescore(run, Fields(), MATH, workers=0)
    assert found.disagreements == []
    assert (
        "reward of 0.495 or more is right (half of the highest, 0.99; --label-threshold sets another)" in found.said[1]
    )
    assert len(rescore(run, Fields(), MATH, workers=0, threshold=1.0).disagreements) == 2


def test_guessed_fields_are_said(tmp_path):
    rows = [{"question": "1+1", "answer": "2", "completion": "\\boxed{2}", "is_correct": True}]
    found = rescore(write_lines(tmp_path / "o.jsonl", rows), Fields(gold="answer"), MATH, workers=0)
    assert found.said[0] == (
        "fields: response completion (guessed), gold answer, label is_correct (guessed), prompt question (guessed), every "
        "row is a problem of its own"
    )
    # The usual names are looked for in all of the first rows, and a text is no label.
    rows = [{"note": "x", "answer": "2", "output": "\\boxed{2}"}, {"answer": "3", "output": "", "reward": "high"}]
    found = rescore(
        write_lines(tmp_path / "p.jsonl", [dict(reversed(r.items())) for r in rows]), Fields(), MATH, workers=0
    )
    assert not found.labelled


EMPTY = ["", None, [], "  \n"]


@pytest.mark.parametrize("empty", EMPTY)
def test_rows_without_a_response_are_wrong_and_named(tmp_path, empty):
    rows = [{"answer": "3", "output": "\\boxed{3}"}, {"answer": "4", "output": empty}] * 2
    path = write_lines(tmp_path / "o.jsonl", rows)
    found = rescore(path, Fields(), MATH, workers=0)
    metrics = found.result.tasks["o"].metrics
    assert (metrics["avg"]["value"], metrics["problems"], metrics["unscored"]) == (0.5, 4, {})
    assert "warning: 2 of 4 responses are empty and count as wrong: rows 1, 3" in found.said
    write_lines(path, rows[1::2])
    with pytest.raises(UserError, match="none of its 2 responses holds any text"):
        rescore(path, Fields(), MATH, workers=0)


def test_uneven_numbers_of_samples_are_said(tmp_path):
    right, wrong = "\\boxed{3}", "\\boxed{4}"
    rows = [{"answer": "3", "outputs": [wrong] * 3 + [right]}, {"answer": "3", "outputs": [right, wrong]}]
    result = rescore(write_lines(tmp_path / "o.jsonl", rows), Fields(), MATH, workers=0).result
    metrics = result.tasks["o"].metrics
    assert set(metrics["pass_at"]) == {"1", "2"}  # pass@4 would be of the first problem alone
    assert metrics["pass_at"]["2"]["value"] == pytest.approx((0.5 + 1.0) / 2)
    assert metrics["avg"]["value"] == pytest.approx((0.25 + 0.5) / 2)
    header, cells = table_rows([result])
    assert cells[0][header.index("n")] == "2 to 4"
    assert any("problems have 2 to 4 samples" in note and "up to k = 2" in note for note in notes([result]))


def test_greedy_and_sampled_rows_are_not_mixed(tmp_path):
    def sample(id, index, response, value):
        return {"task": "t", "id": id, "sample": index, "prompt": "", "answer": "3", "response": response, "value": value,
                "status": "ok", "token_ids": [1]}  # fmt: skip

    right, wrong = "\\boxed{3}", "\\boxed{4}"
    rows = [sample(i, s, right if s < 0 else wrong, float(s < 0)) for i in "pq" for s in (0, 1, -1)]
    (task,) = rescore(write_lines(tmp_path / "samples.jsonl", rows), Fields(), MATH, workers=0).result.tasks.values()
    assert (task.metrics["avg"]["value"], task.metrics["greedy"]["value"], task.metrics["samples"]) == (0.0, 1.0, 2)
    rows = [{"id": "p", "answer": "3", "output": wrong}, {"id": "p", "answer": "3", "output": right, "greedy": True}]
    found = rescore(write_lines(tmp_path / "o.jsonl", rows), Fields(id="id"), MATH, workers=0)
    assert [(r.sample, r.right) for r in found.records] == [(0, False), (-1, True)]


def test_packed_files_are_bounded(tmp_path, monkeypatch):
    line = tmp_path / "line.jsonl.gz"
    line.write_bytes(gzip.compress(b'{"output": "' + b"x" * 3_000_000 + b'"}\n'))
    many = write_lines(tmp_path / "many.jsonl.gz", [{"output": "x" * 100}] * 2000)
    assert len(read_file(many)) == 2000
    monkeypatch.setattr(data_rows, "LONGEST_LINE", 2_000_000)
    monkeypatch.setattr(data_rows, "MOST_UNPACKED", 100_000)
    with pytest.raises(UserError, match=r"line\.jsonl\.gz:1: the line is longer"):
        read_file(line)
    with pytest.raises(UserError, match=r"many\.jsonl\.gz unpacks to more than"):
        read_file(many)
    assert len(read_file(many, limit=5)) == 5


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b'{"output": "x"}\n' * 99, mtime=0)[:-20], gzip.compress(b"\xff\xfe", mtime=0)],
    ids=["not packed", "cut off", "not text"],
)
def test_damaged_packed_files_are_named(tmp_path, content):
    path = tmp_path / "o.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"o\.jsonl\.gz.* (could not be read|is not UTF-8)"):
        read_file(path)


def test_what_cannot_be_scored(tmp_path, run):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no rollouts and no finished evaluation"):
        rescore(tmp_path / "empty", Fields(), MATH, workers=0)
    (tmp_path / "o.csv").write_text("output,answer\n3,3\n")
    with pytest.raises(
        UserError, match=r"o\.csv: responses with their marks are read from \.jsonl, .* not from a table"
    ):
        rescore(tmp_path / "o.csv", Fields(), MATH, workers=0)
    with pytest.raises(UserError, match="--step is for run folders"):
        rescore(run / "rollouts" / "step-000001.jsonl.gz", Fields(), MATH, workers=0, step="1")
