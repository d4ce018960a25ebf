"""What a public project has beside its code holds to the Makefile, the commands and the pages that it names."""

import re

import pytest
import yaml

from tests.kit.places import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
VARIABLES = set(re.findall(r"^([A-Z_]+) \?=", MAKEFILE, re.MULTILINE)) | {"PIP_EXTRA"}
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
NAMED = [
    ROOT / "Dockerfile",
    ROOT / ".pre-commit-config.yaml",
    *(ROOT / ".github" / "workflows").glob("*.yml"),
    *TEMPLATES,
]


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", NAMED, ids=lambda path: path.name)
def test_targets_variables_and_pages_exist(path):
    text = path.read_text(encoding="utf-8")
    called = set(re.findall(r"(?:`|RUN |run: |entry: |grpo-kit )make ([a-z-]+)", text))
    assert called <= TARGETS, "a target that the Makefile does not have"
    assert called or path in TEMPLATES
    assert set(re.findall(r"\b([A-Z_]+)=(?:python|\d|\")", text)) - {"TORCH_INDEX", "PATH"} <= VARIABLES
    assert [page for page in re.findall(r"docs/\w+\.md", text) if not (ROOT / page).is_file()] == []


def test_the_workflow_runs_the_tests():
    workflow = read(ROOT / ".github" / "workflows" / "tests.yml")
    assert workflow[True].keys() == {"push", "pull_request"}  # YAML 1.1 reads the key `on` as true
    job = workflow["jobs"]["test-core"]
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs[-1].startswith("make test-core ")
    supported = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert job["strategy"]["matrix"]["python"][0] == supported


def test_the_hook_is_the_lint_of_the_makefile():
    (repository,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    (hook,) = repository["hooks"]
    assert (repository["repo"], hook["entry"], hook["language"]) == ("local", "make lint", "system")


@pytest.mark.parametrize("path", [t for t in TEMPLATES if t.name != "config.yml"], ids=lambda path: path.name)
def test_issue_forms_have_what_github_wants(path):
    form = read(path)
    assert {"name", "description", "body"} <= form.keys()
    names = [field["id"] for field in form["body"]]
    assert len(set(names)) == len(names)
    assert all(field["type"] in ("textarea", "input", "checkboxes", "dropdown") for field in form["body"])
    assert all(field["attributes"]["label"] for field in form["body"])


def test_the_image_leaves_out_what_is_not_committed():
    """An environment or a run that lies in the folder would land in the image, and take the place of its own."""
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv*", "runs", "models", "build"} <= set(ignored)
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "make install-dev PIP_EXTRA=" in dockerfile
    assert re.search(r"^FROM python:3\.1[1-9]", dockerfile, re.MULTILINE)
