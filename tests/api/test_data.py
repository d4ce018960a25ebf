"""What a program is given back: runs, recipes, evaluations, plans."""

import json
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import yaml

import grpo_kit
from grpo_kit.config.read import load_recipe
from grpo_kit.stress.subjects import write_procedural
from tests.kit.odd import odd
from tests.kit.places import ROOT
from tests.kit.tiny import TINY_RECIPE


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return grpo_kit.train(write_procedural(folder, steps=2), run_dir=folder / "run", progress=False)


def test_importing_the_package_imports_nothing():
    """Counted, not timed: what is heavy is what is imported."""
    code = (
        "import sys; before = set(sys.modules); import grpo_kit; names = dir(grpo_kit); "
        "print(*sorted(set(sys.modules) - before)); from grpo_kit import UserError, Recipe; print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    imported, torch = said.splitlines()
    assert torch == "False"
    outside = [name for name in imported.split() if name.partition(".")[0] not in ("grpo_kit", "__future__", "typing")]
    assert len(outside) < 10, outside
    assert not any(name.startswith("grpo_kit.") for name in imported.split())


def test_every_name_is_there_whatever_was_imported_before():
    code = (
        "import grpo_kit.train.loop, grpo_kit.plan.cost, grpo_kit.evaluate.score, inspect, grpo_kit\n"
        "for name in grpo_kit.__all__:\n    assert callable(getattr(grpo_kit, name)), name\n"
        "from grpo_kit import train, evaluate, plan\n"
        "assert 'on_step' in inspect.signature(train).parameters and train.__doc__.startswith('Train with a recipe')\n"
        "assert grpo_kit.train.loop.OnlineTrainer\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_run_is_read_back(run):
    import pandas

    found = grpo_kit.load_run(run.path)
    assert found.metrics == [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    frame = pandas.DataFrame(found.metrics)
    assert frame["reward/mean"].notna().sum() == 2
    assert frame["eval/sampled"].notna().sum() == len(found.evaluations) == 2
    assert [line["step"] for line in found.steps] == [1, 2]
    assert found.accuracy == found.evaluations[-1]["eval/sampled"]
    assert (found.step, found.finished, found.stopped) == (2, True, False)
    assert [checkpoint.step for checkpoint in found.checkpoints] == [2]
    assert all((checkpoint.model / "config.json").is_file() for checkpoint in found.checkpoints)
    assert (found.model / "model.safetensors").is_file()
    assert found.config.train.steps == 2


def test_rollouts_are_read_one_by_one(run, monkeypatch):
    lines = run.rollouts()
    assert next(lines)["step"] == 1
    assert len(list(lines)) == 31
    assert {line["step"] for line in run.rollouts(2)} == {2}
    with pytest.raises(grpo_kit.UserError, match="no rollouts of step 9; recorded: 1 to 2"):
        run.rollouts(9)


def test_a_notebook_shows_a_run_and_its_page(run):
    shown = run._repr_html_()
    assert "<svg" in shown
    assert "grpo" in shown
    page = run.report()
    assert page.path.is_file()
    # All of the page is one attribute: nothing in it is markup of the notebook.
    assert page._repr_html_().count("<") == 2
    with pytest.raises(grpo_kit.UserError, match="not a run directory"):
        grpo_kit.load_run(run.path / "model")


def test_a_recipe_goes_to_yaml_and_back(tmp_path):
    recipe = grpo_kit.Recipe(
        "quickstart/addition", {"train": {"steps": 7}}, optimizer__learning_rate=1e-5, evaluation=None
    )
    assert (recipe.config.train.steps, recipe.config.optimizer.learning_rate, recipe.config.evaluation) == (
        7,
        1e-5,
        None,
    )
    assert recipe.config.train.token_budget == load_recipe("quickstart/addition").train.token_budget  # the rest is left
    for defaults in (False, True):
        path = tmp_path / f"{defaults}.yaml"
        text = recipe.to_yaml(path, defaults=defaults)
        for source in (path, str(path), text):
            assert grpo_kit.Recipe.from_yaml(source) == recipe
    assert grpo_kit.Recipe(recipe, seed=3) != recipe
    assert grpo_kit.Recipe.from_yaml(TINY_RECIPE).config.train.steps == 3
    with pytest.raises(grpo_kit.UserError, match=r"the given text|unknown key trian"):
        grpo_kit.Recipe.from_yaml(TINY_RECIPE + "trian: 3\n")


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"optimizer__learning_rate": 3e-07}, ("optimizer", "learning_rate", 3e-07)),
        ({"optimizer__betas": (0.8, 1e-05)}, ("optimizer", "betas", (0.8, 1e-05))),
        ({"data__system_prompt": "a: {b} # c\n 'd' \"e\""}, ("data", "system_prompt", "a: {b} # c\n 'd' \"e\"")),
        ({"rollout__stop": ["\n\n", "# x"]}, ("rollout", "stop", ("\n\n", "# x"))),
        ({"train__save_every": None}, ("train", "save_every", None)),
        ({"data__prompt_template": "{prompt}"}, ("data", "prompt_template", "{prompt}")),
    ],
)
def test_values_arrive_as_they_are(keys, found):
    section, key, value = found
    assert getattr(getattr(grpo_kit.Recipe("quickstart/addition", **keys).config, section), key) == value


