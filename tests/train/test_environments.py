"""Runs with an environment: one turn changes nothing; several turns are trained on, resumed exactly, and paid for."""

import gzip
import json
import sys
from pathlib import Path

import pytest
import torch

from grpo_kit.config.environment import EnvironmentConfig
from grpo_kit.data.tasks import ProceduralSource
from grpo_kit.environments import EnvironmentSpec
from grpo_kit.environments.opening import Setting
from grpo_kit.environments.register import REGISTRY
from grpo_kit.errors import UserError
from grpo_kit.policy.scratch import build_tokenizer
from grpo_kit.runtime.modules import FILE_MODULE
from grpo_kit.train.assemble import open_scorer
from grpo_kit.train.preflight import preflight
from grpo_kit.types import Task
from tests.kit.played import ENDS_TURNS
from tests.kit.runs import ODD, recipe, run, same_when_resumed, weights

PLAYED = Path(__file__).parents[1] / "kit" / "played.py"
ONE_TURN = f"environment={{name: '{PLAYED}:OneTurn', max_inserted: 32}}"
COUNTING = f"environment={{name: '{PLAYED}:Counting', max_inserted: 128}}"
SHORT = ("scoring.max_rejected_gold=1.0", "train.steps=2", "train.save_every=1", "rollout.max_tokens=8")
# A row of each family and of what each needs beside the rewards; that no row sees what was inserted is a law of its own.
ROWS = ("grpo", "ppo", "remax", "rft", "online_dpo")


def metrics(folder):
    """What does not depend on time. Who is in a batch does, with episodes, and so do the last bits of what is sampled with."""
    lines = (json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines())
    timed = (
        "seconds/",
        "tokens_per_second",
        "latency",
        "turns/",
        "calls/",
        "environment",
        "verifier/one_turn",
        "utilisation",
        "mismatch/",
    )
    return [{k: v for k, v in m.items() if not any(t in k for t in timed)} for m in lines]


