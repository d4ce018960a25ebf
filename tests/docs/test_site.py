"""`make docs`: the site is built without a warning, and has what the code declares."""

import os
import re
import subprocess
import sys

import pytest

from grpo_kit.config.explain import all_keys
from grpo_kit.observe.catalogue import CATALOGUE
from tests.kit.optional import needs_extra
from tests.kit.patience import HANGS
from tests.kit.places import ROOT

for package in ("mkdocs", "material", "mkdocstrings"):
    needs_extra(package, "dev")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=HANGS, check=False
    )
    assert built.returncode == 0, built.stderr
    return folder


def text_of(site, page):
    return re.sub(r"<[^>]+>", "", (site / page / "index.html").read_text(encoding="utf-8"))


def test_every_page_of_docs_is_in_it(site):
    assert [path.stem for path in (ROOT / "docs").glob("*.md") if not (site / path.stem / "index.html").is_file()] == []


def test_what_is_declared_is_in_it(site):
    keys, metrics = text_of(site, "reference/keys"), text_of(site, "reference/metrics")
    assert [name for name, key in all_keys().items() if not key.section and name not in keys] == []
    assert [metric.pattern for metric in CATALOGUE if metric.pattern not in metrics] == []
    commands = text_of(site, "reference/commands")
    blocks = re.split(r"^grpo-kit [a-z -]+&para;$", commands, flags=re.MULTILINE)[1:]
    assert len(blocks) > 20
    assert all(re.search(r"^grpo-kit ", block, re.MULTILINE) for block in blocks), "a command without an example"
    assert "on_evaluation" in text_of(site, "reference/python")
    assert "guess_number" in text_of(site, "reference/environments")
    assert "ifeval" in text_of(site, "reference/verifiers")
