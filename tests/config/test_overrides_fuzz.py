"""Whatever is typed behind a recipe is an error of one paragraph or a value: never a traceback."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from grpo_kit.config import Config, DataConfig, FieldMap
from grpo_kit.config.read import keys_of, load_recipe
from grpo_kit.data.datasets import DatasetSource
from grpo_kit.errors import UserError
from grpo_kit.run.chain import load_chain

KEYS = [key for key, _ in keys_of(Config)]
PARTS = st.sampled_from(
    [*{part for key in KEYS for part in key.split(".")}, "0", "5", "-1", "²", "9" * 5000, "", "a b", "stages", "*"]
)
PATHS = st.one_of(st.sampled_from(KEYS), st.lists(PARTS, min_size=1, max_size=4).map(".".join))
VALUES = st.one_of(
    st.sampled_from(["", "null", "x", "[1, x]", "{a: b}", "1e9", ".inf", "-1", "true", "[" * 500, "9" * 5000, "2024-13-45",
                     "!!python/object:os.system", "{prompt} x", "a: b: c", "&a [*a]", "\ud800", "[[[]]]", "~/x", "<<: 3"]),
    st.text(max_size=8),
)  # fmt: skip


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@example("verifiers.name", "exact")
@example("verifiers.5", "exact")
@example("verifiers.²", "exact")
@example("data.fields", "[a]")
@example("train.5", "3")
@given(PATHS, VALUES)
def test_an_override_is_a_value_or_a_paragraph(key, value):
    override = f"{key}={value}"
    with suppress(UserError):
        load_recipe("quickstart/addition", [override])
    with suppress(UserError):
        load_chain("ppo/chain", [override], Path("runs/x"))


@pytest.mark.parametrize("field", list(FieldMap.model_fields))
@pytest.mark.parametrize("column", ["uid", "kunde.id", "", "[x]", "question "])
def test_every_field_that_names_no_column_is_named(tmp_path, field, column):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"question": "1+1", "prompt": "1+1", "answer": "2", "id": 7}) + "\n")
    config = DataConfig(path=str(path), fields=FieldMap(**{field: column}))
    with pytest.raises(UserError, match=rf"data.fields.{field}: .* has no column .*; it has: .*question"):
        DatasetSource(config)