def test_numbers_paths_and_functions_of_a_program():
    import numpy

    changes = {"train__steps": numpy.int64(3), "model__path": Path("/some/model"), "verifiers": [{"name": odd}]}
    recipe = grpo_kit.Recipe("quickstart/addition", warm_start=None, **changes)
    assert recipe.config.train.steps == 3
    assert recipe.config.model.path == "/some/model"
    assert recipe.config.verifiers[0].name.endswith("odd.py:odd")
    with pytest.raises(grpo_kit.UserError, match=r"train\.steps: .*cannot stand in a recipe"):
        grpo_kit.Recipe("quickstart/addition", train__steps=3j)


def test_evaluate_score_and_compare_are_the_commands(run, grpo_kit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kit = sys.modules["grpo_kit"]
    options = {"n": 2, "max_tokens": 8, "limit": 6, "workers": 0, "progress": False, "device": "cpu"}
    first = kit.evaluate(run, "addition", out="evals/first", **options)
    words = ["-n", "2", "--max-tokens", "8", "--limit", "6", "--workers", "0", "--device", "cpu"]
    done = grpo_kit("eval", run.path, "--tasks", "addition", *words, "--out", "evals/command")
    assert done.returncode == 0, done.stderr
    results = [json.loads((tmp_path / "evals" / name / "results.json").read_text()) for name in ("first", "command")]
    assert results[0]["tasks"] == results[1]["tasks"]
    assert first.tasks["addition"] == results[0]["tasks"]["addition"]["metrics"]
    assert first.accuracy() == results[0]["tasks"]["addition"]["metrics"]["avg"]["value"]
    assert len(first.samples) == 18
    assert "<table>" in first._repr_html_()
    second = kit.evaluate(run.checkpoints[-1].path, ["addition"], out="evals/second", seed=1, **options)
    (compared,) = kit.compare(first, "evals/second", progress=False)
    assert compared.task == "addition"
    assert compared.first_value == first.accuracy()
    assert compared.second_value == second.accuracy()
    judged = kit.score(run, verifier="math", step=1, workers=0, progress=False)
    assert len(judged.samples) == 16
    assert judged.path is None
    by_function = kit.score(run, odd, step=1, workers=0, progress=False)
    assert by_function.tasks == kit.score(run, f"{odd_file()}:odd", step=1, workers=0, progress=False).tasks
    assert kit.evaluate(run, "addition", verifier=odd, **options | {"n": 1}).samples
    for judge in (kit.score, lambda _, verifier: kit.evaluate(run, "addition", verifier=verifier)):
        with pytest.raises(kit.UserError, match=r"verifier: .*stands in no file of its own"):
            judge(run, verifier=lambda response: 1.0)
    with pytest.raises(kit.UserError, match="holds no model"):
        kit.evaluate(tmp_path, "addition", progress=False)
    assert {p.name for p in (tmp_path / "evals").iterdir()} >= {"command", "first", "second"}


def odd_file():
    return ROOT / "tests" / "kit" / "odd.py"


SETS = [
    {"name": "sums", "task": "addition", "limit": 8},
    {"task": "chain_sum", "limit": 8, "verifiers": [{"name": odd}]},
]


def test_a_mixture_is_written_as_data():
    recipe = grpo_kit.Recipe("quickstart/addition", data=SETS, warm_start=None)
    assert [part.called for part in recipe.config.data] == ["sums", "chain_sum"]
    assert recipe.config.data[1].verifiers[0].name == f"{odd_file()}:odd"


@pytest.mark.parametrize("entry", ["0", 0])
def test_an_entry_of_a_list_is_changed_by_its_number(entry):
    recipe = grpo_kit.Recipe("data/mixture", {"data": {entry: {"weight": 5}}}, data__letters__weight=3)
    assert [part.weight for part in recipe.config.data] == [5.0, 1.0, 3.0]


def test_a_plan_is_numbers(capfd):
    found = grpo_kit.plan("grpo/gsm8k", gpus="1x24GB", model__path="Qwen/Qwen2.5-7B-Instruct", progress=False)
    assert capfd.readouterr().out == ""
    assert not found.fits
    assert found.memory.peak > found.device_bytes == 24 * 2**30
    assert found.changes or found.memory.peak
    here = grpo_kit.plan("quickstart/addition", threads=1, progress=False)
    assert (here.device, here.fits, here.changes) == ("cpu", True, [])
    assert here.run_seconds > here.step_seconds > 0


def test_a_recipe_is_not_changed_through_what_it_gives():
    recipe = grpo_kit.Recipe(yaml.safe_load(TINY_RECIPE))
    recipe.data["train"]["steps"] = 99
    grpo_kit.Recipe(recipe, train__steps=98)
    assert recipe.data["train"]["steps"] == recipe.config.train.steps == 3


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (5, "a mapping of keys to values"),
        ([5], "a mapping of keys to values"),
        ({"verifiers": [{"name": lambda response: 1.0}]}, "stands in no file of its own"),
    ],
)
def test_overrides_that_are_none(overrides, says):
    with pytest.raises(grpo_kit.UserError, match=says):
        grpo_kit.Recipe(yaml.safe_load(TINY_RECIPE), overrides)


