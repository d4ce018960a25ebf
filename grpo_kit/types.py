"""The only things that travel between the rooms: Task, Completion, Group."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from grpo_kit.verifiers.score import Score

__all__ = ["Completion", "FinishReason", "Group", "Message", "Prompt", "Score", "Task"]

FinishReason = Literal["stop", "length"]


class Message(TypedDict):
    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to solve: a prompt, its gold answer, and what else a verifier may want."""

    id: str
    messages: tuple[Message, ...]
    answer: Any
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def prompt(self) -> str:
        """The last user message: what a verifier is given as ``prompt``; empty where nobody asked."""
        return next((m["content"] for m in reversed(self.messages) if m["role"] == "user"), "")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A task as the engine sees it: rendered by the chat template and tokenised once."""

    task_id: str
    token_ids: tuple[int, ...]


@dataclass(slots=True)
class Completion:
    """What the engine sampled, kept as sampled: token ids are never made again from the text.

    Attributes:
        token_ids: sampled ids, the stop token included when one was sampled.
        logprobs: behaviour log-probability of each of ``token_ids`` under the sampling temperature; same length.
        text: ``token_ids`` decoded without special tokens, cut before a stop string.
        finish_reason: ``stop`` (end token or stop string) or ``length`` (cut by a limit).
        policy_version: the version of the weights that sampled it; of its first token, where they changed on the way.
        later_versions: (index of the first token, version) of each change of weights after the first token.
    """

    task_id: str
    sample_index: int
    token_ids: list[int]
    logprobs: list[float]
    text: str
    finish_reason: FinishReason
    policy_version: int
    later_versions: list[tuple[int, int]] = field(default_factory=list)

    @property
    def truncated(self) -> bool:
        return self.finish_reason == "length"

    def versions(self) -> list[tuple[int, int]]:
        """(version, number of tokens) of each stretch that one version sampled, in order."""
        starts = [(0, self.policy_version), *self.later_versions]
        ends = [*(start for start, _ in self.later_versions), len(self.token_ids)]
        return [(version, end - start) for (start, version), end in zip(starts, ends, strict=True)]


@dataclass(slots=True)
class Group:
    """All completions of one prompt, their total rewards and each verifier's score of them.

    ``scores[i]`` is the score the trainer uses for ``completions[i]``; ``parts[i]`` maps verifier name to its score.
    ``greedy`` is the score of the greedy response to the prompt, for algorithms that compare with it.
    ``judge`` names the part that says who is right, which need not be a part of the reward. ``mark`` names the part that says
    it to what learns: the judge's, unless it was chosen for the data and only looks on.
    """

    task: Task
    prompt: Prompt
    completions: list[Completion]
    scores: list[Score] = field(default_factory=list)
    parts: list[dict[str, Score]] = field(default_factory=list)
    greedy: Score | None = None
    judge: str | None = None
    mark: str | None = None

    def verdicts(self) -> list[Score]:
        """The judge's score of each completion: the one place that says who is right (`Score.right`).

        Where no judge is named it is the first verifier, and the reward itself where a record has no parts.
        """
        return self._part(self.judge)

    def marks(self) -> list[Score]:
        """Who is right, for labels (KTO), selection (RFT) and dynamic sampling (DAPO)."""
        return self._part(self.mark)

    def _part(self, name: str | None) -> list[Score]:
        if not self.parts:
            return self.scores
        return [part[name] if name in part else next(iter(part.values())) for part in self.parts]
