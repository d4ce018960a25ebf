"""A process that ends for a reason of its own lives long enough to tell it."""

import os
import subprocess
import sys

import pytest

from tests.kit.patience import HANGS
from tests.kit.places import ROOT

FAILS = """
import os, signal
from grpo_kit.errors import RunFailed
from grpo_kit.runtime.interrupt import stop_on_signal
try:
    with stop_on_signal():
        raise RunFailed("waited for rank 1")
except RunFailed as error:
    os.kill(os.getpid(), signal.SIGTERM)
    print(error)
"""
LAUNCHED = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}


@pytest.mark.parametrize("launched", [True, False])
def test_torchrun_does_not_cut_off_the_reason(launched):
    # torchrun sends SIGTERM to all ranks as soon as one is dead, which is when the others find out.
    environment = {**os.environ, **(LAUNCHED if launched else {})}
    ended = subprocess.run(
        [sys.executable, "-c", FAILS],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    if launched:
        assert (ended.returncode, ended.stdout) == (0, "waited for rank 1\n"), ended.stderr
    else:
        assert ended.returncode == -15