def test_places_that_are_none(tmp_path):
    with pytest.raises(grpo_kit.UserError, match="is no folder"):
        grpo_kit.load_run(None)
    with pytest.raises(grpo_kit.UserError, match="cannot be written"):
        grpo_kit.Recipe(yaml.safe_load(TINY_RECIPE)).to_yaml(tmp_path / "gone" / "x.yaml")


def test_an_array_is_a_list():
    recipe = grpo_kit.Recipe(yaml.safe_load(TINY_RECIPE), {"optimizer.betas": numpy.array([0.5, 0.25])})
    assert recipe.config.optimizer.betas == (0.5, 0.25)


def test_what_was_written_nowhere_is_not_passed_over(tmp_path):
    outputs = tmp_path / "outputs.jsonl"
    outputs.write_text('{"prompt": "1+1", "response": "2", "answer": "2"}\n')
    found = grpo_kit.score(outputs, workers=0, progress=False)
    with pytest.raises(grpo_kit.UserError, match="written nowhere"):
        grpo_kit.compare(found, found, progress=False)
    with pytest.raises(grpo_kit.UserError, match="is no evaluation"):
        grpo_kit.compare(found.result, found, progress=False)


def test_a_script_that_calls_when_it_is_imported_for_its_function_is_told(tmp_path):
    """It would train, or score, once more in every process that judges."""
    script = tmp_path / "script.py"
    script.write_text(
        "import grpo_kit\n\ndef check(response):\n    return 1.0\n\n"
        f"grpo_kit.score({str(tmp_path / 'outputs.jsonl')!r}, check, workers=1, progress=False)\n"
    )
    (tmp_path / "outputs.jsonl").write_text('{"response": "2", "answer": "2"}\n')
    with pytest.raises(grpo_kit.UserError, match=r"calls grpo_kit\.score when it is.*__main__"):
        grpo_kit.score(tmp_path / "outputs.jsonl", f"{script}:check", workers=0, progress=False)
