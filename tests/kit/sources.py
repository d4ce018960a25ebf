"""Sources of groups without a model: a generator and a scorer that are made up, and the sources over them."""

import time
from pathlib import Path

from grpo_kit.config import CurriculumConfig, DataConfig
from grpo_kit.config.replay import ReplayConfig
from grpo_kit.data.curriculum import PoolSampler, ThompsonSampler
from grpo_kit.data.mixed_sampler import MixedSampler
from grpo_kit.data.mixture import DataSet, NamedSource
from grpo_kit.data.records import Records
from grpo_kit.data.sampler import TaskSampler
from grpo_kit.data.tasks import ProceduralSource
from grpo_kit.generate.base import SamplingParams, check_prompts, sample_seed
from grpo_kit.objective.algorithms import ALGORITHMS
from grpo_kit.observe.clock import Clock
from grpo_kit.observe.measure import Measure, Measures
from grpo_kit.policy.scratch import build_tokenizer
from grpo_kit.train.sources.ahead import GroupsAhead
from grpo_kit.train.sources.recorded import RecordedGroups
from grpo_kit.train.sources.replay_buffer import ReplayBuffer
from grpo_kit.train.sources.replayed import ReplayedGroups
from grpo_kit.train.sources.rounds import SamplingSetup
from grpo_kit.train.sources.sampled import SampledGroups
from grpo_kit.types import Completion, Group, Prompt, Score, Task


class FakeGenerator:
    """Completions of one token, whose text is the sample's index; greedy ones say so. Remembers every seed it was given.

    The token depends on the seed, the task, the sample and the version, as that of an engine does.
    """

    def __init__(self, version=3):
        self.policy_version = self.version = version
        self.seeds = []

    def generate(self, prompts, sampling, under_way=None, replies=None):
        check_prompts(prompts, sampling, context=512)
        return self._sample(prompts, sampling)

    def _sample(self, prompts, sampling):
        self.seeds.append(sampling.seed)
        for p in prompts:
            text = "greedy" if sampling.greedy else "{}"
            yield [
                Completion(p.task_id, i, [self._token(p, i, sampling)], [-1.0], text.format(i), "stop", self.version)
                for i in range(sampling.n)
            ]

    def _token(self, prompt, index, sampling):
        seed = 0 if sampling.greedy else sampling.seed
        return (sample_seed(seed, prompt.task_id, index) + self.version) % 1000

    def sync(self, model, version):
        self.policy_version = self.version = version

    def weights_stable(self, stable):
        pass

    def statistics(self):
        return Measures()

    def close(self):
        pass


class FakeScorer:
    """The first ``easy`` prompts get full marks whatever they answer; of others one sample in two is right."""

    def __init__(self, easy=0):
        self.easy = easy
        self.scored = 0  # groups, since `statistics` was asked for
        self.at_work = 0  # how many are being scored now

    def score_groups(self, groups):
        for group in groups:
            self.at_work += 1
            if group.completions[0].text == "greedy":
                group.scores = [Score(0.25)]
            else:
                agree = self.easy > 0
                self.easy -= 1
                group.scores = [Score(1.0 if agree else float(i % 2)) for i in range(len(group.completions))]
                self.scored += 1
            time.sleep(0)  # a thread that wants to look in between may
            self.at_work -= 1
            yield group

    def statistics(self):
        counted, self.scored = self.scored, 0
        return Measures({"scored/count": Measure.sum(counted)})


class FewTasks:
    """So few problems that an epoch ends within a step."""

    size, fingerprint = 5, "five"

    def task(self, index):
        return Task(f"t{index}", ({"role": "user", "content": f"{index}+1="},), "1")


def addition_sampler(tasks=None):
    tasks = tasks or ProceduralSource("addition", 1, 0, held_out=False)
    return TaskSampler(tasks, build_tokenizer(), seed=0, max_prompt_tokens=64)


def curriculum_sampler(kind, tasks=None):
    """Of few enough prompts that they come again."""
    tasks = tasks or ProceduralSource("addition", 1, 0, held_out=False, limit=12)
    kinds = {"pools": PoolSampler, "thompson": ThompsonSampler}
    return kinds[kind](tasks, build_tokenizer(), CurriculumConfig(sampler=kind), seed=0, max_prompt_tokens=64)


def mixed_sampler(kind):
    """Two data sets, each with a sampler of that kind."""
    sets, samplers = [], []
    for name, task, weight in (("sums", "addition", 2.0), ("chains", "chain_sum", 1.0)):
        source = NamedSource(ProceduralSource(task, 1, 0, held_out=False, limit=9), name)
        sets.append(DataSet(name, name, DataConfig(task=task), source, weight))
        samplers.append(addition_sampler(source) if kind == "order" else curriculum_sampler(kind, source))
    return MixedSampler(sets, samplers)


def setup(algorithm="grpo", *, easy=0, version=3, max_refills=4, tasks=None, sampler=None):
    """What groups of a row are sampled with, from a generator and a scorer that are made up."""
    row = ALGORITHMS.get(algorithm, algorithm) if isinstance(algorithm, str) else algorithm
    generator, scorer = FakeGenerator(version), FakeScorer(easy)
    return SamplingSetup(sampler or addition_sampler(tasks), generator, scorer, SamplingParams(n=4), row, max_refills)


def sampled(algorithm="grpo", **options):
    return SampledGroups(setup(algorithm, **options), Clock())


def ahead(algorithm="grpo", *, max_staleness=2, steps=6, version=lambda: 3, **options):
    made = setup(algorithm, **options)
    return GroupsAhead(made, Clock(), max_staleness=max_staleness, steps=steps, version=version)


def replayed(fresh=sampled, folder=Path("nothing is recorded here"), count=2, version=lambda: 3, **options):
    """What another source gives, and groups of what stands in a folder."""
    settings = {key: options.pop(key) for key in ReplayConfig.model_fields if key in options}
    source = fresh(**options)
    made = ReplayedGroups(source, ReplayBuffer(folder, ReplayConfig(**settings), count=count, seed=0), Clock(), version)
    made.setup = source.setup
    return made


def recorded(count=10):
    """Groups that stand in a list: the prompts p0, p1, ..., each answered once."""
    groups = []
    for index in range(count):
        task = Task(f"p{index}", ({"role": "user", "content": f"p{index}"},), "")
        completion = Completion(task.id, 0, [7], [-1.0], "x", "stop", -1)
        groups.append(Group(task, Prompt(task.id, (1, 2)), [completion], [Score(1.0)]))
    return RecordedGroups(Records(count, groups.__getitem__, seed=0), addition_sampler())
