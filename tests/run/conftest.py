"""The recipe of launched runs."""

from pathlib import Path

import pytest

from tests.kit.tiny import TINY_RECIPE

ODD = Path(__file__).parents[1] / "kit" / "odd.py"


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    text = TINY_RECIPE.replace("name: math", f'name: "{ODD}:odd"')
    path.write_text(text.replace("{workers: 0}", "{workers: 0, max_rejected_gold: 1.0}") + "device: cpu\nthreads: 1\n")
    return path
