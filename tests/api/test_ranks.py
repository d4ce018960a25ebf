"""A program that torchrun starts trains as the command does: the first rank hears, all of them stop."""

import os
import re
import subprocess
import sys

from grpo_kit.stress.subjects import write_procedural
from tests.kit.patience import HANGS
from tests.kit.places import ROOT

PROGRAM = """
import os, sys
import grpo_kit

heard = []
def on_step(metrics):
    heard.append(metrics["step"])
    return metrics["step"] == 2

recipe, folder = sys.argv[1:]
run = grpo_kit.train(recipe, run_dir=folder, on_step=on_step, progress=False, train__steps=4)
print(f"rank {os.environ['RANK']} heard {heard}, stopped {run.stopped} after {run.step}", flush=True)
"""


def test_every_rank_returns_the_run_that_a_callback_stopped(tmp_path):
    program, recipe = tmp_path / "program.py", write_procedural(tmp_path)
    program.write_text(PROGRAM)
    torchrun = ["-m", "grpo_kit.run.elastic", "--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *torchrun, program, recipe, tmp_path / "run"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = sorted(re.findall(r"rank \d heard \[[^]]*\], stopped \w+ after \d", done.stdout))  # ranks share the stream
    assert said == ["rank 0 heard [1, 2], stopped True after 2", "rank 1 heard [], stopped True after 2"]
