"""Packages of an extra: a test is skipped with the reason where one is missing, and fails where it is required.

`make test` installs the extras and sets GRPO_KIT_REQUIRE_EXTRAS, so that nothing is skipped there unseen.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest


def needs_extra(package: str, extra: str) -> None:
    """Skip the calling module, or fail its collection if extras are required."""
    if find_spec(package) is not None:
        return
    reason = f'{package} is missing: pip install "grpo-kit[{extra}]"'
    if os.environ.get("GRPO_KIT_REQUIRE_EXTRAS"):
        raise RuntimeError(f"GRPO_KIT_REQUIRE_EXTRAS is set, but {reason}")
    pytest.skip(reason, allow_module_level=True)


# They take clusters up and down for minutes; GRPO_KIT_TEST_CLUSTERS runs them.
needs_clusters = pytest.mark.skipif(
    "GRPO_KIT_TEST_CLUSTERS" not in os.environ, reason="make test-clusters runs what takes clusters up and down"
)