def rollouts(folder, step):
    with gzip.open(folder / "rollouts" / f"step-{step:06d}.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ROWS)
def test_one_turn_is_the_run_without_an_environment(algorithm, tmp_path):
    run(recipe(algorithm, ODD, *SHORT), tmp_path / "without")
    run(recipe(algorithm, ODD, *SHORT, ONE_TURN), tmp_path / "within")
    without, within = weights(tmp_path / "without"), weights(tmp_path / "within")
    assert all(torch.equal(without[name], within[name]) for name in without)
    ours = [{k: v for k, v in m.items() if k != "length/inserted"} for m in metrics(tmp_path / "within")]
    assert ours == metrics(tmp_path / "without")


@pytest.mark.parametrize("algorithm", ["grpo", "ppo", "reinforce"])
def test_several_turns_and_an_exact_resume(algorithm, tmp_path):
    config = recipe(algorithm, "verifiers=[]", *SHORT, "rollout.max_tokens=48", COUNTING, ENDS_TURNS)
    same_when_resumed(config, tmp_path)
    assert metrics(tmp_path / "straight")[-1] == metrics(tmp_path / "cut")[-1]
    found = rollouts(tmp_path / "straight", 2)
    assert len({len(row["turns"]) for row in found}) > 1
    assert all(len(row["inserted"]) == len(row["turns"]) - 1 for row in found)
    assert all("until" in row["messages"][-1]["content"] for row in found)
    assert {row["ending"] for row in found} >= {"done"}
    assert {row["reward"] for row in found} == {0.0, 1.0}


def test_turns_with_prompts_of_their_own(tmp_path):
    """Every turn's prompt is the whole conversation as the template writes it; two steps of it move the weights."""
    fresh = COUNTING.replace("max_inserted", "history: fresh, max_inserted")
    run(recipe("grpo", "verifiers=[]", *SHORT, "rollout.max_tokens=48", fresh, ENDS_TURNS), tmp_path / "run")
    found = [row for step in (1, 2) for row in rollouts(tmp_path / "run", step)]
    assert max(len(row["turns"]) for row in found) > 2
    tokenizer = build_tokenizer()
    for row in found:
        said = list(row["messages"])
        for turn, (_, prompt) in zip(row["turns"], row["inserted"], strict=False):
            said += [{"role": "assistant", "content": turn["text"]}, *turn["replies"]]
            assert prompt == tokenizer.apply_chat_template(said, add_generation_prompt=True, return_dict=False)
    last = metrics(tmp_path / "run")[-1]
    assert last["mismatch/kl"] < 1e-6 if "mismatch/kl" in last else True
    assert last["grad_norm"] > 0


def test_a_tool_may_pay_beside_a_verifier():
    """A class of tools alone has rewards too: what a tool returned as done counts beside the verifiers' marks."""
    config = recipe("grpo", ODD, "environment={name: python, weight: 0.5, max_inserted: 64}")
    with open_scorer(config) as scorer:
        assert scorer.outcome == ("python", 0.5)


def test_another_version_of_the_environment_is_not_resumed(tmp_path):
    own = tmp_path / "own.py"
    text = PLAYED.read_text().replace('name="', 'name="own_')
    own.write_text(text)
    settings = ("verifiers=[]", *SHORT, "rollout.max_tokens=24", COUNTING.replace(str(PLAYED), str(own)), ENDS_TURNS)
    run(recipe("grpo", *settings), tmp_path / "run", stop_after=1)
    own.write_text(text.replace("% 2 == 0", "% 3 == 0"))
    for name in [name for name in sys.modules if name.startswith(FILE_MODULE)]:  # as in another process
        del sys.modules[name]
    for name in ("own_counting", "own_one_turn"):
        REGISTRY.pop(name, None)
    with pytest.raises(UserError, match=r"environment own_counting: version .* then"):
        run(recipe("grpo", *settings), tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["environment={name: nobody, max_inserted: 64}"], "there is no environment or tool named 'nobody'"),
        (["environment={name: guess_number, options: {lo: 1}, max_inserted: 64}"], "lo"),
        (
            ["environment={name: guess_number, options: {low: x}, max_inserted: 64}"],
            "option low is a whole number, found 'x'",
        ),
        (
            ["environment={name: guess_number, options: {low: 9, high: 3}, max_inserted: 64}"],
            "no number from low 9 to high 3",
        ),
        (["environment={tools: [calculator, calculator], max_inserted: 64}"], "calculator"),
        (["environment={name: python, max_inserted: 64}", "verifiers=[]"], "nothing says what an episode is worth"),
        (["environment={name: guess_number, max_inserted: 4096}"], "for example environment.max_inserted=436"),
    ],
)
def test_what_cannot_be_played_is_refused_before_the_first_step(settings, said):
    with pytest.raises(UserError, match=said):
        preflight(recipe("grpo", *settings), None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["verifiers=[]"], "verifiers: give one at least"),
        (["verifiers=[]", "environment={tools: [calculator]}"], "verifiers: give one at least"),
        (["environment={}"], "give either name, an environment, or tools"),
        (["environment={name: guess_number, turns: 0}"], "turns"),
        (["environment={tools: [calculator], options: {a: 1}}"], "options are for an environment's class"),
        (
            ["environment={tools: [calculator]}", "examples={demonstrations: true}"],
            r"sampled already \(examples\); leave",
        ),
        (["environment={tools: [calculator]}", "algorithm=dpo"], r"sampled already \(algorithm dpo\); leave"),
        (["scoring.ray_address=ray://here:1"], "for scoring.executor: ray, or environment.executor: ray"),
    ],
)
def test_recipes_that_make_no_sense(settings, said):
    with pytest.raises(UserError, match=said):
        recipe("grpo", *settings)


@pytest.mark.parametrize(("template", "format"), [("{{ tools }}", "json"), ("<tool_call> {{ tools }}", "hermes")])
def test_demonstrations_call_in_the_form_that_is_read(template, format):
    """What a warm start imitates must be understood by the environment that pays afterwards, whatever the template."""
    found = ProceduralSource("big_arithmetic", 1, 0, held_out=False).problem(0)
    spec = EnvironmentSpec(tools=("calculator",), format=format)
    setting = Setting(EnvironmentConfig(tools=("calculator",)), spec.find(), spec, None, "")
    (text, reply), *_ = found.turns
    task = Task("t", ({"role": "user", "content": found.prompt},), found.answer)
    episode = spec.find().open(task, 0, {})
    episode.begin()
    spelt = setting.spelt(text)
    answer = episode.reply(spelt, spelt)
    assert (answer.calls, answer.invalid, [m["content"] for m in answer.messages]) == (1, 0, [reply])
    assert setting.spelt(found.demonstration) == found.demonstration
