"""vLLM with adapters of its own: each version agrees with the trainer, and little travels."""

import json
import os
import subprocess
import sys

import pytest

from grpo_kit.errors import UserError
from grpo_kit.generate.vllm_adapters import adapter_options
from grpo_kit.train.preflight import preflight
from tests.kit.optional import needs_extra
from tests.kit.patience import HANGS
from tests.kit.places import ROOT
from tests.kit.runs import recipe
from tests.kit.tiny import make_policy
from tests.kit.vllm import needs_vllm

needs_extra("peft", "peft")


def test_ten_updates_of_adapters(tmp_path):
    needs_vllm()
    done = subprocess.run(
        [sys.executable, "-m", "tests.kit.adapter_pushes", str(tmp_path / "seen.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-6000:]
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert max(seen["probes"]) < 1e-4
    assert max(seen["sizes"]) < 0.5 * seen["whole"]
    assert [version for group in seen["sampled"] for version, *_ in group] == [v for v in range(11) for _ in range(2)]
    assert len({json.dumps(group) for group in seen["sampled"]}) == 11  # every push changed what is sampled


@pytest.mark.parametrize("overrides", [("rollout.engine=vllm",), ("model.lora={rank: 4}",)])
def test_adapters_go_with_lora_and_the_engine_in_process(overrides):
    with pytest.raises(UserError, match=r"rollout\.vllm\.adapters"):
        preflight(recipe("grpo", "rollout.vllm.adapters=true", *overrides), None)
    with pytest.raises(UserError, match=r"set model\.lora"):
        adapter_options(make_policy())
