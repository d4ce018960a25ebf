"""What the vLLM engines share: what is asked of vLLM, and what becomes of what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grpo_kit.errors import RunFailed
from grpo_kit.types import Prompt

from .base import SamplingParams, sample_seed
from .episode import OpenEpisode, OpenEpisodes, text_of


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """All samples of a prompt, or, where turns are answered, the next turn of one episode.

    Attributes:
        name: unlike that of any other of the same call.
        episodes: whose turn it samples, in order.
        fields: of ``vllm.SamplingParams``.
    """

    name: str
    token_ids: list[int]
    episodes: list[OpenEpisode]
    fields: dict[str, Any]

    @property
    def task_id(self) -> str:
        return self.episodes[0].prompt.task_id


@dataclass(frozen=True, slots=True)
class Sample:
    """One of the sequences that a request brought. versions: as `OpenEpisode.add` takes them."""

    token_ids: Sequence[int]
    logprobs: Sequence[float]
    finish_reason: str
    versions: Sequence[tuple[int, int]]


def first_requests(prompt: Prompt, open_ones: OpenEpisodes) -> list[Request]:
    """What to ask for a prompt: one request for all samples, or, since each goes its own way, one for each."""
    episodes = open_ones.begin(prompt)
    if open_ones.replies is not None:
        return [next_request(episode) for episode in episodes]
    fields = request_fields(open_ones.sampling, prompt.task_id)
    return [Request(prompt.task_id, list(prompt.token_ids), episodes, fields)]


def next_request(episode: OpenEpisode) -> Request:
    """What to ask for the next turn of an episode: vLLM finds in its prefix cache what it has computed before."""
    sampling, (task_id, index) = episode.sampling, episode.name
    # The first turn is the completion that a group's request would have brought, see `request_fields`.
    seed = sample_seed(sampling.seed, task_id, index, episode.turn) // 2
    if not episode.turn:
        seed = sample_seed(sampling.seed, task_id, 0) // 2 + index
    own = {"n": 1, "seed": seed, "max_tokens": episode.turn_limit}
    name = f"{task_id}\x1f{index}\x1f{episode.turn}"
    return Request(name, episode.context(), [episode], request_fields(sampling, task_id) | own)


def request_fields(sampling: SamplingParams, task_id: str) -> dict[str, Any]:
    """Fields of ``vllm.SamplingParams`` for one group.

    Everything that shapes the distribution is spelled out: a server fills what is missing from the model's
    generation_config.json, where many models ask for top_p, top_k or a repetition penalty.
    """
    return {
        "n": 1 if sampling.greedy else sampling.n,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "max_tokens": sampling.turn_limit,
        "stop": list(sampling.stop),
        "stop_token_ids": list(sampling.stop_token_ids),
        # The ids that end a response are those above; the model's own list may be another one.
        "ignore_eos": True,
        # vLLM samples the i-th of a group's n completions with seed + i. Halved, so that the sum stays below 2^63.
        "seed": sample_seed(sampling.seed, task_id, 0) // 2,
        "logprobs": 0,
        "detokenize": bool(sampling.stop),
    }


def hand_over(open_ones: OpenEpisodes, request: Request, samples: Sequence[Sample], tokenizer: Any) -> None:
    """The turns that a request has brought have ended. Raises RunFailed where they are not what was asked for."""
    sampling, wanted = open_ones.sampling, len(request.episodes)
    if sampling.greedy:
        samples = list(samples[:1]) * wanted
    if len(samples) != wanted:
        raise RunFailed(f"vLLM returned {len(samples)} of the {wanted} completions of {request.task_id}")
    for episode, sample in zip(request.episodes, samples, strict=True):
        if sample.finish_reason not in ("stop", "length") or len(sample.logprobs) != len(sample.token_ids):
            raise RunFailed(
                f"vLLM ended completion {episode.sample_index} of {request.task_id} with {sample.finish_reason!r}, "
                f"{len(sample.token_ids)} tokens and {len(sample.logprobs)} log-probabilities"
            )
        open_ones.ended(
            episode,
            sample.token_ids,
            sample.logprobs,
            text_of(tokenizer, sample.token_ids, sampling.stop),
            "stop" if sample.finish_reason == "stop" else "length",
            sample.versions,
        )
