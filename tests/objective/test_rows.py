"""A choice is declared once: the table, the recipe's section, its schema, the docs and the functions follow from it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from grpo_kit.config import Config
from grpo_kit.config.read import validate
from grpo_kit.config.source import parse_yaml
from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.objective.losses import AGGREGATIONS
from grpo_kit.objective.rows import Objective, can_be_off, declare_axis, values_of
from grpo_kit.train.batch import SELECTIONS
from grpo_kit.train.learners import LEARNERS

DOCS = Path(__file__).parents[2] / "docs" / "algorithms.md"


def test_a_value_without_a_function_and_a_function_without_a_value_are_found_at_import():
    with pytest.raises(ValueError, match=r"aggregation: values and functions differ in .'token_mean'"):
        declare_axis("aggregation", {k: v for k, v in AGGREGATIONS.items() if k != "token_mean"})
    with pytest.raises(ValueError, match=r"aggregation: values and functions differ in .'mine'"):
        declare_axis("aggregation", AGGREGATIONS | {"mine": AGGREGATIONS["token_mean"]})
    assert set(SELECTIONS) == set(values_of("selection"))
    assert set(LEARNERS) == set(values_of("family"))


def test_rows_and_recipes_need_no_torch():
    code = "import sys, grpo_kit.config, grpo_kit.objective.algorithms\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_overrides_replace_single_choices():
    row = resolve_objective("grpo", {"beta": 0.0, "clip_high": 0.28})
    assert (row.beta, row.scale, row.clip_high, row.clip_low) == (0.0, "group_std", 0.28, 0.2)
    assert resolve_objective("dapo", {}).clip_high == 0.28  # a default of the section is not an override


@pytest.mark.parametrize(
    ("name", "itself", "engine", "older"),
    [
        ("grpo", "none", "truncated", "in_ratio"),
        ("gspo", "none", "truncated", "truncated"),
        ("gspo_token", "none", "truncated", "truncated"),
        ("rloo", "none", "truncated", "truncated"),
        (
            "reinforce",
            "none",
            "truncated",
            "truncated",
        ),  # without a ratio there is nothing that would hold what came since
        ("trpo", "none", "truncated", "truncated"),
        ("dppo", "in_ratio", "in_ratio", "in_ratio"),  # its region is around the policy that sampled
    ],
)
def test_what_samples_decides_the_correction_where_nobody_else_does(name, itself, engine, older):
    found = [resolve_objective(name, {}, by).correction for by in ("itself", "engine", "older_weights")]
    assert found == [itself, engine, older]
    assert resolve_objective(name, {"correction": "truncated"}, "older_weights").correction == "truncated"
    assert resolve_objective(name, {"correction": "none"}, "older_weights").correction == "none"


@pytest.mark.parametrize(
    ("name", "level"),
    [("grpo", "token"), ("dapo", "token"), ("gspo", "sequence"), ("gspo_token", "sequence"), ("rloo", "sequence")],
)
def test_the_ratio_decides_what_one_weight_is_of(name, level):
    assert resolve_objective(name, {}).correction_level == level
    other = {"token": "sequence", "sequence": "token"}[level]
    assert resolve_objective(name, {"correction_level": other}).correction_level == other


@pytest.mark.parametrize(
    ("rejection", "band"), [("token", (0.5, 5.0)), ("sequence", (0.5, 2.0)), ("geometric", (0.99, 1.01))]
)
def test_the_rejection_decides_its_band(rejection, band):
    row = resolve_objective("grpo", {"rejection": rejection})
    assert (row.rejection_low, row.rejection_high) == band
    row = resolve_objective("grpo", {"rejection": rejection, "rejection_low": None, "rejection_high": 3.0})
    assert (row.rejection_low, row.rejection_high) == (None, 3.0)


def test_a_row_of_a_file_leaves_to_the_sampler_what_it_does_not_set(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from grpo_kit.objective.rows import Algorithm\n"
        "mine = Algorithm(paper='', summary='', ratio_level='sequence', rejection='geometric')\n"
    )
    row = resolve_objective(f"{path}:mine", {}, "engine")
    assert (row.correction, row.correction_level, row.rejection_low) == ("truncated", "sequence", 0.99)


def test_null_switches_off_what_a_row_switches_on():
    assert resolve_objective("ppo", {}).value_clip == 0.2
    assert resolve_objective("ppo", {"value_clip": None}).value_clip is None
    assert resolve_objective("ppo_penalty", {"penalty_target": None}).penalty_target is None


@pytest.mark.parametrize("key", Objective.model_fields)
def test_null_is_refused_where_nothing_can_be_off(key):
    """Silently it kept the row's value."""
    if can_be_off(key):
        assert getattr(Objective.model_validate({key: None}), key) is None
        return
    with pytest.raises(ValidationError, match=r"null switches off dual_clip, .* and nothing else") as found:
        Objective.model_validate({key: None})
    assert ("write none" in str(found.value)) == ("none" in values_of(key))


def test_an_error_of_the_section_names_its_line(tmp_path):
    recipe = yaml.safe_dump({"objective": {"clip_low": 0.1, "scale": None, "family": "pears"}}, sort_keys=False)
    with pytest.raises(UserError) as found:
        validate(parse_yaml(recipe, "mine.yaml"))
    assert "mine.yaml:3: objective.scale: null switches off" in str(found.value)
    assert "mine.yaml:4: objective.family: found 'pears', allowed: policy_gradient" in str(found.value)


def test_the_schema_says_what_every_key_is():
    section = Config.model_json_schema()["$defs"]["Objective"]
    assert set(section["properties"]) == set(Objective.model_fields)
    for key, entry in section["properties"].items():
        assert len(entry["description"]) > 10, key
        assert entry["default"] == Objective.model_fields[key].default, key


def limits_of(entry):
    """What a schema allows, as a person reads it."""
    entry = entry | next((one for one in entry.get("anyOf", []) if one["type"] != "null"), {})
    names = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    bounds = " and ".join(f"{sign} {entry[name]:g}" for name, sign in names.items() if name in entry)
    kind = ", ".join(f"`{value}`" for value in entry.get("enum", [])) or bounds
    kind = kind or {"boolean": "`true`, `false`", "number": "any number"}[entry["type"]]
    return f"{kind}, or `null`" if "anyOf" in entry else kind


def test_the_docs_say_what_every_key_is():
    rows = [
        f"| `{key}` | `{entry['default'] if isinstance(entry['default'], str) else json.dumps(entry['default'])}` "
        f"| {limits_of(entry)} | {entry['description'].replace('|', chr(92) + '|')} |"
        for key, entry in Objective.model_json_schema()["properties"].items()
    ]
    expected = "\n".join(["| key | default | values | what it is |", "|---|---|---|---|", *rows])
    found = re.search(r"<!-- choices: begin -->\n(.*)\n<!-- choices: end -->", DOCS.read_text(), re.DOTALL)
    assert found is not None
    assert found.group(1) == expected, f"docs/algorithms.md should say:\n{expected}"
