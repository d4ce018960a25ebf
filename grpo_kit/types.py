"""The only things that travel between the rooms: Task, Prompt, Completion with its turns, Score, Group."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypedDict

FinishReason = Literal["stop", "length"]
# Why an episode ended: the environment said so; a turn or the episode ran into its limit of tokens; it had all its turns; the
# reply found no room; too many invalid calls in a row; the episode's deadline; the environment failed, which is nobody's fault.
Ending = Literal["done", "length", "turns", "room", "invalid", "deadline", "error"]
CUT: tuple[Ending, ...] = ("length", "turns", "room", "invalid")  # by its limits, before the environment called it done
Status = Literal["ok", "abstain", "error", "timeout"]


# Metric of a score: 1 where no answer is marked as such and the response would be right by its last expression, 0 where not.
RIGHT_UNMARKED = "right_unmarked"


class Message(TypedDict):
    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to solve: a prompt, its gold answer, and what else a verifier may want.

    ``data_set`` is the name of the one that it is of, where a run has several.
    """

    id: str
    messages: tuple[Message, ...]
    answer: Any
    meta: dict[str, Any] = field(default_factory=dict)
    data_set: str = ""

    @property
    def prompt(self) -> str:
        """The last user message: what a verifier is given as ``prompt``; empty where nobody asked."""
        return next((m["content"] for m in reversed(self.messages) if m["role"] == "user"), "")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A task as the engine sees it: rendered by the chat template and tokenised once."""

    task_id: str
    token_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of an episode, for the record: what was written, and what the environment said to it.

    Attributes:
        start: index in `Completion.token_ids` of its first token.
        text: its tokens decoded without special tokens, cut before a stop string.
        replies: the messages that the environment answered with; empty after the last turn.
        reward: what the environment paid for this turn alone; no part of the episode's outcome.
        calls, invalid, failed: calls of tools that it asked for; of them not understood; of them failed in the tool.
        seconds: that the environment took to answer.
    """

    start: int
    text: str
    replies: tuple[Message, ...] = ()
    reward: float = 0.0
    calls: int = 0
    invalid: int = 0
    failed: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Completion:
    """What the engine sampled, kept as sampled: token ids are never made again from the text.

    An episode of several turns is one completion. ``token_ids`` are its sampled tokens alone, turn after turn; what the
    environment wrote between them stands in ``inserted``, so that nothing which counts tokens can take the one for the other.

    Attributes:
        token_ids: sampled ids, the stop token included when one was sampled.
        logprobs: behaviour log-probability of each of ``token_ids`` under the sampling temperature; same length.
        text: ``token_ids`` decoded without special tokens, cut before a stop string; of an episode, its last turn.
        finish_reason: ``stop`` (end token or stop string) or ``length`` (cut by a limit); of an episode, its last turn's.
        policy_version: the version of the weights that sampled it; of its first token, where they changed on the way.
        later_versions: (index of the first token, version) of each change of weights after the first token.
        inserted: (index, ids) of what stands before the sampled token of that index and nobody sampled: the rest of the turn's
            end, the environment's reply, the opening of the next turn. Indices ascend, and are of tokens that exist.
        fresh: what is inserted stands for everything before it: each turn was sampled after a prompt of its own.
        turns: of an episode; empty where there is no environment.
        ending: why an episode ended.
        outcome: what the environment itself says of the episode at its end, beside the rewards of turns; None where it says
            nothing.
    """

    task_id: str
    sample_index: int
    token_ids: list[int]
    logprobs: list[float]
    text: str
    finish_reason: FinishReason
    policy_version: int
    later_versions: list[tuple[int, int]] = field(default_factory=list)
    inserted: list[tuple[int, list[int]]] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    ending: Ending | None = None
    outcome: Score | None = None
    fresh: bool = False

    @classmethod
    def of_text(
        cls, task_id: str, sample_index: int, text: str, token_ids: Sequence[int] = (), policy_version: int = 0
    ) -> Completion:
        """A text that no engine sampled, whole and without log-probabilities: of a file, a gold answer, a case of a test."""
        return cls(task_id, sample_index, list(token_ids), [], text, "stop", policy_version)

    @property
    def truncated(self) -> bool:
        return self.finish_reason == "length"

    @property
    def inserted_length(self) -> int:
        """Tokens of the episode that nobody sampled."""
        return sum(len(ids) for _, ids in self.inserted)

    @property
    def written(self) -> str:
        """All that the policy wrote, turn after turn."""
        return "\n".join(turn.text for turn in self.turns) if self.turns else self.text

    @property
    def failure(self) -> Score | None:
        """That its environment failed: half an episode is nothing to judge or to learn from. None where it did not."""
        if self.outcome is not None and self.outcome.status in ("error", "timeout"):
            return self.outcome
        return Score(status="error", reason="the environment failed") if self.ending == "error" else None

    def context_length(self, prompt: int) -> int:
        """Tokens of the longest context that a network is given at once. prompt: tokens before the first turn."""
        if not self.fresh:
            return prompt + len(self.token_ids) + self.inserted_length
        starts = [0, *(index for index, _ in self.inserted)]
        before = [prompt, *(len(ids) for _, ids in self.inserted)]
        ends = [*starts[1:], len(self.token_ids)]
        return max(length + end - start for length, start, end in zip(before, starts, ends, strict=True))

    def earned(self) -> Score | None:
        """What the environment paid for the whole episode, its turns included; None where it has no opinion.

        An episode that was cut before the environment called it done was paid for its turns alone, if at all: that is a reward
        of 0, and no abstention, or what fails would be left out of what is compared.
        """
        if self.failure is not None:
            return self.failure
        of_turns = sum(turn.reward for turn in self.turns)
        if self.outcome is None:
            if self.ending in CUT:
                return Score(of_turns, reason=f"ended by its limit ({self.ending})")
            return Score(of_turns, reason="turns") if any(turn.reward for turn in self.turns) else None
        return replace(self.outcome, value=self.outcome.value + of_turns) if self.outcome.counts else self.outcome

    def conversation(self, opening: Sequence[Message]) -> list[Message]:
        """The messages of the prompt, then those of every turn: what was written and what came back."""
        last = self.turns[-1] if self.turns else Turn(0, self.text)
        return [*self.before(opening), Message(role="assistant", content=last.text), *last.replies]

    def before(self, opening: Sequence[Message]) -> list[Message]:
        """What stood before the last turn, which is what `text` answers."""
        messages = list(opening)
        for turn in self.turns[:-1]:
            messages += [Message(role="assistant", content=turn.text), *turn.replies]
        return messages

    def versions(self) -> list[tuple[int, int]]:
        """(version, number of tokens) of each stretch that one version sampled, in order."""
        starts = [(0, self.policy_version), *self.later_versions]
        ends = [*(start for start, _ in self.later_versions), len(self.token_ids)]
        return [(version, end - start) for (start, version), end in zip(starts, ends, strict=True)]


