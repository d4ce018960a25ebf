"""Runs of several ranks, started as a shell would."""

import json
import os
import subprocess
import sys

from tests.kit import forked
from tests.kit.patience import HANGS
from tests.kit.places import ROOT

# What ranks may differ in: time, and work, since ranks that share a group pass its prompt each.
CLOCKS = ("seconds/", "utilisation", "update/flops", "tokens_per_second", "mismatch/")


def torchrun(processes, *arguments, options=(), **environment):
    """In processes that are forked: where torchrun itself is what a test is about, it starts one."""
    command = ["--standalone", "--nproc-per-node", processes, *options, "-m", *arguments]
    return forked.run(forked.TORCHRUN, *command, cwd=ROOT, env=_settings(environment))


def started_torchrun(processes, *arguments, options=(), **environment):
    """In new processes: for ranks that import vLLM, which starts threads and processes of its own, and for those that die."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return subprocess.run(
        [*command, *options, "-m", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
        env=_settings(environment),
    )


def _settings(environment):
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environment}


def succeed(*arguments, **options):
    done = torchrun(*arguments, **options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]


def metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.startswith(CLOCKS) and "/latency_" not in k} for line in lines]
