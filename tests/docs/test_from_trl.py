"""docs/from_trl.md: its table is the mapping, its example is what the command makes of it."""

import re
from pathlib import Path

import yaml
from typer.testing import CliRunner

from grpo_kit.cli.app import app
from grpo_kit.compat.trl.text import mapping_table
from tests.kit.places import ROOT

PAGE = (ROOT / "docs" / "from_trl.md").read_text(encoding="utf-8")


def block(language):
    return re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[1]


def test_the_table_is_the_mapping():
    """Renew it: python -c "from grpo_kit.compat.trl.text import mapping_table; print(mapping_table())"."""
    table = PAGE.partition("<!-- mapping: begin -->\n")[2].partition("\n<!-- mapping: end -->")[0]
    assert table == mapping_table()


def test_the_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train_grpo.py").write_text(block("python"))
    Path("sums.jsonl").write_text('{"prompt": "1 + 1 =", "answer": "2"}\n')
    result = CliRunner().invoke(app, ["import", "trl", "train_grpo.py"])
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(Path("train_grpo.yaml").read_text()) == yaml.safe_load(block("yaml"))
    assert "def right(" in Path("train_grpo_functions.py").read_text()
    assert "top_k" in result.output
