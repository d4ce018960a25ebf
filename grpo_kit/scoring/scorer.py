"""The scorer: groups of completions in, the same groups with scores out."""

from __future__ import annotations

import atexit
import dataclasses
import inspect
import json
import re
import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grpo_kit.observe.measure import Measures
from grpo_kit.types import Completion, Group, Prompt, Score, Task
from grpo_kit.verifiers.base import Verifier, VerifierError
from grpo_kit.verifiers.lookup import Address, address_of, get_verifier

from .cluster import ClusterPool
from .execute import execute
from .pool import Pool
from .reward import earned, total
from .statistics import VerifierStatistics
from .work import Loaded, ScoringError, Work, cases_of, context_of, own_of

DEFAULT_MEMORY_MB = 4096
# How many groups may wait for their scores before no further group is pulled from the producer.
MAX_GROUPS_AHEAD = 256
TASK_KEY = "verifier"


@dataclass(frozen=True)
class VerifierSpec:
    """A verifier as a recipe names it.

    Attributes:
        name: a name, ``package.module:function`` or ``path/file.py:function``.
        weight: factor of its score in the total reward, multiplied with the verifier's own weight.
        options: keyword options of the function.
        timeout: seconds per call; None keeps the verifier's own.
    """

    name: str
    weight: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)
    timeout: float | None = None


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster. address: None for RAY_ADDRESS, or the one that runs on this machine."""

    address: str | None = None


@dataclass(frozen=True)
class OfDataSet:
    """Who scores the tasks of one of several data sets (`Task.data_set`), and who says which of them are right."""

    specs: Sequence[VerifierSpec]
    judge: VerifierSpec | None = None


class Job:
    """A group on its way through the verifiers."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.works: list[Work] = []  # those of the reward, then the judge's where it is none of them
        self.rewarded: tuple[Loaded, ...] = ()
        self.judge = self.mark = ""  # labels, of a verifier or of the environment
        self.open = 0
        self.done = threading.Event()
        self._lock = threading.Lock()

    def close_one(self, _work: Work) -> None:
        with self._lock:
            self.open -= 1
            if self.open <= 0:
                self.done.set()


