"""``extends``: a recipe over another one, every value with the place where it was written."""

import os

import pytest
import yaml
from typer.testing import CliRunner

from grpo_kit.cli.app import app
from grpo_kit.config import Config
from grpo_kit.config.extends import EXTENDS, MAX_FILES, extendable, merged, read_whole
from grpo_kit.config.read import apply_override, load_recipe, read_source
from grpo_kit.config.source import MAX_TEXT, find_recipe, parse_yaml, shipped_bases, shipped_recipes
from grpo_kit.errors import UserError
from grpo_kit.evaluate.tasks import open_task
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.run.chain import is_chain, load_chain
from grpo_kit.run.smoke import SHORT, smoke_overrides

BASE = """\
model: {scratch: {hidden_size: 32, layers: 2}}
data: {task: addition, max_prompt_tokens: 32}
verifiers:
  - name: math
  - name: overlong
    options: {maximum: 40, buffer: 8}
rollout: {prompts_per_step: 16, stop: [a, b]}
evaluation: {tasks: 8}
train:
  steps: 5
"""
CHAIN = (
    BASE
    + """\
stages:
  first: {seed: 1, train: {steps: 2}}
  second: {model: {path: "{first}/model", scratch: null}}
"""
)


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def _write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return name

    _write("base.yaml", BASE)
    return _write


def refused(recipe, *overrides):
    with pytest.raises(UserError) as caught:
        load_recipe(recipe, overrides)
    return str(caught.value)


def test_mappings_merge_and_everything_else_replaces(write):
    child = "model: {scratch: {layers: 3}}\nverifiers: [{name: exact}]\nrollout: {stop: [c]}\nevaluation: null\n"
    config = load_recipe(write("mine.yaml", "extends: base.yaml\n" + child))
    assert (config.model.scratch.hidden_size, config.model.scratch.layers) == (32, 3)
    assert [v.name for v in config.verifiers] == ["exact"]
    assert (config.rollout.prompts_per_step, config.rollout.stop) == (16, ("c",))
    assert config.evaluation is None
    assert "evaluation" in config.model_fields_set  # null is something that was said
    assert config.train.steps == 5


def test_a_scalar_gives_way_to_a_section_and_back():
    base, over = parse_yaml("a: 1\nb: {c: 2, d: 3}\n", "base"), parse_yaml("a: {x: 1}\nb: 4\n", "over")
    whole = merged(base, over)
    assert whole.data == {"a": {"x": 1}, "b": 4}
    assert whole.places == {(): "over:1", ("a",): "over:1", ("a", "x"): "over:1", ("b",): "over:2"}
    assert base.data == {"a": 1, "b": {"c": 2, "d": 3}}


def test_a_base_may_extend_another_and_each_path_starts_at_its_own_file(write, tmp_path, monkeypatch):
    write("shared/middle.yaml", "extends: ../base.yaml\ntrain: {steps: 6}\nseed: 6\n")
    write("mine/recipe.yaml", "extends: ../shared/middle.yaml\nseed: 7\n")
    config = load_recipe("mine/recipe.yaml")
    assert (config.seed, config.train.steps, config.rollout.prompts_per_step) == (7, 6, 16)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_recipe(tmp_path / "mine" / "recipe.yaml") == config


@pytest.mark.parametrize("name", ["grpo/grpo", "recipes/grpo/grpo.yaml", "bases/tiny"])
def test_a_name_is_a_shipped_recipe_or_base(write, name):
    config = load_recipe(write("mine.yaml", f"extends: {name}\nalgorithm: grpo\n"))
    assert config == load_recipe("grpo/grpo")


