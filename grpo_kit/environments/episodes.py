"""Episodes: how a run plays an environment. It prepares prompts, and opens a round for each call of the generator."""

from __future__ import annotations

import atexit
import dataclasses
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from grpo_kit.config.environment import EnvironmentConfig
from grpo_kit.data.bridge import Bridge
from grpo_kit.errors import UserError
from grpo_kit.generate.base import Generator, SamplingParams, UnderWay, sample_seed
from grpo_kit.observe.measure import Measures
from grpo_kit.scoring import Cluster
from grpo_kit.scoring.processes import Importable
from grpo_kit.types import Completion, Message, Prompt, Score, Task

from .base import Answer, Environment
from .players import Players, Wanted
from .pool import SILENT, Heard, packed
from .round import Inbox, Prepared, Round, Rules
from .tally import Tally

MOST_PREPARED = 2**16


class Episodes:
    """Plays the episodes of a run, in processes that can be killed.

    For each call of `Generator.generate`, prepare the prompts, open a round with them and close it, whatever happened::

        prepared = episodes.prepare(pairs)
        with episodes.open_round([task for task, _ in prepared]) as replies:
            for completions in generator.generate([prompt for _, prompt in prepared], sampling, replies=replies):
                ...

    Several rounds may be open at once, in several threads, with the same tasks.

    Args:
        environment: as it was found; what it says holds where the recipe says nothing.
        address: how a worker process finds it: picklable, with ``name`` and ``resolve() -> Environment``.
        bridge: of the policy's tokenizer, with the environment's tools.
        seed: of the run; the seed of an episode follows from it and the task alone, so all samples of a group are given the
            same episode.
        variables: names of variables (API keys) that the workers get beside what everybody needs.
        max_error_rate, error_patience: a round with a larger share of failed episodes is broken; so many in a row stop the run.
        traceback_dir: where the first traceback is written.
        introduced: a task with what the policy is told of its tools, where the chat template does not tell it.
        cluster: play on the nodes of this Ray cluster, and not here.
        room: tokens that a prompt may have, what its episode begins with included.

    Raises:
        EnvironmentFailed: it cannot be loaded in a worker process.
        UserError: there is no such cluster.
    """

    def __init__(
        self,
        environment: Environment,
        address: Importable,
        settings: EnvironmentConfig,
        bridge: Bridge,
        seed: int,
        variables: Sequence[str] = (),
        max_error_rate: float = 0.5,
        error_patience: int = 3,
        traceback_dir: Path | None = None,
        introduced: Callable[[Task], Task] | None = None,
        cluster: Cluster | None = None,
        room: int | None = None,
    ) -> None:
        self.seed, self._introduced, self._environment = seed, introduced, environment
        self._room = room
        self._lock = threading.Lock()
        self._prepared: OrderedDict[bytes, Prepared] = OrderedDict()
        self._closed = False
        wanted = Wanted(
            settings.workers,
            settings.memory_mb,
            address,
            settings.timeout or environment.timeout,
            settings.options,
            sorted({*variables, *_named_variables(settings.options)}),
        )
        pool = _open_players(wanted, environment.version, cluster)
        tally = Tally(environment, max_error_rate, error_patience, traceback_dir)
        self.rules = Rules(pool, bridge, settings, settings.turns or environment.turns, tally)
        atexit.register(self.close)

    def prepare(self, pairs: Sequence[tuple[Task, Prompt]]) -> list[tuple[Task, Prompt]]:
        """Tasks with the messages that their episodes begin with, and their prompts, tools included.

        A task whose episode cannot begin keeps its messages; its episodes end after their first turn, as errors.

        Raises:
            UserError: the template refuses the conversation.
            EnvironmentFailed: no worker can be started.
        """
        contents = [packed(task) for task, _ in pairs]
        came = self._begun([task for task, _ in pairs], contents)
        return [
            self._prepare(task, prompt, content, came[number])
            for number, ((task, prompt), content) in enumerate(zip(pairs, contents, strict=True))
        ]

    def rehearse(self, tasks: Sequence[Task]) -> None:
        """Begin an episode of each, before anything is learned.

        Raises:
            UserError: none can begin.
            EnvironmentFailed: no worker can be started.
        """
        sent = {n: content for n, task in enumerate(tasks) if isinstance(content := packed(task), bytes)}
        opened = self._opened(tasks, sent)
        reasons = [self._made(tasks[number], heard)[2] for number, heard in opened.items()]
        if reasons and all(reasons):
            environment = self._environment
            raise UserError(
                f"environment {environment.name!r} ({environment.origin}): no episode can begin: {reasons[0]}. Mend it, and play "
                "it with grpo-kit environments test"
            )

    def _begun(self, tasks: Sequence[Task], contents: Sequence[bytes | Score]) -> dict[int, Heard]:
        """What episodes of the tasks begin with, by their number."""
        tally = self.rules.tally
        came = {n: Heard(Answer(), digest=SILENT) for n in range(len(tasks)) if not self._environment.speaks_first}
        told = {n: Heard(failure=content) for n, content in enumerate(contents) if isinstance(content, Score)}
        sent = {n: content for n, content in enumerate(contents) if n not in came and isinstance(content, bytes)}
        told |= self._opened(tasks, sent)
        for number, heard in told.items():
            tally.call(heard, tasks[number], "")
        return came | told

    def _opened(self, tasks: Sequence[Task], sent: Mapping[int, bytes]) -> dict[int, Heard]:
        """Open episodes of some of the tasks, hear what they begin with, and close them."""
        pool, came = self.rules.pool, dict[int, Heard]()
        inbox = Inbox(pool)
        lines = [pool.begin(content, self._seed_of(tasks[n]), partial(inbox.put, n)) for n, content in sent.items()]
        try:
            while len(came) < len(lines):
                came |= dict(inbox.take(wait=True))
        finally:
            for line in lines:
                pool.end(line)
            if lines:
                pool.settle()
        return came

    def _prepare(self, task: Task, prompt: Prompt, content: bytes | Score, heard: Heard) -> tuple[Task, Prompt]:
        made, rendered, reason = self._made(task, heard)
        prompt = rendered or prompt
        failure = heard.failure
        if reason and failure is None:
            failure = Score(status="error", reason=reason)
            self.rules.tally.failure(Heard(failure=failure), task, "")
        with self._lock:
            name = _name(made)
            self._prepared[name] = Prepared(
                task,
                self._seed_of(task),
                content if isinstance(content, bytes) else b"",
                heard.digest,
                failure,
                made.messages,
                len(prompt.token_ids),
            )
            self._prepared.move_to_end(name)
            while len(self._prepared) > MOST_PREPARED:
                self._prepared.popitem(last=False)
        return made, prompt

    def _made(self, task: Task, heard: Heard) -> tuple[Task, Prompt | None, str]:
        """A task with what its episode begins with, its prompt where that is another one, and why the episode cannot begin."""
        reason, bridge = _why_not(heard), self.rules.bridge
        with self.rules.bridge_lock:
            if reason or heard.answer is None:
                return *self._rendered(task, task), reason
            begun = dataclasses.replace(task, messages=_opened(task.messages, bridge.read(heard.answer.messages)))
            made, prompt = self._rendered(begun, task)
            length = len(prompt.token_ids) if prompt is not None and heard.answer.messages else 0
            if self._room is None or length <= self._room:
                return made, prompt, ""
            reason = f"with what it begins with a prompt has {length} tokens, and there is room for {self._room}"
            return *self._rendered(task, task), reason

    def _rendered(self, made: Task, task: Task) -> tuple[Task, Prompt | None]:
        made = made if self._introduced is None else self._introduced(made)
        same = made.messages == task.messages and not self.rules.bridge.settings
        return made, None if same else self.rules.bridge.prompt(made)

    def _seed_of(self, task: Task) -> int:
        return sample_seed(self.seed, f"episode\x1f{task.id}", 0)

    def open_round(self, tasks: Sequence[Task]) -> Round:
        """What answers one call of the generator.

        Args:
            tasks: as `prepare` returned them.

        Raises:
            EnvironmentFailed: too many episodes of the last rounds failed.
            ValueError: a task was not prepared.
        """
        self.rules.tally.raise_if_broken()
        found = {}
        with self._lock:
            for task in tasks:
                name = _name(task)
                if name not in self._prepared:
                    raise ValueError(f"task {task.id!r} was not prepared")
                found[task.id] = self._prepared[name]
        return Round(self.rules, found)

    def statistics(self) -> Measures:
        """Since the last call: ``environment/`` count (of calls), error, timeout, latency_p50 and latency_p95 (seconds), restarts
        (workers that were replaced), replayed (calls that were made again for it)."""
        return self.rules.tally.summary(self.rules.pool)

    def close(self) -> None:
        """End the worker processes. Safe to call twice."""
        if not self._closed:
            self._closed = True
            self.rules.pool.close()
            atexit.unregister(self.close)

    def __enter__(self) -> Episodes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def play(
    generator: Generator,
    tasks: Sequence[tuple[Task, Prompt]],
    sampling: SamplingParams,
    episodes: Episodes | None = None,
    under_way: UnderWay | None = None,
) -> Iterator[list[Completion]]:
    """Completions of tasks: episodes where there is an environment, one turn where not. See `Generator.generate`.

    Args:
        tasks: as `Episodes.prepare` returned them.
    """
    prompts = [prompt for _, prompt in tasks]
    if episodes is None:
        return generator.generate(prompts, sampling, under_way)
    return _played(generator, [task for task, _ in tasks], prompts, sampling, episodes, under_way)


