"""Sandboxes shared by the tests of this folder; skipped where no backend works, with the reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grpo_kit.sandbox import Limits, Sandbox, probe

WORKING = [p.backend for p in probe() if p.works and p.backend in ("namespaces", "landlock")]
REASONS = "; ".join(f"{p.backend}: {p.detail}" for p in probe() if not p.works)


@pytest.fixture(scope="session", params=["namespaces", "landlock"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox of each backend that works here."""
    if request.param not in WORKING:
        pytest.skip(REASONS)
    with Sandbox(Limits(cpu_s=2, wall_s=20), backend=request.param, workers=1) as made:
        yield made


@pytest.fixture(scope="session")
def any_sandbox() -> Iterator[Sandbox]:
    """A sandbox of the strongest backend, for what does not depend on it."""
    if not WORKING:
        pytest.skip(REASONS)
    with Sandbox(Limits(cpu_s=2, wall_s=20), workers=1) as made:
        yield made
