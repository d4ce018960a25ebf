"""The examples of docs/data.md, as they stand there."""

import json
import re
import shlex

import yaml

from grpo_kit.config import ChatConfig, DataConfig
from tests.conftest import ROOT, make_policy

PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_commands_of_the_page(grpo_kit, tmp_path):
    (tmp_path / "sums.jsonl").write_text(blocks("json")[0])
    asked = [{"role": "user", "content": "2+2"}]
    pair = {
        name: [*asked, {"role": "assistant", "content": text}] for name, text in (("chosen", "4"), ("rejected", "5"))
    }
    (tmp_path / "pairs.jsonl").write_text(json.dumps(pair) + "\n")
    make_policy().save(tmp_path / "runs" / "mine" / "model")
    commands = [shlex.split(line) for block in blocks("bash") for line in block.splitlines()]
    assert len(commands) == 3
    for command in commands:
        result = grpo_kit(*command[1:])
        assert result.returncode == 0, f"{shlex.join(command)}\n{result.stdout}{result.stderr}"


def test_sections_of_the_page_are_recipes():
    data, chat = map(yaml.safe_load, blocks("yaml"))
    read = DataConfig.model_validate(data["data"])
    assert read.prompt_template == "{prompt}\nPut the answer in \\boxed{}."
    assert ChatConfig.model_validate(chat["chat"]).arguments == {"enable_thinking": False}
    assert set(data["data"]) <= set(DataConfig.model_fields)