def _played(
    generator: Generator,
    tasks: Sequence[Task],
    prompts: Sequence[Prompt],
    sampling: SamplingParams,
    episodes: Episodes,
    under_way: UnderWay | None,
) -> Iterator[list[Completion]]:
    with episodes.open_round(tasks) as replies:
        yield from generator.generate(prompts, sampling, under_way, replies)


def _why_not(heard: Heard) -> str:
    """Why an episode cannot begin; empty where it can."""
    if heard.failure is not None:
        return heard.failure.reason
    return "it begins with more than any prompt has room for" if heard.full else ""


def _opened(messages: tuple[Message, ...], more: Sequence[Message]) -> tuple[Message, ...]:
    """A prompt and what an episode begins with: behind a last user message in the same one, as roles take turns."""
    if messages and more and messages[-1]["role"] == "user" == more[0]["role"]:
        content = "\n\n".join(part for part in (messages[-1]["content"], more[0]["content"]) if part)
        joined: Message = {**messages[-1], "content": content}
        return (*messages[:-1], joined, *more[1:])
    return (*messages, *more)


def _name(task: Task) -> bytes:
    """Of a task as it was prepared: two data sets may use the same id."""
    text = json.dumps([task.id, task.messages], default=repr)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _named_variables(options: Mapping[str, Any]) -> set[str]:
    """Variables that an option ``..._env`` names."""
    return {value for name, value in options.items() if name.endswith("_env") and isinstance(value, str)}


def _open_players(wanted: Wanted, version: str, cluster: Cluster | None) -> Players:
    """Start the processes. version: of the environment here, which is that of every node."""
    if cluster is None:
        return wanted.open()
    from .cluster import ClusterEpisodes

    return ClusterEpisodes(wanted, version, cluster.address)
