"""search: BM25 over texts of one's own, with the package bm25s."""

from __future__ import annotations

import json
import sys

import pytest
from typer.testing import CliRunner

from grpo_kit.cli.environments import app
from grpo_kit.environments import Call, EnvironmentSpec, get_environment
from grpo_kit.environments.formats import write
from grpo_kit.environments.selftest import examine
from grpo_kit.errors import UserError
from grpo_kit.types import Task
from tests.kit.optional import needs_extra

needs_extra("bm25s", "search")
ASKED = ({"role": "user", "content": "Begin."},)


def run(*words):
    return CliRunner().invoke(app, words)


def say(episode, call):
    text = write([call], "json")
    return episode.reply(text, text)


def test_search(tmp_path):
    rows = [
        {"title": "Ulm", "text": "Ulm has the tallest church of the world."},
        {"title": "Bern", "contents": "Bern is the seat of the Swiss government."},
        {"text": "Cats sleep for most of the day."},
    ]
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    episode = get_environment("search", options={"path": str(file), "results": 2}).open(Task("t", ASKED, None), 0, {})

    def found(query):
        return say(episode, Call("search", {"query": query})).messages[0]["content"]

    assert found("Which church is the tallest?").startswith("[1] Ulm\nUlm has")
    assert found("swiss government").startswith("[1] Bern")
    assert found("qwertz") == "Nothing was found."
    assert found("the of") == "Nothing was found."
    assert found(" ") == "The query is empty."
    assert found("tallest \0 \x1b[2J").startswith("[1] Ulm")

    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "long.md").write_text(
        "\n\n".join(f"Paragraph {n} tells of thing{n}. " + "word " * 100 for n in range(20))
    )
    episode = get_environment("search", options={"path": str(folder)}).open(Task("t", ASKED, None), 0, {})
    assert "thing7" in found("thing7")
    assert len(found("thing7")) < 1200

    for text, message in (("{}\n", "has its text under"), ("nope\n", ":1: not JSON"), ("\n", "holds no texts")):
        file.write_text(text)
        with pytest.raises(UserError, match=message):
            get_environment("search", options={"path": str(file)}).open(Task("t", ASKED, None), 0, {})


def test_it_passes_the_self_test(tmp_path):
    (tmp_path / "a.txt").write_text("A text about cats.")
    rows = examine(EnvironmentSpec("search", options={"path": str(tmp_path)}, format="mistral"))
    assert [row for row in rows if row.problem] == []
    assert len(rows) > 20


def test_it_is_shown_and_tested_by_its_own_example(tmp_path, monkeypatch):
    shown = run("show", "search")
    assert "tool    [1] Ulm" in shown.output
    assert shown.output.rstrip().endswith("over")
    rows = examine(EnvironmentSpec("search"))
    assert [row for row in rows if row.problem] == []
    assert rows[0].kind == "case"
    (tmp_path / "a.txt").write_text("A text about cats.")
    rows = examine(EnvironmentSpec("search", options={"path": str(tmp_path)}))
    assert [row for row in rows if row.problem] == []  # the example keeps its texts, random policies search those given
    monkeypatch.setitem(sys.modules, "bm25s", None)
    without = run("show", "search")
    assert without.exit_code == 0
    assert "No episode can be shown: the environment search needs the package bm25s" in " ".join(without.output.split())


@pytest.mark.parametrize(("path", "message"), [("nowhere", "nowhere does not exist"), (".", "holds no texts")])
def test_a_path_without_texts_is_refused_before_a_run(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"environment.options.path: {message}|options.path: .*{message}"):
        EnvironmentSpec("search", options={"path": path}).find()