def is_right(status: str, value: float) -> bool:
    """Full marks: what "right" means of a score, wherever it was written down."""
    return status == "ok" and value >= 1.0


def plain_number(value: Any) -> Any:
    """A scalar of NumPy or torch, or an array of one number, as the Python number it is; anything else as it is."""
    if hasattr(value, "item") and tuple(getattr(value, "shape", (0, 0))) in ((), (1,)):
        return value.item()
    return value


def numbers_in(values: Mapping[Any, Any]) -> dict[str, float]:
    """The entries that are numbers, of Python, NumPy or torch."""
    plain = ((name, plain_number(value)) for name, value in values.items())
    return {str(name): float(value) for name, value in plain if isinstance(value, (bool, int, float))}


@dataclass(frozen=True, slots=True)
class Score:
    """One verifier's judgement of one response.

    ``value`` is meaningful only when ``status`` is ``"ok"``. A verifier that has no opinion abstains; one that
    crashed or ran out of time is an ``error`` or a ``timeout``. None of the three is a zero: such a response
    takes no part in its group's baseline or in the loss.

    Attributes:
        value: the reward, on the verifier's own scale; must be finite.
        status: ``ok``, ``abstain``, ``error`` or ``timeout``.
        extracted: the answer that was found in the response, as text, for the rollout log.
        reason: one line for a human: why this value, or what went wrong.
        metrics: numbers to average over the batch (for example the share of tests that passed).
    """

    value: float = 0.0
    status: Status = "ok"
    extracted: str | None = None
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)):
            raise TypeError(f"Score.value must be a number, got {type(self.value).__name__}: {self.value!r}")
        if not math.isfinite(self.value):
            raise ValueError(f"Score.value must be finite, got {self.value!r}")
        if self.status not in ("ok", "abstain", "error", "timeout"):
            raise ValueError(f"Score.status must be ok, abstain, error or timeout, got {self.status!r}")
        for name, number in self.metrics.items():
            if not isinstance(number, (int, float)) or not math.isfinite(number):
                raise ValueError(f"Score.metrics[{name!r}] must be a finite number, got {number!r:.100}")

    @property
    def counts(self) -> bool:
        """Whether this score takes part in baselines and losses."""
        return self.status == "ok"

    @property
    def right(self) -> bool:
        """Full marks: what "right" means wherever a judge's score is read. An abstention is neither right nor wrong."""
        return is_right(self.status, self.value)

    @classmethod
    def abstain(cls, reason: str = "") -> Score:
        return cls(0.0, "abstain", reason=reason)

    @classmethod
    def from_result(cls, result: Any) -> Score:
        """Read what a verifier function returned: bool, number, dict, Score or None.

        A dict holds ``score`` (or ``value``) and optionally ``extracted``, ``reason`` and ``metrics``; its other
        numeric entries become metrics. None abstains.

        Raises:
            TypeError, ValueError: for anything else, including NaN and infinity.
        """
        if isinstance(result, cls):
            return result
        if result is None:
            return cls.abstain("the verifier returned None")
        if isinstance(result, dict):
            return cls._from_dict(result)
        result = plain_number(result)
        if isinstance(result, bool):
            return cls(1.0 if result else 0.0)
        if isinstance(result, (int, float)):
            return cls(float(result))
        raise TypeError(
            f"a verifier must return bool, float, dict, Score or None; got {type(result).__name__}: {result!r:.200}"
        )

    @classmethod
    def _from_dict(cls, result: dict[str, Any]) -> Score:
        key = next((name for name in ("score", "value", "reward") if name in result), None)
        if key is None and result.get("status") == "abstain":
            return cls.abstain(str(result.get("reason", "")))
        if key is None:
            raise ValueError(f"a verifier's dict needs a 'score'; got the keys {sorted(map(str, result))}")
        if isinstance(result[key], dict):
            raise TypeError(f"a verifier's dict needs a number under {key!r}; got another dict")
        inner = cls.from_result(result[key])
        known = {key, "status", "extracted", "reason", "metrics"}
        metrics = {str(k): float(v) for k, v in (result.get("metrics") or {}).items()}
        metrics |= numbers_in({k: v for k, v in result.items() if k not in known})
        extracted = result.get("extracted")
        return cls(
            inner.value,
            result.get("status", inner.status),
            None if extracted is None else str(extracted),
            str(result.get("reason", inner.reason)),
            metrics,
        )


