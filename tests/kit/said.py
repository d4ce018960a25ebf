"""Episodes without an engine: turns that are written down beforehand are said, as an engine would say them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from grpo_kit.config.environment import EnvironmentConfig
from grpo_kit.data.bridge import Bridge
from grpo_kit.environments.episodes import Episodes
from grpo_kit.generate.base import Reply, SampledTurn
from grpo_kit.policy.scratch import build_tokenizer
from grpo_kit.types import Prompt, Task
from tests.kit.obeying import Address

TOKENIZER = build_tokenizer()
END = TOKENIZER.eos_token_id


def task(name: str = "t", answer: Any = None) -> Task:
    return Task(name, ({"role": "user", "content": f"Question {name}?"},), answer)


def open_episodes(address: Any = None, seed: int = 0, arguments: Mapping[str, Any] = {}, **settings: Any) -> Episodes:
    address = address or Address()
    configured = EnvironmentConfig(name="obeying", **{"timeout": 60.0, "memory_mb": 256, **settings})
    return Episodes(address.resolve(), address, configured, Bridge(TOKENIZER), seed, **arguments)


@functools.cache
def _ids(text: str) -> list[int]:
    return list(TOKENIZER.encode(text, add_special_tokens=False))


def said(task_id: str, sample: int, number: int, text: str, left: int = 1000) -> SampledTurn:
    cut = text.startswith("cut ")
    ids = [*_ids(text)] + ([] if cut else [END])
    return SampledTurn(task_id, sample, number, ids, text, "length" if cut else "stop", left)


def prepared(episodes: Episodes, tasks: Sequence[Task]) -> list[Task]:
    return [made for made, _ in episodes.prepare([(each, Prompt(each.id, (1,))) for each in tasks])]


def play(replies: Any, scripts: Mapping[tuple[str, int], Sequence[str]]) -> dict[tuple[str, int], Reply]:
    """Say every script to the end; returns the last reply to each. An episode ends with its script's last turn: "done"."""
    at, ends = dict.fromkeys(scripts, 0), {}
    for key, script in scripts.items():
        replies.submit(said(*key, 0, script[0]))
    while len(ends) < len(scripts):
        came = replies.take(wait=True)
        assert came, "nothing is under way, and episodes are still open"
        for reply in came:
            key = (reply.task_id, reply.sample_index)
            if reply.inserted is None:
                assert key not in ends, "an episode ended twice"
                ends[key] = reply
            else:
                at[key] += 1
                replies.submit(said(*key, at[key], scripts[key][at[key]]))
    return ends


def heard(reply: Reply) -> list[str]:
    """What the environment said to each turn but the last."""
    return [turn.replies[0]["content"] for turn in reply.turns[:-1]]
