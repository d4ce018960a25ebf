"""Every key of a recipe has a sentence and a reader, and is found by what a person types."""

import re

import pytest
from pydantic import BaseModel

from grpo_kit.config import LimitsConfig
from grpo_kit.config.explain import all_keys, find_key, keys_below
from grpo_kit.errors import UserError
from tests.kit.places import ROOT

KEYS = all_keys()


def test_every_key_has_one_sentence():
    without = [name for name, key in KEYS.items() if not key.sentence]
    assert not without, f"say in Field(description=...) what these are, with their unit: {', '.join(without)}"
    # One sentence each: what needs more stands in docs/.
    long = [name for name, key in KEYS.items() if len(key.sentence) > 200 or key.sentence.endswith(".")]
    assert not long, f"one sentence, without a full stop at its end: {', '.join(long)}"


@pytest.mark.parametrize("name", [name for name, key in KEYS.items() if not key.section])
def test_who_reads_a_key_reads_it(name):
    key, word = KEYS[name], name.rpartition(".")[2]
    assert key.readers, f"{name}: name who reads it in grpo_kit/config/readers.py"
    places = [ROOT / "grpo_kit" / reader for reader in key.readers]
    files = [file for place in places for file in ([place] if place.suffix else place.rglob("*.py"))]
    assert files
    if name.removeprefix("limits.") in LimitsConfig().minutes():  # read all at once, by the names of the clock's phases
        word = "minutes"
    assert any(re.search(rf"\b{word}\b", file.read_text()) for file in files), f"none of {key.readers} speaks of {word}"


def test_kinds_and_defaults_are_those_of_the_declaration():
    assert (KEYS["rollout.group_size"].kind, KEYS["rollout.group_size"].default) == ("a whole number above 0", "8")
    assert KEYS["train.steps"].default is None
    assert KEYS["train.save_every"].kind == "a whole number above 0 or null"
    assert KEYS["train.save_every"].default == "null"
    assert KEYS["rollout.engine"].kind == "torch, vllm, vllm_server"
    assert KEYS["scoring.max_error_rate"].kind == "a number at least 0 and at most 1"
    assert KEYS["objective.clip_high"].default == "that of the algorithm's row"
    assert (KEYS["train.keep_last"].safe, KEYS["limits.save"].safe, KEYS["rollout.group_size"].safe) == (
        True,
        True,
        False,
    )
    assert issubclass(LimitsConfig, BaseModel)
    assert (KEYS["data"].kind, KEYS["model"].kind) == ("a section, or a list of them", "a section")
    assert (KEYS["data.0.weight"].kind, KEYS["data.0.weight"].default) == ("a number", "1.0")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("rollout.group_size", "rollout.group_size"),
        ("group_size", "rollout.group_size"),
        ("verifiers.name", "verifiers.0.name"),
        ("verifiers.3.name", "verifiers.0.name"),
        ("stages.sft.train.steps", "train.steps"),
        ("data.0.weight", "data.0.weight"),
        ("data.1.path", "data.path"),
        ("data.weight", "data.0.weight"),
        ("data.sums.weight", "data.0.weight"),
        ("data.sums.path", "data.path"),
        ("data.*.verifiers.0.name", "data.0.verifiers.0.name"),
        ("data.sums.verifiers.1.name", "data.0.verifiers.0.name"),
        ("train.steps=3", "train.steps"),
        ("extends", "extends"),
        ("stages", "stages"),
    ],
)
def test_a_key_is_found(asked, found):
    assert find_key(asked).name == found


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("rollout.groupsize", "rollout.group_size"),
        ("grpup_size", "rollout.group_size"),
        ("steps", r"warm_start\.steps or replay\.steps or train\.steps"),
        ("zzzzzzzz", "grpo-kit config explain"),
    ],
)
def test_what_was_meant(asked, meant):
    with pytest.raises(UserError, match=meant):
        find_key(asked)


def test_sections_name_their_keys():
    assert [key.name for key in keys_below(KEYS["data.fields"])] == [
        f"data.fields.{n}" for n in ("prompt", "answer", "id")
    ]
    assert [key.name for key in keys_below(KEYS["data"])][-3:] == ["data.0.name", "data.0.weight", "data.0.verifiers"]