@dataclass(frozen=True, slots=True)
class Replayed:
    """Where a group comes from that is learned from again: the step of its run that recorded it, and its number there.

    ``weight`` is a factor of its loss, below 1 where it is replayed more often than others.
    """

    step: int
    number: int
    weight: float = 1.0


@dataclass(slots=True)
class Group:
    """All completions of one prompt, their total rewards and each verifier's score of them.

    ``scores[i]`` is the score the trainer uses for ``completions[i]``; ``parts[i]`` maps verifier name to its score.
    ``greedy`` is the score of the greedy response to the prompt, for algorithms that compare with it.
    ``judge`` names the part that says who is right, which need not be a part of the reward. ``mark`` names the part that says
    it to what learns: the judge's, unless it was chosen for the data and only looks on. ``outcome_weight`` is the factor of what
    the environment of an episode paid in the total; None where that is no part of it. ``weights`` are the factors of all
    parts of the total, by name. ``replayed`` says where a group was taken from that is learned from again; None of one that
    the step itself sampled.
    """

    task: Task
    prompt: Prompt
    completions: list[Completion]
    scores: list[Score] = field(default_factory=list)
    parts: list[dict[str, Score]] = field(default_factory=list)
    greedy: Score | None = None
    judge: str | None = None
    mark: str | None = None
    outcome_weight: float | None = None
    weights: dict[str, float] = field(default_factory=dict)
    replayed: Replayed | None = None

    @classmethod
    def of_texts(cls, task: Task, texts: Iterable[str]) -> Group:
        """Texts that answer a task, to be judged; the prompt was never tokenised."""
        return cls(task, Prompt(task.id, ()), [Completion.of_text(task.id, i, text) for i, text in enumerate(texts)])

    @property
    def replay_weight(self) -> float:
        """Factor of its loss: below 1 where it is learned from again more often than others."""
        return 1.0 if self.replayed is None else self.replayed.weight

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
