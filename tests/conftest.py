"""Shared pieces: a tiny policy, a tiny recipe, and the command line."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from grpo_kit.policy.models import Policy
from tests.kit import forked
from tests.kit.tiny import TINY_RECIPE, make_policy


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: no process is left alone with one of them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def policy() -> Policy:
    return make_policy()


@pytest.fixture
def tiny_recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY_RECIPE)
    return path


@pytest.fixture
def grpo_kit(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in an empty folder, in a process that begins in milliseconds."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        # Tiny models gain nothing from more threads; a pipe has no width, whatever pytest's own terminal has.
        settings = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        return forked.run(forked.GRPO_KIT, *arguments, cwd=tmp_path, env={**settings, "OMP_NUM_THREADS": "1"})

    return run


@pytest.fixture(scope="session")
def vllm_engine() -> Any:
    """One real vLLM in process, for every test that wants it: it starts in ten seconds and cannot be started twice."""
    from tests.kit.vllm import needs_vllm, open_engine

    needs_vllm()
    engine = open_engine()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Starts runs in milliseconds; see `grpo_kit.stress.zygote`."""
    from grpo_kit.stress.zygote import Zygote

    with Zygote(tmp_path_factory.mktemp("stress")) as made:
        yield made


@pytest.fixture(scope="session")
def straight(zygote: Any) -> dict[str, tuple[Path, Path, float]]:
    """Of each subject its recipe, the run that nobody disturbed, and the seconds it took."""
    from grpo_kit.stress.subjects import SUBJECTS

    made = {}
    for name, write in SUBJECTS.items():
        recipe = write(zygote.folder)
        outcome = zygote.run("train", recipe, "--run-dir", f"straight-{name}")
        assert outcome.code == 0, outcome.output
        made[name] = (recipe, zygote.folder / f"straight-{name}", outcome.seconds)
    return made
