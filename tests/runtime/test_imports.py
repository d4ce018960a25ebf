"""What a command does not need it does not import, and what it imports keeps quiet."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


def test_checks_before_a_run_import_neither_peft_nor_what_peft_can_use():
    found = run(
        "import sys, grpo_kit.train.preflight\nprint([m for m in ('peft', 'bitsandbytes') if m in sys.modules])"
    )
    assert found.stdout == "[]\n"


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes (extra qlora) is not installed")
def test_adapters_are_quiet_where_bitsandbytes_is_installed():
    found = run("from grpo_kit.runtime.process import prepare_process\nprepare_process()\nimport peft, bitsandbytes")
    assert found.stderr == ""
