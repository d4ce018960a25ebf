"""Evaluating a checkpoint: sample, judge, keep every completion, and go on where a killed evaluation stopped."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from grpo_kit.config import ModelConfig, RolloutConfig, VllmConfig
from grpo_kit.data.chat import stop_token_ids
from grpo_kit.environments.episodes import Episodes
from grpo_kit.errors import UserError
from grpo_kit.generate.base import Generator, SamplingParams
from grpo_kit.generate.engines import check_engine, open_generator
from grpo_kit.observe.console import RunConsole
from grpo_kit.policy.gguf import SUFFIX
from grpo_kit.policy.models import Policy, load_policy, pick_device
from grpo_kit.runtime.model_folder import check_folder, instead_of, model_in
from grpo_kit.types import Prompt, Task

from .asked import Asked, ask
from .judging import answered, judged
from .protocol import Result, differences, model_fingerprint, short_hash, versions
from .records import GREEDY, SAMPLES_FILE, Key, Record, RecordLog, read_records, write_records
from .summary import summarise
from .task_judge import TaskJudge
from .tasks import OpenTask

PROTOCOL_FILE = "protocol.json"
# Completions that are sampled together. What an engine computes depends in its last bits on what else is in the batch,
# so batches are cut at fixed places: a resumed evaluation repeats the one that was cut off and samples the same tokens.
CHUNK = 1024


@dataclass(frozen=True)
class Settings:
    """How to sample and judge. ``n`` completions per problem, and a greedy one where ``greedy``."""

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int | None = None
    greedy: bool = True
    seed: int = 0
    engine: str = "torch"
    servers: tuple[str, ...] = ()
    device: str = "auto"
    dtype: str = "auto"
    workers: int = 1

    @property
    def rollout(self) -> RolloutConfig:
        """The engine, as a recipe says it."""
        return RolloutConfig(engine=self.engine, vllm=VllmConfig(servers=self.servers))


def find_model(path: str) -> str:
    """The model folder behind a run directory, a checkpoint or a model folder; a hub name is left as it is.

    Raises:
        UserError: the folder holds no model, or there is none.
    """
    folder = Path(path)
    if (found := model_in(folder)) is not None:
        return str(found)
    if folder.is_dir():
        raise UserError(
            f"{path} holds no model: no config.json there, in model/ or in checkpoints/step-*/model/.{instead_of(folder)}"
        )
    if not path.endswith(SUFFIX):
        check_folder(path)
    return path


class CheckpointEvaluation:
    """One checkpoint on several tasks, written to ``folder`` as it goes.

    Raises:
        UserError: the model, the engine or a verifier cannot be used, or what stands in ``folder`` was made differently.
    """

    def __init__(
        self, label: str, path: str, tasks: Sequence[OpenTask], settings: Settings, folder: Path, console: RunConsole
    ) -> None:
        self.label, self.path, self.tasks, self.settings = label, find_model(path), tasks, settings
        self.folder, self.console = folder, console
        self.model = ModelConfig(path=self.path, dtype=settings.dtype)
        self.device = pick_device(settings.device)
        self.judges = {task.name: TaskJudge.of(task.spec) for task in tasks}

    def run(self) -> Result:
        """Sample what is missing, then write ``results.json`` and ``samples.jsonl`` in their final order."""
        rollout = self.settings.rollout
        check_engine(rollout, self.device.type)
        policy = load_policy(self.model, self.device, self.settings.seed)
        result = self._result(policy)
        with ExitStack() as opened:
            asked = {task.name: self._ask(task, policy, opened) for task in self.tasks}
            protocols = {task.name: self._protocol(task, asked[task.name], policy) for task in self.tasks}
            self._claim(result, protocols)
            self._sample(asked, policy)
        return self._finish(result, protocols)

    def _sample(self, asked: Mapping[str, Asked], policy: Policy) -> None:
        """Sample and judge what is missing."""
        longest = max(asked[task.name].longest for task in self.tasks) + max(map(self.answer_tokens, self.tasks))
        done = self._done()
        generator: Generator | None = None
        try:
            with RecordLog(self.folder / SAMPLES_FILE) as log:
                for task in self.tasks:
                    work = list(self._missing(task, asked[task.name], policy, done))
                    if not work:
                        continue
                    if generator is None:
                        generator = open_generator(self.settings.rollout, longest, policy, self.folder)
                        generator.sync(policy.model, 0)
                    self._answer(task, asked[task.name].episodes, work, generator, log, done)
        finally:
            if generator is not None:
                generator.close()

    # --- what is asked -----------------------------------------------------------------------------------------------

    def _ask(self, task: OpenTask, policy: Policy, opened: ExitStack) -> Asked:
        asked = ask(task, policy.tokenizer, self.settings.seed, self.folder, opened)
        self.check_room(task, asked.longest, policy.context_length)
        return asked

    def check_room(self, task: OpenTask, longest: int, context: int) -> None:
        """Raises UserError where the longest prompt, what is sampled and what an environment inserts do not fit together."""
        most, inserted = self.max_tokens(task), self.answer_tokens(task) - self.max_tokens(task)
        if longest + most + inserted <= context:
            return
        where = "--max-tokens" if self.settings.max_tokens else f"max_tokens of task {task.name}"
        more = f", environment.max_inserted {inserted}" if inserted else ""
        room = context - longest - inserted
        way = f"give --max-tokens {room} or less" if room > 0 else "leave the longest problems out"
        if room <= 0 and inserted and context > longest + most:
            way = f"environment.max_inserted of the task may be {context - longest - most}"
        raise UserError(
            f"{self.label}, task {task.name}: the longest prompt has {longest} tokens and {where} is {most}{more}: "
            f"together {longest + most + inserted}, more than the model's context of {context}; {way}"
        )

    def answer_tokens(self, task: OpenTask) -> int:
        """Of a response, or of an episode with what its environment inserts, at most."""
        inserted = task.spec.environment.max_inserted if task.spec.environment else 0
        return self.max_tokens(task) + inserted

    def max_tokens(self, task: OpenTask) -> int:
        return self.settings.max_tokens or task.spec.max_tokens

    def _sampling(self, task: OpenTask, policy: Policy) -> SamplingParams:
        settings = self.settings
        return SamplingParams(
            n=settings.n,
            temperature=settings.temperature,
            top_p=settings.top_p,
            top_k=settings.top_k,
            max_tokens=self.max_tokens(task),
            stop=task.spec.stop,
            stop_token_ids=stop_token_ids(policy.model, policy.tokenizer),
            seed=settings.seed,
            turn_tokens=task.spec.environment.turn_tokens if task.spec.environment else None,
            fresh=task.spec.environment is not None and task.spec.environment.fresh,
        )

    def _result(self, policy: Policy) -> Result:
        folder = Path(self.path)
        model = {"label": self.label, "path": self.path}
        if folder.is_dir():
            model["fingerprint"] = model_fingerprint(folder)
        dtype = str(policy.autocast or "float32").removeprefix("torch.")
        return Result(
            model, {"engine": self.settings.engine, "device": str(self.device), "dtype": dtype, "versions": versions()}
        )

    def _protocol(self, task: OpenTask, asked: Asked, policy: Policy) -> dict[str, Any]:
        settings = self.settings
        sampling = {"temperature": settings.temperature, "top_p": settings.top_p}
        if settings.top_k:
            sampling["top_k"] = settings.top_k
        return {
            "n": settings.n,
            "sampling": sampling | {"max_tokens": self.max_tokens(task), "seed": settings.seed},
            "greedy": settings.greedy,
            **task.protocol(),
            "chat_template": short_hash(str(policy.tokenizer.chat_template)),
            "prompts": short_hash(json.dumps([prompt.token_ids for _, prompt in asked.problems])),
            "verifier": self.judges[task.name].protocol(),
            **asked.protocol(),
        }

    # --- what is there already ---------------------------------------------------------------------------------------

    def _claim(self, result: Result, protocols: dict[str, Any]) -> None:
        """Write down how this evaluation is made, or check that what stands here was made the same way."""
        wanted = json.loads(json.dumps({"model": result.model, "run": result.run, "tasks": protocols}, default=str))
        path = self.folder / PROTOCOL_FILE
        if not path.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
            return
        found = differences(json.loads(path.read_text(encoding="utf-8")), wanted)
        if found:
            raise UserError(
                f"--resume: {self.folder} was started differently, in {'; '.join(found[:6])}. Evaluate into another folder, "
                "or repeat the command that it was started with"
            )

    def _done(self) -> set[Key]:
        path = self.folder / SAMPLES_FILE
        return {record.key for record in read_records(path, torn_end=True)} if path.is_file() else set()

    def _missing(
        self, task: OpenTask, asked: Asked, policy: Policy, done: set[Key]
    ) -> Iterator[tuple[list[tuple[Task, Prompt]], SamplingParams, bool]]:
        """The chunks in which a completion is missing, sampled ones first, each with how it is to be sampled."""
        sampling = self._sampling(task, policy)
        passes = [(sampling, False)] if sampling.n else []
        if self.settings.greedy:
            passes.append((replace(sampling, n=1, temperature=0.0, top_p=1.0, top_k=0), True))
        pairs = asked.problems
        for chosen, greedy in passes:
            size = max(1, CHUNK // chosen.n)
            for start in range(0, len(pairs), size):
                chunk = pairs[start : start + size]
                keys = {(task.name, t.id, GREEDY if greedy else i) for t, _ in chunk for i in range(chosen.n)}
                if not keys <= done:
                    yield chunk, chosen, greedy

    # --- the work ----------------------------------------------------------------------------------------------------

    def _answer(
        self,
        task: OpenTask,
        episodes: Episodes | None,
        work: Sequence[Any],
        generator: Generator,
        log: RecordLog,
        done: set[Key],
    ) -> None:
        total = sum(len(chunk) for chunk, _, _ in work)
        finished, seen = 0, {False: [0, 0], True: [0, 0]}  # by greedy or not: right and judged completions
        with (
            self.judges[task.name].open(self.settings.workers, self.folder) as scorer,
            self.console.stage(f"{self.label}, {task.name}", total) as bar,
        ):
            for chunk, sampling, greedy in work:
                groups = answered(generator, chunk, sampling, bar.under_way, episodes)
                for records in judged(groups, scorer, task.name, greedy=greedy):
                    log.append(record for record in records if record.key not in done)
                    finished += 1
                    seen[greedy][0] += sum(record.right for record in records)
                    seen[greedy][1] += sum(record.counts for record in records)
                    bar.advance(finished, right_so_far(*seen[False], *seen[True]))

    def _finish(self, result: Result, protocols: dict[str, Any]) -> Result:
        """Order the samples as the problems are, whatever the order in which they came, and compute the metrics."""
        records = {record.key: record for record in read_records(self.folder / SAMPLES_FILE)}
        ordered: list[Record] = []
        for task in self.tasks:
            samples = [*range(self.settings.n), *([GREEDY] if self.settings.greedy else [])]
            mine = [records[task.name, problem.id, i] for problem in task.problems for i in samples]
            ordered += mine
            judge = self.judges[task.name]
            votes = judge.votes(mine, self.settings.workers) if self.settings.n > 1 else None
            extracts = judge.verifier is not None
            result.add(task.name, protocols[task.name], summarise(mine, votes, extracts=extracts))
        write_records(self.folder / SAMPLES_FILE, ordered)
        result.write(self.folder)
        return result


def right_so_far(sampled_right: int, sampled: int, greedy_right: int, greedy: int) -> dict[str, str]:
    """Sampled and greedy answers apart: the one is no estimate of the other."""
    counts = {"sampled": (sampled_right, sampled), "greedy": (greedy_right, greedy)}
    return {f"{name} right so far": f"{right / judged:.1%}" for name, (right, judged) in counts.items() if judged}


def settings_from(values: dict[str, Any]) -> Settings:
    """Settings from the command line, checked. Raises UserError."""
    settings = Settings(**values)
    # At 0 no token is left to sample from, and every log-probability would be NaN.
    if not 0.0 < settings.top_p <= 1.0:
        raise UserError(f"--top-p {settings.top_p:g}: must be above 0 and at most 1")
    if not math.isfinite(settings.temperature):
        raise UserError(f"--temperature {settings.temperature}: must be a finite number")
    if settings.n > 1 and settings.temperature == 0.0:
        raise UserError(
            "-n above 1 with --temperature 0 would be the same greedy answer many times; give a temperature"
        )
    if settings.engine == "vllm_server" and not settings.servers:
        raise UserError("--engine vllm_server needs --server http://host:port, once for each server")
    try:
        VllmConfig(servers=settings.servers)
    except ValidationError as error:
        raise UserError(f"--server: {error.errors()[0]['msg'].partition('servers: ')[2]}") from None
    if settings.temperature == 0.0:
        # One greedy answer is all there is to know: it is not sampled a second time.
        settings = replace(settings, n=0, greedy=True)
    if not settings.n and not settings.greedy:
        raise UserError("nothing to do: -n 0 and --no-greedy")
    return settings
