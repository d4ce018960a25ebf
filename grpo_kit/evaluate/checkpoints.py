"""Evaluating a checkpoint: sample, judge, keep every completion, and go on where a killed evaluation stopped."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from grpo_kit.config import ModelConfig, RolloutConfig, VllmConfig
from grpo_kit.data.chat import render, stop_token_ids
from grpo_kit.errors import UserError
from grpo_kit.generate.base import Generator, SamplingParams
from grpo_kit.generate.engines import check_engine, open_generator
from grpo_kit.observe.console import RunConsole
from grpo_kit.policy.models import Policy, load_policy, pick_device
from grpo_kit.scoring import Scorer, VerifierSpec
from grpo_kit.types import Prompt, Task

from .judging import answered, judged
from .protocol import Result, differences, model_fingerprint, short_hash, versions
from .records import GREEDY, SAMPLES_FILE, Key, Record, RecordLog, read_records, write_records
from .score import vote
from .summary import summarise
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
        UserError: the folder exists and holds no model.
    """
    folder = Path(path)
    if not folder.is_dir():
        return path
    saved = sorted((folder / "checkpoints").glob("step-*/model/config.json"))
    for candidate in (folder / "config.json", folder / "model" / "config.json", *reversed(saved)):
        if candidate.is_file():
            return str(candidate.parent)
    raise UserError(f"{path} holds no model: no config.json there, in model/ or in checkpoints/step-*/model/")


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
        self.specs = {
            t.name: VerifierSpec(v.name, v.weight, v.options, v.timeout) for t in tasks for v in [t.spec.verifier]
        }

    def run(self) -> Result:
        """Sample what is missing, then write ``results.json`` and ``samples.jsonl`` in their final order."""
        rollout = self.settings.rollout
        check_engine(rollout, self.device.type)
        policy = load_policy(self.model, self.device, self.settings.seed)
        prompts = {
            task.name: [render(p, policy.tokenizer, task.spec.chat.arguments) for p in task.problems]
            for task in self.tasks
        }
        longest = max(len(prompt.token_ids) for rendered in prompts.values() for prompt in rendered)
        longest += max(map(self.max_tokens, self.tasks))
        result = self._result(policy)
        protocols = {task.name: self._protocol(task, prompts[task.name], policy) for task in self.tasks}
        self._claim(result, protocols)
        done = self._done()
        generator: Generator | None = None
        try:
            with RecordLog(self.folder / SAMPLES_FILE) as log:
                for task in self.tasks:
                    work = list(self._missing(task, prompts[task.name], policy, done))
                    if not work:
                        continue
                    if generator is None:
                        generator = open_generator(rollout, longest, policy, self.folder)
                        generator.sync(policy.model, 0)
                    self._answer(task, work, generator, log, done)
        finally:
            if generator is not None:
                generator.close()
        return self._finish(result, protocols)

    # --- what is asked -----------------------------------------------------------------------------------------------

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
            stop_token_ids=stop_token_ids(policy.model, policy.tokenizer),
            seed=settings.seed,
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

    def _protocol(self, task: OpenTask, prompts: Sequence[Prompt], policy: Policy) -> dict[str, Any]:
        settings, spec = self.settings, self.specs[task.name]
        with Scorer([spec], workers=0) as scorer:
            (version,) = scorer.versions().values()
        sampling = {"temperature": settings.temperature, "top_p": settings.top_p}
        if settings.top_k:
            sampling["top_k"] = settings.top_k
        return {
            "n": settings.n,
            "sampling": sampling | {"max_tokens": self.max_tokens(task), "seed": settings.seed},
            "greedy": settings.greedy,
            **task.protocol(),
            "chat_template": short_hash(str(policy.tokenizer.chat_template)),
            "prompts": short_hash(json.dumps([prompt.token_ids for prompt in prompts])),
            "verifier": {"name": spec.name, "version": version, "options": spec.options},
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
        self, task: OpenTask, prompts: Sequence[Prompt], policy: Policy, done: set[Key]
    ) -> Iterator[tuple[list[tuple[Task, Prompt]], SamplingParams, bool]]:
        """The chunks in which a completion is missing, sampled ones first, each with how it is to be sampled."""
        sampling = self._sampling(task, policy)
        passes = [(sampling, False)] if sampling.n else []
        if self.settings.greedy:
            passes.append((replace(sampling, n=1, temperature=0.0, top_p=1.0, top_k=0), True))
        pairs = list(zip(task.problems, prompts, strict=True))
        for chosen, greedy in passes:
            size = max(1, CHUNK // chosen.n)
            for start in range(0, len(pairs), size):
                chunk = pairs[start : start + size]
                keys = {(task.name, t.id, GREEDY if greedy else i) for t, _ in chunk for i in range(chosen.n)}
                if not keys <= done:
                    yield chunk, chosen, greedy

    # --- the work ----------------------------------------------------------------------------------------------------

    def _answer(
        self, task: OpenTask, work: Sequence[Any], generator: Generator, log: RecordLog, done: set[Key]
    ) -> None:
        total = sum(len(chunk) for chunk, _, _ in work)
        finished, seen = 0, {False: [0, 0], True: [0, 0]}  # by greedy or not: right and judged completions
        with (
            Scorer([self.specs[task.name]], workers=self.settings.workers, traceback_dir=self.folder) as scorer,
            self.console.stage(f"{self.label}, {task.name}", total) as bar,
        ):
            for chunk, sampling, greedy in work:
                asked = [(_plain(problem), prompt) for problem, prompt in chunk]
                groups = answered(generator, asked, sampling, bar.under_way)
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
            votes = vote(mine, self.specs[task.name], self.settings.workers) if self.settings.n > 1 else None
            result.add(task.name, protocols[task.name], summarise(mine, votes))
        write_records(self.folder / SAMPLES_FILE, ordered)
        result.write(self.folder)
        return result


def right_so_far(sampled_right: int, sampled: int, greedy_right: int, greedy: int) -> dict[str, str]:
    """Sampled and greedy answers apart: the one is no estimate of the other."""
    counts = {"sampled": (sampled_right, sampled), "greedy": (greedy_right, greedy)}
    return {f"{name} right so far": f"{right / judged:.1%}" for name, (right, judged) in counts.items() if judged}


def _plain(task: Task) -> Task:
    """Which verifier judges is the task file's decision, not the data's."""
    return replace(task, meta={k: v for k, v in task.meta.items() if k != "verifier"})


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
