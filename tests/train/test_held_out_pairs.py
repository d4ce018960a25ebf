"""A reward model is judged by pairs that its training never meets, before, during and after it."""

import io
import json

import pytest
import torch
from rich.console import Console

from grpo_kit.data.held_out_records import held_out_groups
from grpo_kit.data.records import open_records
from grpo_kit.data.tasks import is_held_out
from grpo_kit.errors import UserError
from grpo_kit.evaluate.outcome import outcome_of
from grpo_kit.evaluate.pairs import PairResult
from grpo_kit.observe.console import RunConsole
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.policy.packing import TrainingSequence
from grpo_kit.policy.value_model import ValueModel
from grpo_kit.report.panels import run_panels
from grpo_kit.train.held_out_pairs import PairEvaluation
from grpo_kit.train.loop import OnlineTrainer
from grpo_kit.train.pairs import Pair
from grpo_kit.train.preflight import preflight
from tests.kit.runs import recipe, same_when_resumed
from tests.kit.tiny import make_policy

RUN = ("train.steps=4", "train.save_every=2", "data.task=sort_letters", "optimizer.learning_rate=1e-2")
SHORT = ("evaluation={tasks: 12, samples: 1, every: 2}", "rollout.prompts_per_step=8")


def rows(folder, count, name="pairs.jsonl", chosen="good", rejected="bad", prefix="question"):
    path = folder / name
    made = [{"prompt": f"{prefix} {i}", "chosen": f"{chosen} {i}", "rejected": f"{rejected} {i}"} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return path


def trained_and_held_out(config):
    tokenizer = make_policy().tokenizer
    records = open_records(config, tokenizer, pairs=True, own_split=True)
    trained = [records.group(i) for i in range(records.size)] if records.size else records.next(1, 300)
    return [{group.task.prompt for group in side} for side in (trained, held_out_groups(config, tokenizer, 512)[1])]


def test_training_never_meets_what_is_held_out(tmp_path):
    demonstrated = recipe("reward_model", *RUN, *SHORT)
    trained, held_out = trained_and_held_out(demonstrated)
    assert len(held_out) == 12
    assert not trained & held_out
    trained, held_out = trained_and_held_out(
        recipe("reward_model", f"examples={{path: {rows(tmp_path, 200)}}}", *SHORT)
    )
    assert (len(trained | held_out), trained & held_out) == (200, set())
    assert held_out == {f"question {i}" for i in range(200) if is_held_out(f"question {i}")}


def test_the_record_of_a_run_that_held_the_same_prompts_out_is_split_as_well(tmp_path):
    """Such a record holds none of the prompts that every run holds out: training met only the others."""
    path = rows(tmp_path, 200)
    lines = [line for line in path.read_text().splitlines(keepends=True) if not is_held_out(json.loads(line)["prompt"])]
    path.write_text("".join(lines))
    trained, held_out = trained_and_held_out(recipe("reward_model", f"examples={{path: {path}}}", *SHORT))
    assert 5 < len(held_out) < 40
    assert (len(trained | held_out), trained & held_out) == (len(lines), set())


def test_the_share_ranked_right_by_hand():
    """Scores that grow with the last token: 1 of 2 right, a tie and 1 wrong are (0.5 + 0.5 + 0) / 3 over three prompts."""
    model = ValueModel.from_policy(make_policy())

    def rewards(batch):
        return torch.tensor([float(s.completion_ids[-1]) for s in batch.sequences])

    model.rewards = rewards

    def pair(prompt, better, worse):
        return Pair(*(TrainingSequence((1, prompt), [3, token], 0.0, 0.0) for token in (better, worse)))

    pairs = [pair(5, 9, 8), pair(6, 4, 4), pair(5, 7, 9), pair(7, 3, 8)]
    learner = type("Learner", (), {"trained": model})()
    for budget in (1, 4096):
        result, answers = PairEvaluation(pairs, budget).measure(learner)
        assert (result.prompts, result.count, answers) == (3, 4, [])
        assert result.accuracy == pytest.approx(1 / 3)
        assert result.margin == pytest.approx((1 + 0 - 2 - 5) / 4)
        assert result.error == pytest.approx((1 / 12) ** 0.5 / 3**0.5)  # of 1/2, 1/2 and 0, over prompts
        assert 0.0 <= result.low < 1 / 3 < result.high <= 1.0
        assert outcome_of({"step": 3, **result.as_metrics()}) == result


def told(config, folder):
    """What a whole run says on the console."""
    said = io.StringIO()
    trainer = OnlineTrainer(config, RunDirectory.create(folder, config), RunConsole(Console(file=said, width=160)))
    trainer.train()
    trainer.close()
    return said.getvalue()


def metrics_of(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    timed = ("seconds/", "tokens_per_second", "utilisation", "memory/", "update/")
    return [{k: v for k, v in line.items() if not k.startswith(timed)} for line in lines]


def test_a_run_shows_pair_accuracy_and_asks_no_policy(tmp_path):
    config = recipe("reward_model", *RUN, *SHORT)
    preflight(config, None)
    said = told(config, tmp_path / "run")
    found = [(m["step"], PairResult.of_metrics(m)) for m in metrics_of(tmp_path / "run") if "eval/pairs_accuracy" in m]
    assert [step for step, _ in found] == [0, 2, 4]
    assert found[0][1].accuracy == 0.5  # a score layer of zeros has no opinion
    for step, result in found:
        label = "before" if step == 0 else f"step {step}"
        assert f"{label}: held-out pair accuracy {result.accuracy:.1%} (95 % {result.interval})" in said
    assert "Held-out pair accuracy" in said.split("step 4:")[1]
    assert "after step 4" in said
    assert "judged by" not in said
    assert "reward judges itself" not in said
    lines = metrics_of(tmp_path / "run")
    assert not [name for line in lines for name in line if name in ("eval/sampled", "evaluation/judge")]
    (panel,) = [p for p in run_panels(lines, 8)[0] if p.title == "Pair accuracy"]
    assert "held-out pairs" in [series.name for series in panel.series]


def test_a_resumed_run_measures_the_same(tmp_path):
    config = recipe("reward_model", *RUN, *SHORT)
    same_when_resumed(config, tmp_path, stop_after=2)
    assert metrics_of(tmp_path / "cut") == metrics_of(tmp_path / "straight")


def test_pairs_of_a_file_of_their_own(tmp_path):
    learned = f"examples={{path: {rows(tmp_path, 40)}}}"
    own = rows(tmp_path, 5, "own.jsonl", prefix="another")
    section = f"evaluation={{tasks: 8, data: {{path: {own}, max_prompt_tokens: 64}}}}"
    config = recipe("reward_model", learned, section)
    where, groups = held_out_groups(config, make_policy().tokenizer, 512)
    assert (where, [g.task.prompt for g in groups]) == ("evaluation.data", [f"another {i}" for i in range(5)])
    notes = "\n".join(preflight(config, None).notes)
    assert "evaluation.tasks 8: only 5 pairs of prompts are in evaluation.data" in notes
    same = recipe("reward_model", learned, section.replace("own.jsonl", "pairs.jsonl"))
    with pytest.raises(UserError, match="8 of 8 prompts are trained on"):
        preflight(same, None)


def test_held_out_prompts_without_a_pair_are_refused(tmp_path):
    own = tmp_path / "good.jsonl"
    own.write_text("".join(json.dumps({"prompt": f"p {i}", "response": "fine"}) + "\n" for i in range(4)))
    section = f"evaluation={{tasks: 8, data: {{path: {own}, max_prompt_tokens: 64}}}}"
    with pytest.raises(UserError, match="no held-out prompt has a better and a worse response"):
        preflight(recipe("reward_model", section), None)
