"""Runs that fail on one rank and are started again."""

import json
from pathlib import Path

import pytest

from tests.kit.tiny import TINY_RECIPE

VERIFIER = Path(__file__).with_name("failing.py")


ON_RANK_1 = 4 * 4 // 2  # responses that rank 1 scores in a step


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    text = TINY_RECIPE.replace("name: math", f'name: "{VERIFIER}:failing"').replace(
        "steps: 3", "steps: 6, save_every: 2"
    )
    path.write_text(text.replace("{workers: 0}", "{workers: 0, max_rejected_gold: 1.0}") + "device: cpu\n")
    return path


def logged(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["reward/mean"], line["loss"]) for line in lines]