class Scorer:
    """Scores completions with several weighted verifiers, in worker processes that can be killed.

    The reward of a completion is the weighted sum of its verifiers' scores. If one of them failed or timed out, so
    has the total; one that abstains is left out, and if all do the total abstains. A task whose meta names a
    ``verifier`` is scored by that one alone; it must be one of ``specs``.

    One verifier is the judge of who is right (`Group.judge`). Where it is none of the reward's it runs beside them: its
    verdict stands in ``parts``, it is no part of the reward, and its failures neither spoil a reward nor stop the run.

    What the environment of an episode paid (`Completion.earned`) can be one more part of the reward, beside the verifiers or
    in their place; then it is the judge too. Its failures count as a verifier's do, and an episode whose environment failed has
    no verdict of anybody, whether that is part of the reward or not.

    Args:
        specs: may be empty where ``outcome`` is given.
        judge: who judges; default: the first verifier that scores a task.
        judge_all: the judge also judges the tasks that name a verifier of their own, which is their judge otherwise.
        workers: worker processes; 0 scores in the calling thread, for debugging: no deadline, no isolation.
        max_error_rate: above this share of errors and timeouts a verifier counts as broken in a step.
        error_patience: that many broken steps in a row stop the run with `ScoringError`. A step is one pass through
            `score_groups`.
        memory_mb: MiB a worker may take on top of its imports; None takes 4096, 0 sets no limit.
        traceback_dir: where the first traceback of each verifier is written.
        environment: names of variables (API keys) that worker processes get beside what everybody needs.
        cluster: score on the nodes of this Ray cluster, with ``workers`` on each, and not here.
        outcome: the environment's name among the parts, and the factor of what it paid in the total.
        data_sets: who scores and judges tasks of a data set instead of ``specs`` and ``judge``. A verifier that several of
            them name with the same options is one, under one name in the logs.

    Raises:
        VerifierError: a verifier cannot be found or its options are wrong.
        ScoringError: it cannot be loaded in a worker process.
    """

    def __init__(
        self,
        specs: Sequence[VerifierSpec],
        workers: int = 1,
        max_error_rate: float = 0.5,
        error_patience: int = 3,
        memory_mb: int | None = None,
        traceback_dir: Path | None = None,
        cluster: Cluster | None = None,
        judge: VerifierSpec | None = None,
        judge_all: bool = False,
        environment: Sequence[str] = (),
        outcome: tuple[str, float] | None = None,
        data_sets: Mapping[str, OfDataSet] | None = None,
    ) -> None:
        if not specs and outcome is None and not data_sets:
            raise VerifierError("scoring needs at least one verifier")
        if workers < 0:
            raise ValueError(f"workers must be 0 (in process) or more, got {workers}")
        if memory_mb is not None and memory_mb < 0:
            raise ValueError(f"memory_mb must be 0 (no limit) or more, got {memory_mb}")
        self.workers = workers
        self.max_error_rate = max_error_rate
        self.error_patience = error_patience
        self.memory_mb = DEFAULT_MEMORY_MB if memory_mb is None else memory_mb
        self.traceback_dir = traceback_dir
        self.cluster = cluster
        self.environment = tuple(environment)
        self._closed = False
        self._by_spec: dict[str, Loaded] = {}
        self._loaded: list[Loaded] = []
        for spec in specs:
            self._load(spec)
        self._default = tuple(self._loaded)
        self.outcome = outcome
        if outcome is not None and any(loaded.label == outcome[0] for loaded in self._loaded):
            raise VerifierError(
                f"the environment {outcome[0]!r} and a verifier have one name; give the verifier another"
            )
        self._judge = None if judge is None else self._same_as(judge, self._default) or self._load(judge)
        self._of_sets = {name: self._for_data_set(part) for name, part in (data_sets or {}).items()}
        self.judge_all = judge_all
        self._lock = threading.Lock()
        self._statistics: dict[str, VerifierStatistics] = defaultdict(VerifierStatistics)
        self._broken_steps: dict[str, int] = {}
        self._first_failure: dict[str, str] = {}
        self._stop: str | None = None
        self._pool: Pool | ClusterPool | None = None
        addresses = [loaded.address for loaded in self._loaded if loaded.address is not None]
        if addresses:
            self._start_pool(addresses)

    def _start_pool(self, addresses: Sequence[Address]) -> None:
        if self.cluster is None:
            self._pool = Pool(self.workers, self.memory_mb, addresses, self._environment())
        else:
            self._pool = ClusterPool(self.workers, self.memory_mb, self.cluster.address, self._environment())
        atexit.register(self.close)

    def _environment(self) -> tuple[str, ...]:
        """Variables that verifiers get: those that the recipe names, and those that an option ``..._env`` names."""
        named = set(self.environment)
        for loaded in self._loaded:
            function, options = loaded.verifier.function, loaded.verifier.options
            try:
                defaults = {n: p.default for n, p in inspect.signature(function).parameters.items()}
            except (TypeError, ValueError):  # a callable that does not tell
                defaults = {}
            named |= {v for n, v in {**defaults, **options}.items() if n.endswith("_env") and isinstance(v, str)}
        return tuple(sorted(named))

    # --- verifiers -------------------------------------------------------------------------------------------------

    def _same_as(self, spec: VerifierSpec, rewarded: Sequence[Loaded]) -> Loaded | None:
        """The verifier of the reward that ``spec`` names, where it is one of them."""
        found = get_verifier(spec.name).with_options(spec.options)
        return next((loaded for loaded in rewarded if _same(loaded.verifier, found)), None)

    def _for_data_set(self, part: OfDataSet) -> tuple[tuple[Loaded, ...], Loaded | None]:
        """Its verifiers with their weights, and its judge; those that are loaded already are not loaded again."""
        rewarded: list[Loaded] = []
        for spec in part.specs:
            known = self._known(spec)
            loaded = known or self._load(spec, apart=True)
            if any(loaded.key == other.key for other in rewarded):
                raise VerifierError(f"verifier {spec.name!r} is given twice with the same options; give it one weight")
            rewarded.append(dataclasses.replace(loaded, weight=spec.weight * loaded.verifier.weight))
        if part.judge is None:
            return tuple(rewarded), None
        paid = self._same_as(part.judge, rewarded)
        return tuple(rewarded), paid or self._known(part.judge) or self._load(part.judge, apart=True)

    def _known(self, spec: VerifierSpec) -> Loaded | None:
        """The verifier of that function, these options and that deadline, where it is loaded."""
        found = get_verifier(spec.name).with_options(spec.options)
        limit = found.timeout if spec.timeout is None else spec.timeout
        same = (known for known in self._loaded if _same(known.verifier, found) and known.verifier.timeout == limit)
        return next(same, None)

    def _load(self, spec: VerifierSpec, apart: bool = False) -> Loaded:
        """apart: it may be there already with another deadline."""
        found = get_verifier(spec.name)
        if spec.options:
            found = found.with_options(spec.options)
        if spec.timeout is not None:
            if spec.timeout <= 0:
                raise VerifierError(f"verifier {spec.name!r}: timeout must be above 0 seconds, got {spec.timeout!r}")
            found = dataclasses.replace(found, timeout=spec.timeout)
        for other in () if apart else self._loaded:
            if _same(other.verifier, found):
                raise VerifierError(f"verifier {spec.name!r} is given twice with the same options; give it one weight")
        taken = sum(other.verifier.name == found.name for other in self._loaded)
        label = f"{found.name}_{taken + 1}" if taken else found.name
        in_process = self.workers == 0 or found.in_process
        address = None if in_process else address_of(found, spec.name)
        loaded = Loaded(len(self._loaded), label, found, spec.weight * found.weight, address)
        self._loaded.append(loaded)
        self._by_spec.setdefault(spec.name, loaded)
        self._by_spec.setdefault(found.name, loaded)
        return loaded

    def _verifiers_for(self, task: Task) -> tuple[Loaded, ...]:
        name = task.meta.get(TASK_KEY)
        if name is None:
            return self._of_sets[task.data_set][0] if task.data_set in self._of_sets else self._default
        if not isinstance(name, str):
            raise VerifierError(f"task {task.id!r}: meta[{TASK_KEY!r}] must be a verifier's name, got {name!r:.100}")
        if name in self._by_spec:
            return (self._by_spec[name],)
        # Data may choose among what the recipe lists and no further: a data set from a stranger must not decide which
        # code judges, even among the shipped verifiers.
        raise VerifierError(
            f"task {task.id!r} names the verifier {name!r} in its column {TASK_KEY!r}, which the recipe does not list; it "
            f"lists {', '.join(sorted(self._by_spec))}. Add it to the recipe's verifiers, or remove the column"
        )

    def _judge_of(self, task: Task, rewarded: tuple[Loaded, ...]) -> Loaded | None:
        """None where no verifier judges: the environment does."""
        names_its_own = task.meta.get(TASK_KEY) is not None and not self.judge_all
        judge = self._of_sets[task.data_set][1] if task.data_set in self._of_sets else self._judge
        if judge is None or names_its_own:
            return rewarded[0] if rewarded else None
        return judge

    # --- scoring ---------------------------------------------------------------------------------------------------

    def score_groups(self, groups: Iterable[Group]) -> Iterator[Group]:
        """Pull groups as they are generated and yield each with ``scores`` and ``parts``, in the order they came.

        Scoring goes on while ``groups`` is busy making the next one; up to 256 groups may be pulled ahead of what is
        yielded. Closing the iterator early drops what is still under way.

        Raises:
            ScoringError: a verifier was broken for ``error_patience`` steps in a row.
        """
        if self._closed:
            raise ScoringError("this scorer is closed")
        self._raise_if_stopped()
        waiting: deque[Job] = deque()
        step: dict[str, VerifierStatistics] = defaultdict(VerifierStatistics)
        try:
            for group in groups:
                waiting.append(self._submit(group.task, group))
                while waiting and (waiting[0].done.is_set() or len(waiting) > MAX_GROUPS_AHEAD):
                    yield self._finish(waiting.popleft(), step)
            while waiting:
                yield self._finish(waiting.popleft(), step)
        finally:
            for job in waiting:
                for work in job.works:
                    work.cancelled = True
            self._end_step(step)
        self._raise_if_stopped()

    def score_completions(self, task: Task, completions: Sequence[Completion]) -> list[tuple[Score, dict[str, Score]]]:
        """Score completions of one task: each one's total and its parts by verifier."""
        group = Group(task, Prompt(task.id, ()), list(completions))
        (scored,) = self.score_groups([group])
        return list(zip(scored.scores, scored.parts, strict=True))

    def _submit(self, task: Task, group: Group) -> Job:
        job = Job(group)
        responses = [completion.text for completion in group.completions]
        job.rewarded = self._verifiers_for(task)
        judge = self._judge_of(task, job.rewarded)
        first = job.rewarded[0].label if job.rewarded else self.outcome[0] if self.outcome is not None else ""
        job.judge = first if judge is None else judge.label
        # A judge that nobody named looks on: what is learned must not depend on it.
        paid = judge is not None and any(judge.key == loaded.key for loaded in job.rewarded)
        job.mark = job.judge if paid or self.judge_all else first
        beside = () if judge is None or paid else (judge,)
        for loaded in (*job.rewarded, *beside):
            own = own_of(loaded.verifier, task, group.completions)
            job.works.append(Work(loaded, context_of(loaded.verifier, task), responses, own, job.close_one))
        if not responses or not job.works:
            job.done.set()
            return job
        job.open = len(job.works)
        pooled = [work for work in job.works if work.loaded.address is not None]
        if pooled:
            assert self._pool is not None
            self._pool.submit(pooled)
        for work in job.works:
            if work.loaded.address is None:
                _score_here(work)
        return job

    def _finish(self, job: Job, step: dict[str, VerifierStatistics]) -> Group:
        while not job.done.wait(0.5):
            if self._pool is None:
                raise ScoringError("this scorer was closed while completions were being scored")
            if self._pool.failure is not None:
                raise ScoringError(f"the scoring pool failed: {self._pool.failure}") from self._pool.failure
        group = job.group
        group.parts = [{} for _ in group.completions]
        with self._lock:
            for work in job.works:
                label = work.loaded.label
                for part, score, seconds in zip(group.parts, work.results, work.seconds, strict=True):
                    assert score is not None
                    part[label] = score
                    self._statistics[label].add(score, seconds)
                    if work.loaded in job.rewarded:  # a judge beside the reward may fail without breaking it
                        step[label].add(score, seconds)
                if work.traceback or label not in self._first_failure:
                    self._keep_failure(job.group.task, work)
        weights = {loaded.label: loaded.weight for loaded in job.rewarded}
        if self.outcome is not None:
            weights[self.outcome[0]] = group.outcome_weight = self.outcome[1]
            self._add_outcomes(group, self.outcome[0], step)
        group.weights = weights
        for completion, part in zip(group.completions, group.parts, strict=True):
            if (failure := completion.failure) is not None:  # a verifier's word on half an episode is none
                part |= dict.fromkeys(part, failure)
        group.scores = [
            completion.failure or total({name: part[name] for name in weights}, weights)
            for completion, part in zip(group.completions, group.parts, strict=True)
        ]
        group.judge, group.mark = job.judge, job.mark
        return group

    def _add_outcomes(self, group: Group, label: str, step: dict[str, VerifierStatistics]) -> None:
        """Beside the verifiers' scores, what the environment paid for each episode."""
        with self._lock:
            for completion, part in zip(group.completions, group.parts, strict=True):
                score, seconds = earned(completion)
                part[label] = score
                self._statistics[label].add(score, seconds)
                step[label].add(score, seconds)
                if score.status in ("error", "timeout"):
                    self._first_failure.setdefault(label, score.reason)

    def _keep_failure(self, task: Task, work: Work) -> None:
        failed = next(
            ((i, s) for i, s in enumerate(work.results) if s is not None and s.status in ("error", "timeout")), None
        )
        label = work.loaded.label
        if failed is None or label in self._first_failure:
            return
        position, score = failed
        self._first_failure[label] = score.reason
        if self.traceback_dir is None:
            return
        self.traceback_dir.mkdir(parents=True, exist_ok=True)
        path = self.traceback_dir / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', label)}.txt"
        path.write_text(
            f"verifier {label} ({work.loaded.verifier.origin})\ntask {task.id}, completion {position}\n"
            f"{score.status}: {score.reason}\n\n{work.traceback}\nresponse:\n{str(work.responses[position])[:4000]}\n",
            encoding="utf-8",
            errors="backslashreplace",
        )

    def _end_step(self, step: Mapping[str, VerifierStatistics]) -> None:
        for label, seen in step.items():
            broken = seen.failure_rate > self.max_error_rate
            self._broken_steps[label] = self._broken_steps.get(label, 0) + 1 if broken else 0
            if self._broken_steps[label] >= self.error_patience:
                kept = f" Its first traceback: {self.traceback_dir}." if self.traceback_dir else ""
                kind = "verifier" if self.outcome is None or label != self.outcome[0] else "environment"
                self._stop = (
                    f"{kind} {label!r} failed on {seen.failure_rate:.0%} of the completions (limit "
                    f"{self.max_error_rate:.0%}) in {self._broken_steps[label]} steps in a row: "
                    f"{seen.statuses['error']} errors and {seen.statuses['timeout']} timeouts of {seen.count} in the "
                    f"last one. First failure: {self._first_failure.get(label, 'unknown')}.{kept} Mend the {kind}, or "
                    "raise scoring.max_error_rate."
                )

    def _raise_if_stopped(self) -> None:
        if self._stop is not None:
            raise ScoringError(self._stop)

    # --- the rest --------------------------------------------------------------------------------------------------

    def statistics(self) -> Measures:
        """Per verifier since the last call: ``verifier/NAME/`` mean, std, count, abstain, error, timeout, latency_p50,
        latency_p95 (seconds), and the means of the verifier's own metrics."""
        with self._lock:
            seen, self._statistics = self._statistics, defaultdict(VerifierStatistics)
        found = self._pool.statistics() if self._pool is not None else Measures()
        for label, statistics in seen.items():
            for name, measure in statistics.summary().items():
                found.add(f"verifier/{label}/{name}", measure)
        return found

    def versions(self) -> dict[str, str]:
        """Version of each verifier in use, for the checkpoint and the rollout log."""
        return {loaded.label: loaded.verifier.version for loaded in self._loaded}

    def close(self) -> None:
        """End the worker processes. Safe to call twice."""
        self._closed = True
        if self._pool is not None:
            pool, self._pool = self._pool, None
            pool.close()
            atexit.unregister(self.close)

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _same(one: Verifier, other: Verifier) -> bool:
    return one.function is other.function and _key(one.options) == _key(other.options)


def _key(options: Mapping[str, Any]) -> str:
    return json.dumps(options, sort_keys=True, default=repr)


def _score_here(work: Work) -> None:
    execute(work.loaded.verifier, cases_of(work.context, work.responses, work.own), work.deliver, _unmarked)


def _unmarked(_position: int) -> None:
    """In process there is no deadline and nobody reads marks."""
