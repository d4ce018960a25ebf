"""What turns cost the embedded engine: four of them against one with as many sampled tokens.

    python benchmarks/turns.py [--rounds 5]

One process, one model, one thread, taking turns: 16 prompts, 8 samples of each, temperature 1. In ``fixed`` every row has 128
sampled tokens, in ``long_tailed`` about 64, so that rows leave and come back one by one. Between two turns 16 ids are inserted.

    one          a completion of one turn, nobody answers
    answered     the same, and an environment that ends every episode at once
    four         four turns; what was inserted goes through the model, what stands before it is kept
    recomputed   four turns, nothing is kept: the whole context goes through the model again at every turn
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from tiny import Stopwatch, build, machine, median, sums, write_result

from grpo_kit.generate import torch_engine
from grpo_kit.generate.base import Reply, SampledTurn, SamplingParams
from grpo_kit.generate.episode import OpenEpisode
from grpo_kit.generate.rows import Rows
from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.policy.models import Policy
from grpo_kit.types import Prompt

TURNS, INSERTED = 4, [9] * 16


class AtOnce:
    """Ends every episode after so many turns, without a moment's thought."""

    def __init__(self, turns: int) -> None:
        self.turns = turns
        self.ready: list[Reply] = []

    def submit(self, turn: SampledTurn) -> None:
        over = turn.turn + 1 >= self.turns or not turn.tokens_left
        self.ready.append(Reply(turn.task_id, turn.sample_index, None if over else INSERTED))

    def watch(self, told: Callable[[], None]) -> None:
        """Nothing comes later."""

    def take(self, wait: bool) -> list[Reply]:
        ready, self.ready = self.ready, []
        return ready


class Forgetful(Rows):
    """Keeps nothing of an episode that is away."""

    def _elsewhere(self) -> Iterator[OpenEpisode]:
        for episode in super()._elsewhere():
            yield replace(episode, kept=True)
        yield from [OpenEpisode(Prompt("", ()), 0, self.sampling, kept=True)] * self.slots


def sides(engine: TorchEngine, prompts: list[Prompt], group: int, stops: list[int], tokens: int) -> dict[str, Any]:
    whole = SamplingParams(n=group, max_tokens=tokens, stop_token_ids=tuple(stops[:1]))
    # So many ends, that four turns are as long as one.
    parted = replace(whole, turn_tokens=tokens // TURNS, stop_token_ids=tuple(stops))

    def run(sampling: SamplingParams, turns: int, kept: bool = True) -> Callable[[], int]:
        def count() -> int:
            torch_engine.Rows = Rows if kept else Forgetful
            groups = engine.generate(prompts, sampling, replies=AtOnce(turns) if turns else None)
            return sum(len(c.token_ids) for completions in groups for c in completions)

        return count

    return {
        "one": run(whole, 0),
        "answered": run(whole, 1),
        "four": run(parted, TURNS),
        "recomputed": run(parted, TURNS, kept=False),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--group", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = build("3M")
    policy = Policy(model.eval(), tokenizer, torch.device("cpu"))
    prompts = [Prompt(str(i), tuple(tokenizer(row["prompt"])["input_ids"])) for i, row in enumerate(sums(16))]
    end = tokenizer.eos_token_id
    found: dict[str, Any] = {}
    for name, stops, tokens in (("fixed", [], 128), ("long_tailed", [end, 20, 30, 40], 256)):
        runs = sides(TorchEngine(policy), prompts, options.group, stops, tokens)
        seconds: dict[str, list[float]] = {side: [] for side in runs}
        sampled: dict[str, int] = {}
        for round_ in range(options.rounds + 1):
            for side, run in runs.items():
                watch = Stopwatch()
                sampled[side] = run()
                if round_:
                    seconds[side].append(watch.read()["cpu"] / sampled[side])
        found[name] = {
            "sampled_tokens": sampled,
            "cpu_milliseconds_per_sampled_token": {s: round(1e3 * median(v), 4) for s, v in seconds.items()},
        } | {
            f"{side}_to_one": round(median([a / b for a, b in zip(seconds[side], seconds["one"], strict=True)]), 3)
            for side in ("answered", "four", "recomputed")
        }
        print(name, found[name], flush=True)
    write_result("turns", {"machine": machine(), "inserted": len(INSERTED), "turns": TURNS, "cases": found})


if __name__ == "__main__":
    main()
