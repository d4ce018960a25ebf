"""What each process of `test_ahead` does: one run that samples ahead, with an engine of its own on every rank."""

import copy
import io
import os
import sys
import threading
from pathlib import Path

import torch
from rich.console import Console

from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.observe.console import RunConsole
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.runtime import ranks
from grpo_kit.runtime.interrupt import Interrupted, StopRequest
from grpo_kit.train import assemble
from grpo_kit.train.checkpoint import latest_checkpoint
from grpo_kit.train.loop import OnlineTrainer
from tests.kit.runs import ODD, recipe

SERVERS = ("rollout.engine=vllm_server", "rollout.vllm.servers=[http://127.0.0.1:1]")
SETTINGS = ("scoring.max_rejected_gold=1.0", "train.steps=6", "rollout.max_tokens=8", "train.save_every=2")


class OwnWeights(TorchEngine):
    """An engine with weights of its own, as a server has; a sync waits for what is being sampled."""

    def __init__(self, policy):
        super().__init__(copy.deepcopy(policy))
        self.busy = threading.Lock()

    def sync(self, model, version):
        with self.busy:
            self.policy.model.load_state_dict(model.state_dict())
            super().sync(model, version)

    def generate(self, prompts, sampling, under_way=None, replies=None):
        with self.busy:
            return iter(list(super().generate(prompts, sampling, under_way, replies)))


class Disturbed(OnlineTrainer):
    """Stops after a step, or fails in the third step of rank 1: in the main thread, or in the one that samples."""

    def learn(self, groups):
        done, step = super().learn(groups), self.progress.step
        self.stop.requested = self.stop.requested or os.environ.get("STOP_AFTER") == str(step)
        if step == 3 and ranks.rank() == 1:
            if os.environ.get("FAIL_WHILE") == "training":
                raise RuntimeError("rank 1 fails while training")
            if os.environ.get("FAIL_WHILE") == "sampling":
                self.generator.generate = fail
        return done


def fail(prompts, sampling, under_way=None, replies=None):
    raise RuntimeError("rank 1 fails while sampling")


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, resume = Path(sys.argv[1]), "RESUME" in os.environ
    assemble.open_generator = lambda rollout, longest, policy, path: OwnWeights(policy)
    config = recipe("grpo", ODD, *SERVERS, *SETTINGS, *sys.argv[2:])
    with ranks.joined(torch.device("cpu")):
        if ranks.first():
            run = RunDirectory.open(folder) if resume else RunDirectory.create(folder, config)
        ranks.barrier("the folder")
        run = run if ranks.first() else RunDirectory(folder, writes=False)
        trainer = Disturbed(config, run, RunConsole(Console(file=io.StringIO())), StopRequest())
        try:
            trainer.train(latest_checkpoint(run.checkpoints, print) if resume else None, [] if resume else None)
        except Interrupted as stopped:
            print(stopped)
        finally:
            trainer.close()