def test_the_command_line_comes_last(write):
    write("mine.yaml", "extends: base.yaml\ntrain: {steps: 6}\n")
    config = load_recipe("mine.yaml", ["train.steps=7", "model.path=folder", "verifiers.1.weight=2"])
    assert (config.train.steps, config.model.path, config.verifiers[1].weight) == (7, "folder", 2.0)
    assert "command line (extends=x): extends: extends stands at the top" in refused("mine.yaml", "extends=x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("extends: base.yaml\ntrain: {stepz: 3}\n", "mine.yaml:2: unknown key train.stepz"),
        ("extends: broken.yaml\ntrain: {steps: 3}\n", "broken.yaml:3: rollout.group_size: found 'many'"),
        ("extends: broken.yaml\nrollout: {group_size: 2}\n", "broken.yaml:4: unknown key lerning_rate"),
        ("extends: base.yaml\nverifiers:\n  - weight: 1\n", "mine.yaml:3: verifiers.0.name is missing"),
        ("extends: twice.yaml\n", "twice.yaml:2: seed is written twice; the first is on line 1"),
        ("extends: base.yaml\nmodel: {path: x}\n", "mine.yaml:2: model: give either path or scratch"),
        ("extends: base.yaml\nmodel: {path: x}\n", "(model.scratch is from base.yaml:1)"),
        ("extends: base.yaml\ntrain: {updates_per_batch: 3}\n", "(rollout.prompts_per_step is from base.yaml:7)"),
        ("extends: base.yaml\ntrain: {extends: x}\n", "mine.yaml:2: train.extends: extends stands at the top"),
    ],
)
def test_a_mistake_is_named_where_it_was_written(write, text, expected):
    write("broken.yaml", "extends: base.yaml\nrollout:\n  group_size: many\nlerning_rate: 1\n")
    write("twice.yaml", "seed: 1\nseed: 2\n")
    assert expected in refused(write("mine.yaml", text))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("[base.yaml]", "found ['base.yaml'], must be the name of one shipped recipe"),
        ("", "found None, must be the name"),
        ("''", "found '', must be the name"),
        ("bsae.yaml", "Did you mean base.yaml?"),
        ("quickstart/adition", "Did you mean quickstart/addition?"),
        ("bases/tyny", "Did you mean bases/tiny?"),
        ("folder", "folder is a folder; give one of its recipe files"),
        ("bytes.yaml", "cannot be read as a recipe: it is no UTF-8 text"),
        ("long.yaml", f"more than {MAX_TEXT} characters are no recipe"),
        ("/dev/zero", "no recipe at /dev/zero"),
        ("pipe", "no recipe at pipe"),
        ("sub/bsae.yaml", "Did you mean sub/base.yaml?"),
        ("x" * 5000, "recipe"),
        ('"a\\0b"', "recipe"),
    ],
)
def test_a_base_that_is_none(write, tmp_path, value, expected):
    (tmp_path / "folder").mkdir()
    write("sub/base.yaml", BASE)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    (tmp_path / "long.yaml").write_text("#" * (MAX_TEXT + 1))
    os.mkfifo(tmp_path / "pipe")
    message = refused(write("mine.yaml", f"seed: 1\nextends: {value}\n"))
    assert message.startswith("mine.yaml:2: extends: ")
    assert expected in message


def test_circles_and_towers(write):
    write("a.yaml", "extends: b.yaml\n")
    write("b.yaml", "seed: 1\nextends: ./a.yaml\n")
    assert refused("a.yaml").startswith("b.yaml:2: extends: a.yaml -> b.yaml -> a.yaml is a circle")
    write("self.yaml", "extends: self.yaml\n")
    assert "self.yaml:1: extends: self.yaml -> self.yaml is a circle" in refused("self.yaml")
    write("0.yaml", BASE)
    for number in range(1, MAX_FILES + 1):
        write(f"{number}.yaml", f"extends: {number - 1}.yaml\n")
    assert load_recipe(f"{MAX_FILES - 1}.yaml").train.steps == 5
    assert refused(f"{MAX_FILES}.yaml").startswith(f"1.yaml:1: extends: {MAX_FILES}.yaml -> ")
    assert f"more than {MAX_FILES} files" in refused(f"{MAX_FILES}.yaml")


def test_what_a_run_writes_is_whole(write, tmp_path):
    config = load_recipe(write("mine.yaml", "extends: base.yaml\nseed: 3\n"))
    run = RunDirectory.create(tmp_path / "run", config)
    assert EXTENDS not in yaml.safe_load((run.path / "config.yaml").read_text())
    (tmp_path / "base.yaml").unlink()
    assert load_recipe(run.path / "config.yaml") == config


