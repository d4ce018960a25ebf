"""The examples of docs/data.md, as they stand there."""

import json
import re
import shlex
from pathlib import Path

import yaml
from typer.testing import CliRunner

from grpo_kit.cli.app import app
from grpo_kit.config import ChatConfig, DataConfig
from tests.conftest import ROOT, make_policy

PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_commands_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("sums.jsonl").write_text(blocks("json")[0])
    with Path("pairs.jsonl").open("w") as file:
        for number in range(12):
            asked = {"role": "user", "content": f"{number}+2"}
            answers = {"chosen": number + 2, "rejected": number}
            row = {k: [asked, {"role": "assistant", "content": str(v)}] for k, v in answers.items()}
            file.write(json.dumps(row) + "\n")
    make_policy().save(tmp_path / "runs" / "mine" / "model")
    commands = [shlex.split(line) for block in blocks("bash") for line in block.splitlines()]
    assert len(commands) == 3
    for command in commands:
        result = CliRunner().invoke(app, command[1:])
        assert result.exit_code == 0, f"{shlex.join(command)}\n{result.output}{result.exception}"


def test_sections_of_the_page_are_recipes():
    data, chat = map(yaml.safe_load, blocks("yaml"))
    read = DataConfig.model_validate(data["data"])
    assert read.prompt_template == "{prompt}\nPut the answer in \\boxed{}."
    assert ChatConfig.model_validate(chat["chat"]).arguments == {"enable_thinking": False}
    assert set(data["data"]) <= set(DataConfig.model_fields)
