"""A model's name is a folder's or the hub's, and a folder's that is not there says what is."""

import pytest

from grpo_kit.errors import UserError
from grpo_kit.runtime.model_folder import check_folder, is_local, model_in


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two finished runs, one with checkpoints alone, and a folder of something else."""
    monkeypatch.chdir(tmp_path)
    for place in (
        "addition-1/model",
        "addition-2/model",
        "sums/checkpoints/step-000003/model",
        "sums/checkpoints/step-000012/model",
    ):
        folder = tmp_path / "runs" / place
        folder.mkdir(parents=True)
        (folder / "config.json").touch()
    (tmp_path / "runs" / "other").mkdir()
    return tmp_path / "runs"


@pytest.mark.parametrize(
    "name", ["runs/nothing", "./nothing", "/nothing/here", "~/nothing", "one/two/three", "gpt2", "runs"]
)
def test_what_is_a_place_here(runs, name):
    assert is_local(name)
    with pytest.raises(UserError, match="is not a model folder"):
        check_folder(name)


def test_another_name_is_the_hubs(runs):
    (runs.parent / "Qwen" / "Qwen2.5-7B").mkdir(parents=True)  # downloaded
    assert not is_local("Qwen/Qwen2.5-0.5B")
    check_folder("Qwen/Qwen2.5-0.5B")


def test_a_folder_of_runs_by_another_name_is_a_place(runs):
    (runs / "sums" / "config.yaml").touch()
    runs.rename(runs.parent / "mine")
    assert is_local("mine/nothing")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("runs/adition-2", "runs holds addition-1, addition-2, sums. Did you mean runs/addition-2/model?"),
        ("runs/sums", "has no config.json. Did you mean runs/sums/checkpoints/step-000012/model?"),
        ("runs/sums/checkpoints/step-000004/model", "step-000012. Did you mean runs/sums/checkpoints/step-000003/model?"),
        ("runs/quite_another_one", "runs holds addition-1, addition-2, sums. Give a folder"),
        ("runs", "has no config.json. runs holds addition-1, addition-2, sums. Give a folder"),
        ("runs/other/nothing", "does not exist. runs/other holds no run, checkpoint or model. Give a folder"),
        ("./nothing", "does not exist. Give a folder"),
    ],
)  # fmt: skip
def test_what_there_is_instead(runs, name, said):
    with pytest.raises(UserError) as raised:
        check_folder(name, "model.path: ")
    assert str(raised.value).startswith(f"model.path: {name} is not a model folder: it ")
    assert said in str(raised.value)


def test_of_many_the_last_are_listed(runs):
    for number in range(8):
        (runs / f"z{number}" / "model").mkdir(parents=True)
        (runs / f"z{number}" / "model" / "config.json").touch()
    with pytest.raises(UserError, match="runs holds z3, z4, z5, z6, z7 and 6 more"):
        check_folder("runs/nothing")


def test_what_may_not_be_read_is_passed_over(runs, monkeypatch):
    def denied(folder):
        if folder.name == "addition-1":
            raise PermissionError
        return model_in(folder)

    monkeypatch.setattr("grpo_kit.runtime.model_folder.model_in", denied)
    with pytest.raises(UserError, match="runs holds addition-2, sums"):
        check_folder("runs/nothing")
