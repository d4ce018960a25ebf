"""The wheel: one top-level name, the recipes inside, and a command that works away from the checkout."""

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile

import pytest

from tests.kit.places import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out, source = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):  # a copy: leftovers of older builds must not slip in
        shutil.copy(ROOT / name, source)
    for name in ("grpo_kit", "verifiers", "sandbox", "recipes"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return next(out.glob("*.whl"))


def test_only_grpo_kit_lands_at_top_level(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {n.split("/")[0] for n in names if ".dist-info/" not in n} == {"grpo_kit"}
    assert "grpo_kit/verifiers/base.py" in names
    assert {"grpo_kit/recipes/quickstart/addition.yaml", "grpo_kit/recipes/bases/tiny.yaml"} <= set(names)
    report = "grpo_kit/report"
    assert {f"{report}/page.html", f"{report}/page.js", f"{report}/vendor/uPlot.LICENSE.txt"} <= set(names)


def test_every_package_of_the_checkout_is_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for top in ("grpo_kit", "verifiers", "sandbox", "recipes"):
        for path in (ROOT / top).rglob("*"):
            if path.suffix in (".py", ".yaml", ".jsonl"):
                relative = path.relative_to(ROOT).as_posix()
                assert (relative if top == "grpo_kit" else f"grpo_kit/{relative}") in names


def test_an_index_page_has_authors_links_that_work_and_types(wheel):
    archive = zipfile.ZipFile(wheel)
    assert "grpo_kit/py.typed" in archive.namelist()
    metadata = archive.read(next(n for n in archive.namelist() if n.endswith("METADATA"))).decode()
    head, _, readme = metadata.partition("\n\n")
    assert "Author: grpo-kit developers" in head
    assert {"Homepage", "Documentation", "Changelog", "Issues"} == set(re.findall(r"Project-URL: (\w+), ", head))
    assert "Classifier: Typing :: Typed" in head
    project = re.search(r"Project-URL: Homepage, (\S+)", head)[1]
    raw = project.replace("github.com", "raw.githubusercontent.com")
    for link in re.findall(r"\]\(([^)#]+)", readme):
        place = re.fullmatch(rf"(?:{re.escape(project)}/blob|{re.escape(raw)})/main/(.+)|https://(?!github).+", link)
        assert place, f"{link} leads nowhere from an index page"
        assert place[1] is None or (ROOT / place[1]).exists(), link


def test_an_installed_wheel_runs_outside_the_checkout(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = tmp_path / "venv" / "lib" / version / "site-packages"
    zipfile.ZipFile(wheel).extractall(site)
    import torch  # the dependencies are borrowed, not installed again

    (site / "borrowed.pth").write_text(os.path.dirname(os.path.dirname(torch.__file__)) + "\n")
    code = "import sys; from grpo_kit.cli.app import main; import grpo_kit; print(grpo_kit.__file__); main()"
    result = subprocess.run(
        [str(python), "-c", code, "train", "grpo/dr_grpo", "--dry-run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert result.returncode == 0, result.stderr
    assert str(site) in result.stdout
    assert "dry run: nothing was written" in result.stdout