def test_a_chain_extends_what_its_stages_share(write, tmp_path):
    stages = "stages:\n  only: {train: {steps: 3}, verifiers: [{name: exact}], rollout: {group_size: many}}\n"
    write("mine.yaml", "extends: base.yaml\n" + stages)
    with pytest.raises(UserError, match=r"(?s)stage only: .*mine.yaml:3: rollout.group_size: found 'many'"):
        load_chain("mine.yaml", [], tmp_path)
    loaded = load_chain("mine.yaml", ["stages.only.rollout.group_size=2"], tmp_path)
    assert (loaded["only"].train.steps, loaded["only"].rollout.stop) == (3, ("a", "b"))
    write("base.yaml", BASE.replace("[a, b]", "3"))
    with pytest.raises(UserError, match=r"(?s)stage only: .* base.yaml:7: rollout.stop: found 3"):
        load_chain("mine.yaml", ["stages.only.rollout.group_size=2"], tmp_path)


def test_a_chain_extends_a_chain_stage_by_stage(write, tmp_path):
    write("chain.yaml", CHAIN)
    write("mine.yaml", "extends: chain.yaml\ndevice: cpu\nstages:\n  second: {seed: 5}\n  third: {seed: 6}\n")
    assert is_chain("mine.yaml")
    loaded = load_chain("mine.yaml", ["stages.third.train.steps=4"], tmp_path)
    assert [(n, c.seed, c.train.steps, c.device) for n, c in loaded.items()] == [
        ("first", 1, 2, "cpu"),
        ("second", 5, 5, "cpu"),
        ("third", 6, 4, "cpu"),
    ]
    assert loaded["second"].model.path == f"{tmp_path}/first/model"
    assert f"stages.third.train.steps={SHORT['train.steps']}" in smoke_overrides("mine.yaml")


def test_what_would_not_reach_a_stage_of_the_base_is_refused(write, tmp_path):
    write("chain.yaml", CHAIN)
    write("mine.yaml", "extends: chain.yaml\ntrain:\n  steps: 9\n")
    with pytest.raises(
        UserError, match=r"^mine.yaml:3: first of the stages .* about train.steps.* under stages.first$"
    ):
        load_chain("mine.yaml", [], tmp_path)
    write("mine.yaml", "extends: chain.yaml\ntrain:\n  steps: 9\nstages: {first: {train: {steps: 8}}}\n")
    assert [c.train.steps for c in load_chain("mine.yaml", [], tmp_path).values()] == [8, 9]


def test_a_stage_extends_nothing(write, tmp_path):
    write("mine.yaml", "extends: base.yaml\nstages:\n  one: {extends: grpo/grpo}\n")
    with pytest.raises(UserError, match=r"(?s)stage one: .*mine.yaml:3: extends: extends stands at the top"):
        load_chain("mine.yaml", [], tmp_path)


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_extend_by_name_and_are_read_in_two_steps_at_most(name):
    files = [name]
    while (base := yaml.safe_load(find_recipe(files[-1]).read_text()).get(EXTENDS)) is not None:
        files.append(base)
    assert len(files) <= 3
    assert set(files) <= {*shipped_recipes(), *shipped_bases()}  # a copy of the file finds them too


def test_bases_are_shown_and_neither_listed_nor_run():
    assert shipped_bases()
    assert not set(shipped_bases()) & set(shipped_recipes())
    listed = CliRunner().invoke(app, ["recipes", "ls"], env={"COLUMNS": "200"}).stdout
    assert "grpo/grpo" in listed
    assert "bases/" not in listed
    used = "".join(find_recipe(name).read_text() for name in [*shipped_recipes(), *shipped_bases()])
    for name in shipped_bases():
        assert f"{EXTENDS}: {name}\n" in used
        assert CliRunner().invoke(app, ["recipes", "show", name]).stdout == find_recipe(name).read_text()
        assert f"write extends: {name} into a recipe of your own" in refused(name)


