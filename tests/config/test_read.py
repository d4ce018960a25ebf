"""Every mistake in a recipe is reported at once, at its line, with what is allowed."""

from pathlib import Path

import pytest
import yaml

from grpo_kit.config import Config
from grpo_kit.config.read import apply_override, load_recipe, read_override, validate
from grpo_kit.config.source import parse_yaml, shipped_recipes
from grpo_kit.errors import UserError
from grpo_kit.run.chain import is_chain, load_chain
from grpo_kit.run.resume import changes

GOOD = """\
model: {scratch: {}}
data: {task: addition}
verifiers:
  - name: math
train:
  steps: 5
"""


def load_text(text: str, *overrides: str) -> Config:
    source = parse_yaml(text, "my.yaml")
    for override in overrides:
        apply_override(source, override)
    return validate(source)


def error(text: str, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load_text(text, *overrides)
    return str(caught.value)


def test_a_good_recipe_has_defaults():
    config = validate(parse_yaml(GOOD, "my.yaml"))
    assert (config.algorithm, config.rollout.group_size, config.train.steps) == ("grpo", 8, 5)


def test_all_errors_at_once_with_lines_and_suggestions():
    text = GOOD.replace("task: addition", "task: addition, levle: 2").replace(
        "steps: 5", "steps: many\n  token_bugdet: 3"
    )
    message = error(text + "algorithm: gropo\n")
    assert message.startswith("4 problems")
    assert "my.yaml:2: unknown key data.levle" in message
    assert "Did you mean level?" in message
    assert "my.yaml:6: train.steps: found 'many'" in message
    assert "my.yaml:7: unknown key train.token_bugdet" in message
    assert "my.yaml:8: algorithm: found 'gropo', allowed: reinforce" in message
    assert "Did you mean grpo?" in message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("steps: 5", "steps: 0"), "my.yaml:6: train.steps: found 0, must be greater than 0"),
        (("model: {scratch: {}}", "model: {}"), "my.yaml:1: model: needs a path"),
        (("scratch: {}", "scratch: {}, path: x"), "my.yaml:1: model: give either path or scratch"),
        (("task: addition", "task: addition, path: x"), "my.yaml:2: data: needs exactly one of"),
        (("train:\n  steps: 5\n", ""), "train is missing"),
        (("  - name: math", "  - weight: 1"), "my.yaml:4: verifiers.0.name is missing"),
        (("steps: 5", "steps: 5\nrollout: {top_p: 0.9}"), "top_p cuts the distribution"),
        (("steps: 5", "steps: 5\n  updates_per_batch: 5"), "must divide rollout.prompts_per_step"),
        (
            ("steps: 5", "steps: 5\n  log_rollouts_every: 2\nreplay: {}"),
            "from which replay draws its groups: set it to 1",
        ),
        (("steps: 5", "steps: 5\nreplay: {share: 1.0}"), "my.yaml:7: replay.share: found 1.0, must be less than 1"),
        (
            ("steps: 5", "steps: 5\nalgorithm: offline_pg\nexamples: {rollouts: x}\nreplay: {}"),
            "replay is of what a run samples itself",
        ),
        (("verifiers:\n  - name: math", "verifiers: []"), "verifiers: give one at least"),
        (("task: addition", "path: x, prompt_template: hello"), "must contain {prompt}"),
    ],
)
def test_single_mistakes(change, expected):
    assert expected in error(GOOD.replace(*change))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1", "my.yaml:1: not valid YAML"),
        ("- 1\n- 2\n", "a recipe is a mapping"),
        (GOOD + "train: {steps: 3}\n", "my.yaml:7: train is written twice; the first is on line 5"),
    ],
)
def test_broken_yaml(text, expected):
    assert expected in error(text)


def test_overrides_are_typed_like_yaml():
    source = parse_yaml(GOOD, "my.yaml")
    for override in (
        "optimizer.learning_rate=1e-5",
        "rollout.stop=[a, b]",
        "verifiers.0.weight=2",
        "model.path=some/folder",
    ):
        apply_override(source, override)
    config = validate(source)
    assert config.optimizer.learning_rate == 1e-5
    assert config.rollout.stop == ("a", "b")
    assert config.verifiers[0].weight == 2.0
    assert (config.model.path, config.model.scratch) == ("some/folder", None)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.stepz=3", "command line (train.stepz=3): unknown key train.stepz"),
        ("train", "an override is written key.sub=value"),
        ("verifiers.7.name=x", "not an entry of a list of 1"),
        ("train.steps.more=1", "train.steps is a value, not a section"),
        ("seed=x", "command line (seed=x): seed: found 'x'"),
    ],
)
def test_bad_overrides(override, expected):
    assert expected in error(GOOD, override)


def test_a_missing_recipe_suggests_a_shipped_one():
    with pytest.raises(UserError, match="Did you mean quickstart/addition"):
        load_recipe("quickstart/adition")


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_valid(name):
    if is_chain(name):
        assert all(c.train.steps > 0 for c in load_chain(name, [], Path("run")).values())
        return
    config = load_recipe(name)
    assert config.train.steps > 0
    assert load_recipe(Path("recipes") / f"{name}.yaml") == config


def test_null_in_the_objective_means_off_and_survives_being_written(tmp_path):
    """A run's config.yaml says what was set and no more: a key that nobody set stays the row's."""
    plain, off = load_recipe("ppo/ppo"), load_recipe("ppo/ppo", ["objective.value_clip=null"])
    assert "value_clip" not in plain.objective.model_dump()
    assert off.objective.model_dump() == plain.objective.model_dump() | {"value_clip": None}
    for config in (plain, off):
        path = tmp_path / "written.yaml"
        path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
        assert load_recipe(path).objective.model_dump() == config.objective.model_dump()
    assert [str(c) for c in changes(plain, off)] == ["objective.value_clip: 'not set' -> None"]


KEYS_OF_0_1 = [
    "family", "data", "selection", "baseline", "scale", "returns", "discount", "trace", "average_decay", "ratio_level",
    "surrogate", "aggregation", "clip_low", "clip_high", "dual_clip", "gate_positive", "gate_negative",
    "divergence_limit", "penalty", "penalty_target", "correction", "correction_cap", "kl_place",
    "kl_estimator", "beta", "kl_target", "entropy_bonus", "entropy_share", "dynamic_sampling", "mask_truncated",
    "value_clip", "step", "trust_region", "pair_loss", "good_weight", "bad_weight", "per_prompt",
]  # fmt: skip


@pytest.mark.parametrize("newer", [(), ("family", "data")])
def test_a_run_that_wrote_every_key_of_the_row_as_null_keeps_its_row(tmp_path, newer):
    """Runs recorded by 0.1: null stood for the row's value there, in as many keys as its row had."""
    document = load_recipe("ppo/ppo").model_dump(mode="json")
    document["objective"] = {key: None for key in KEYS_OF_0_1 if key not in newer} | {"beta": 0.5}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(document))
    assert load_recipe(path).objective.model_dump() == {"beta": 0.5}


@pytest.mark.parametrize(
    "override", ["data.answer_pattern=#### (.+)", "data.system_prompt=Think # hard", "data.limit=5 # rows"]
)
def test_an_override_is_never_half_a_comment(override):
    with pytest.raises(UserError, match=r"from '#.*' on, YAML takes it for a comment; put text with # in quotes: "):
        read_override(override)
    key, _, raw = override.partition("=")
    assert read_override(f'{key}="{raw}"')[1] == raw
    assert read_override("data.system_prompt=C#")[1] == "C#"
