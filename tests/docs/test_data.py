"""The examples of docs/data.md, as they stand there."""

import json
import re
import shlex
from pathlib import Path

import yaml
from typer.testing import CliRunner

from grpo_kit.cli.app import app
from grpo_kit.compat.trl.plain import VERBATIM
from grpo_kit.config import ChatConfig, CurriculumConfig, DataConfig, DataSetConfig
from grpo_kit.data.tasks import ProceduralSource
from grpo_kit.data.word_problems import LEVELS, ONE_STEP_LEVELS, read_book
from tests.kit.places import ROOT
from tests.kit.tiny import make_policy

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
    make_policy(context_length=1024).save(tmp_path / "runs" / "mine" / "model")
    commands = [shlex.split(line) for block in blocks("bash") for line in block.splitlines()]
    assert len(commands) == 6
    for command in commands:
        result = CliRunner().invoke(app, command[1:])
        assert result.exit_code == 0, f"{shlex.join(command)}\n{result.output}{result.exception}"


def test_sections_of_the_page_are_recipes():
    data, chat, base, several, curriculum, graded = map(yaml.safe_load, blocks("yaml"))
    read = DataConfig.model_validate(data["data"])
    assert read.prompt_template == "{prompt}\nPut the answer in \\boxed{}."
    assert ChatConfig.model_validate(chat["chat"]).arguments == {"enable_thinking": False}
    assert ChatConfig.model_validate(base["chat"]).arguments == {"chat_template": VERBATIM}
    assert set(data["data"]) <= set(DataConfig.model_fields)
    assert DataConfig.model_validate(graded["data"]).pass_rate == (0.1, 0.9)
    sets = [DataSetConfig.model_validate(entry) for entry in several["data"]]
    assert [(entry.called, entry.weight) for entry in sets] == [("sums", 2.0), ("letters", 1.0)]
    assert set(curriculum["curriculum"]) == set(CurriculumConfig.model_fields)
    said = CurriculumConfig.model_validate(curriculum["curriculum"])
    assert said.model_dump(exclude={"sampler"}) == CurriculumConfig().model_dump(exclude={"sampler"})


def test_the_word_problems_of_the_page_are_drawn_and_their_templates_counted():
    """The samples are the second problem of every level, as seed 0 draws it; the last one is held out."""
    samples = blocks("text")[0].split("\n\n")
    for level, sample in zip(LEVELS, samples, strict=True):
        problem = ProceduralSource("word_problems", level, 0, level == LEVELS[-1]).problem(1)
        assert [line.strip() for line in sample.splitlines()] == [problem.prompt, problem.demonstration]
    book = read_book()
    for level in LEVELS:
        trained, held_out = (len(book.templates_of(level, side)) for side in (False, True))
        assert re.search(rf"\| {level} \|[^|]+\| {trained} \| {held_out} \|", PAGE)
    assert f"from {len(book.templates)} templates" in PAGE


def test_the_one_step_problem_of_the_page_is_drawn_and_the_templates_counted():
    problem = ProceduralSource("one_step_problems", 2, 0, False).problem(1)
    assert [line.strip() for line in blocks("text")[1].splitlines()] == [problem.prompt, problem.demonstration]
    for level, operations in ONE_STEP_LEVELS.items():
        found = [[t for o in operations for t in read_book().one_step_of(o, side)] for side in (False, True)]
        assert re.search(rf"\| {level} \|[^|]+\| {len(found[0])} \| {len(found[1])} \|", PAGE)