def test_every_command_reads_the_whole(write):
    write("mine.yaml", "extends: base.yaml\nalgorithm: rloo\n")
    assert "evaluation.tasks=16" in smoke_overrides("mine.yaml")
    planned = CliRunner().invoke(app, ["plan", "mine.yaml", "--gpus", "1x24GB"], catch_exceptions=False)
    assert "rloo" in planned.stdout
    write("task.yaml", "extends: base.yaml\n")  # names none of the sections by which a recipe is told from a task
    assert len(open_task("task.yaml", limit=3).problems) == 3
    copied = CliRunner().invoke(app, ["recipes", "cp", "preference/dpo", "copy.yaml"], catch_exceptions=False)
    assert "config resolve copy.yaml --where" in copied.stdout
    assert load_recipe("copy.yaml") == load_recipe("preference/dpo")


def test_resolve_prints_the_whole_and_where_each_value_is_from(write):
    write("mine.yaml", "extends: base.yaml\ntrain: {steps: 6}\n")
    overrides = [
        "rollout.stop=[x, y]",
        'data.system_prompt="two\\n\\nlines: # and more than that, so that YAML folds them"',
    ]

    def resolve(*options):
        return CliRunner().invoke(app, ["config", "resolve", "mine.yaml", *overrides, *options], catch_exceptions=False)

    plain, noted = resolve().stdout, resolve("--where").stdout
    assert EXTENDS not in plain
    assert "#" not in plain.replace(": # and", "")
    assert yaml.safe_load(noted) == yaml.safe_load(plain) == load_recipe("mine.yaml", overrides).model_dump(mode="json")
    lines = [line.strip() for line in noted.splitlines()]
    assert "steps: 6  # mine.yaml:2" in lines
    assert "- name: math  # base.yaml:4" in lines
    assert "buffer: 8  # base.yaml:6" in lines
    assert "stop:  # command line (rollout.stop=[x, y])" in lines
    assert "group_size: 8" in lines  # a default


def test_a_resolved_chain_is_a_chain(write, tmp_path):
    write("chain.yaml", CHAIN)
    write("mine.yaml", "extends: chain.yaml\nstages:\n  second: {seed: 5}\n")
    arguments = ["config", "resolve", "mine.yaml", "--where", "stages.*.train.steps=3"]
    shown = CliRunner().invoke(app, arguments, catch_exceptions=False).stdout
    assert "    seed: 5  # mine.yaml:3\n" in shown
    assert "      path: '{first}/model'  # chain.yaml:13\n" in shown
    write("whole.yaml", shown)
    run = tmp_path / "run"
    assert load_chain("whole.yaml", [], run) == load_chain("mine.yaml", ["stages.*.train.steps=3"], run)


def test_places_follow_what_an_override_replaces(write):
    source = read_source("base.yaml", ["verifiers=[{name: exact, options: {a: 1}}]", "model.path=x"])
    assert source.place(("verifiers", 0, "options", "a")).startswith("command line (verifiers=")
    assert ("verifiers", 1, "name") not in source.places
    assert ("model", "scratch", "layers") not in source.places


def test_an_override_changes_one_of_two_sections_that_share_an_alias():
    source = parse_yaml("data: &data {path: x}\nevaluation: {data: *data}\n", "my.yaml")
    apply_override(source, "data.path=y")
    assert source.data == {"data": {"path": "y"}, "evaluation": {"data": {"path": "x"}}}


def test_the_schema_knows_extends_and_asks_for_nothing_beside_it():
    validator = pytest.importorskip("jsonschema").Draft202012Validator(extendable(Config.model_json_schema()))
    for recipe in ({"extends": "grpo/grpo"}, {"extends": "x", "train": {"epochs_per_batch": 2}}, yaml.safe_load(BASE)):
        assert validator.is_valid(recipe), recipe
    for recipe in ({}, {"extends": 3}, {"extends": "x", "trian": {}}, yaml.safe_load(BASE) | {"train": {}}):
        assert not validator.is_valid(recipe), recipe


def test_reading_twice_gives_the_same_and_leaves_no_trace(write):
    write("mine.yaml", "extends: base.yaml\nrollout: {stop: [c]}\n")
    first = read_whole("mine.yaml")
    apply_override(first, "rollout.stop=[d]")
    assert read_whole("mine.yaml").data["rollout"]["stop"] == ["c"]
