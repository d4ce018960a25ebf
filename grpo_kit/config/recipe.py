"""The recipe as a typed object. Every field has one reader; unknown keys are errors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from grpo_kit.objective.algorithms import ALGORITHMS
from grpo_kit.objective.rows import Objective, can_be_off
from grpo_kit.runtime.strict import Strict
from grpo_kit.runtime.suggest import did_you_mean

from .data import ChatConfig, CurriculumConfig, DataConfig, DataSection, DataSetConfig, ExamplesConfig, check_names
from .environment import EnvironmentConfig
from .evaluation import EvaluationConfig
from .marks import SAFE_ON_RESUME
from .model import ModelConfig
from .reference import ReferenceConfig
from .replay import ReplayConfig
from .rollout import RolloutConfig
from .scoring import ScoringConfig, VerifierConfig
from .training import (
    CriticConfig,
    LimitsConfig,
    LoggingConfig,
    OptimizerConfig,
    ParallelConfig,
    TrainConfig,
    WarmStartConfig,
)

KEYS_OF_0_1 = 35  # the fewest of an objective section that a run of that version wrote


class Config(Strict):
    """A whole recipe."""

    algorithm: str = Field(
        "grpo", description="a row of `grpo-kit algorithms`, or path/file.py:row for one of your own"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        0, description="of everything random: weights from scratch, the order of the data, what is sampled"
    )
    device: str = Field(
        "auto", description="auto (CUDA where there is a device, else the CPU), cpu, cuda, cuda:N or mps"
    )
    threads: PositiveInt | None = Field(
        None, description="torch threads; default: what a trial at the start finds best"
    )
    deterministic: bool = Field(
        False,
        description="kernels that give the same numbers every time, slower on a GPU; one that has none ends the run",
    )
    model: ModelConfig = Field(description="the network that learns")
    warm_start: WarmStartConfig | None = Field(
        None, description="supervised steps before the first step; null begins with the model as it is"
    )
    data: DataSection = Field(description="what is asked: one data set, or a list of several with a weight each")
    curriculum: CurriculumConfig = Field(CurriculumConfig(), description="which prompts are asked next")
    chat: ChatConfig = Field(ChatConfig(), description="how prompts are put into the chat template")
    examples: ExamplesConfig | None = Field(None, description="for offline algorithms: what is learned from")
    environment: EnvironmentConfig | None = Field(
        None, description="what answers the policy; without it a response is one turn, and nobody answers"
    )
    verifiers: list[VerifierConfig] = Field(
        default_factory=list, description="one at least, but where an environment pays for its episodes"
    )
    scoring: ScoringConfig = Field(ScoringConfig(), description="how and where verifiers run")
    rollout: RolloutConfig = Field(RolloutConfig(), description="how responses are sampled")
    replay: ReplayConfig | None = Field(
        None, description="groups of earlier steps that are learned from again; null learns from every group once"
    )
    objective: Objective = Field(
        Objective(), description="choices that replace those of the algorithm's row; see `grpo-kit algorithms NAME`"
    )
    reference: ReferenceConfig = Field(ReferenceConfig(), description="what the KL is measured to, and who teaches")
    critic: CriticConfig = Field(
        CriticConfig(), description="the second network of algorithms with baseline critic; others ignore it"
    )
    optimizer: OptimizerConfig = Field(OptimizerConfig(), description="how the policy's weights are moved")
    train: TrainConfig = Field(description="how long, in what pieces, and what is saved")
    parallel: ParallelConfig = Field(ParallelConfig(), description="how a network lives on its devices")
    evaluation: EvaluationConfig | None = Field(
        None, description="what is measured on problems that training never meets; null measures nothing"
    )
    logging: Annotated[LoggingConfig, SAFE_ON_RESUME] = Field(
        LoggingConfig(), description="where metrics go besides the run's folder"
    )
    limits: Annotated[LimitsConfig, SAFE_ON_RESUME] = Field(
        LimitsConfig(), description="when a run that stands still, or goes wrong, is ended"
    )

    @property
    def sampled_by(self) -> Literal["itself", "engine", "older_weights"]:
        """How far the distribution that samples may be from the one that learns."""
        if self.rollout.max_staleness or self.replay is not None:
            return "older_weights"
        return "itself" if self.rollout.engine == "torch" else "engine"

    @property
    def groups_learned(self) -> int:
        """Groups that a step learns from: those that it samples, and those that it replays."""
        sampled = self.rollout.prompts_per_step
        return sampled + (0 if self.replay is None else self.replay.groups(sampled))

    @property
    def sets(self) -> tuple[DataConfig, ...]:
        """The data sets that are trained on: the one that ``data`` is, or those that it lists."""
        return (self.data,) if isinstance(self.data, DataConfig) else self.data

    @property
    def mixture(self) -> tuple[DataSetConfig, ...]:
        """The data sets where there are several; empty where there is one."""
        return () if isinstance(self.data, DataConfig) else self.data

    @property
    def only_set(self) -> DataConfig | None:
        """The data set where there is one; None of several."""
        return self.data if isinstance(self.data, DataConfig) else None

    @property
    def longest_prompt(self) -> int:
        """Tokens of the longest prompt that is trained on."""
        return max(entry.max_prompt_tokens for entry in self.sets)

    @property
    def all_procedural(self) -> bool:
        """Whether every prompt is of a procedural task, which has worked solutions."""
        return all(entry.task is not None for entry in self.sets)

    @property
    def all_verifiers(self) -> list[VerifierConfig]:
        """The recipe's verifiers, then those of data sets that have their own."""
        return [*self.verifiers, *(v for entry in self.mixture for v in entry.verifiers or ())]

    def of_set(self, entry: DataSetConfig, evaluation: dict[str, Any] | None = None) -> Config:
        """The recipe as it would be for one of its data sets alone.

        Args:
            evaluation: keys of that section to say otherwise.
        """
        changed: dict[str, Any] = {"data": entry.alone(), "verifiers": entry.verifiers or self.verifiers}
        if evaluation and self.evaluation is not None:
            changed["evaluation"] = self.evaluation.model_copy(update=evaluation)
        return self.model_copy(update=changed)

    def longest_sequence(self) -> int:
        """Tokens of the longest prompt and episode that training or evaluation may ask of the engine."""
        evaluated = self.evaluation.data if self.evaluation else None
        prompt = max(self.longest_prompt, evaluated.max_prompt_tokens if evaluated else 0)
        return prompt + self.rollout.max_tokens + self.inserted

    @property
    def inserted(self) -> int:
        """Tokens that an environment may write into an episode, beside those that are sampled."""
        return self.environment.max_inserted if self.environment else 0

    @field_validator("algorithm")
    @classmethod
    def _algorithm_is_known(cls, name: str) -> str:
        if name in ALGORITHMS or ":" in name:
            return name
        raise ValueError(
            f"found {name!r}, allowed: {', '.join(ALGORITHMS)}, or path/file.py:row.{did_you_mean(name, ALGORITHMS)}"
        )

    @field_validator("objective", mode="before")
    @classmethod
    def _null_as_runs_of_0_1_meant_it(cls, section: Any) -> Any:
        """They wrote down every key of a run, null for the row's value, where null cannot be meant by anybody else."""
        if not isinstance(section, dict) or len(section) < KEYS_OF_0_1:
            return section
        given = {key: value for key, value in section.items() if value is not None}
        return section if all(map(can_be_off, section.keys() - given.keys())) else given

    @model_validator(mode="after")
    def _a_list_of_one_is_that_one(self) -> Config:
        if len(self.mixture) == 1:
            (only,) = self.mixture
            object.__setattr__(self, "data", only.alone())
            object.__setattr__(self, "verifiers", self.verifiers if only.verifiers is None else only.verifiers)
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> Config:
        problems = [*self._data_problems(), *self._curriculum_problems()]
        scored = self.verifiers or (self.mixture and all(entry.verifiers for entry in self.mixture))
        if not scored and (self.environment is None or self.environment.tools):
            problems.append("verifiers: give one at least; only an environment by name pays for its episodes itself")
        executors = {self.scoring.executor, self.environment.executor if self.environment else "local"}
        if self.scoring.ray_address and "ray" not in executors:
            problems.append("scoring.ray_address is for scoring.executor: ray, or environment.executor: ray")
        if self.warm_start and not self.all_procedural:
            problems.append("warm_start needs a procedural data.task, whose demonstrations it learns from")
        if self.rollout.prompts_per_step % self.train.updates_per_batch:
            problems.append(
                f"train.updates_per_batch {self.train.updates_per_batch} must divide rollout.prompts_per_step "
                f"{self.rollout.prompts_per_step}"
            )
        own, row = self.objective, ALGORITHMS.get(self.algorithm)
        decides = own if "data" in own.model_fields_set else row  # a row of a file is asked when it is read
        if self.environment is not None and ((decides and decides.recorded) or self.examples is not None):
            problems.append(
                "environment answers a policy while it samples, and here all is sampled already "
                f"({'examples' if self.examples is not None else f'algorithm {self.algorithm}'}); leave the environment out, or "
                "use an algorithm that samples, such as grpo, without examples"
            )
        elif decides is not None and decides.recorded != (self.examples is not None):
            problems.append(
                f"algorithm {self.algorithm} "
                + (
                    "learns from recorded data and needs an examples section"
                    if self.examples is None
                    else "samples its own data and takes no examples section"
                )
            )
        if self.rollout.max_staleness and own.model_dump().get("correction") == "none":
            problems.append(
                "rollout.max_staleness lets older weights sample, so objective.correction must not be none: use "
                "in_ratio or truncated"
            )
        if self.replay is not None and self.train.log_rollouts_every > 1:
            problems.append(
                f"train.log_rollouts_every {self.train.log_rollouts_every} leaves steps out of the record, from which replay "
                "draws its groups: set it to 1"
            )
        # Whoever writes evaluation: null has decided; where it was forgotten, nothing would ever be the best.
        if self.train.keep_best and self.evaluation is None and "evaluation" not in self.model_fields_set:
            problems.append(
                "train.keep_best keeps the checkpoints of highest held-out accuracy, and there is no evaluation"
            )
        if self.examples and self.examples.demonstrations and not self.all_procedural:
            problems.append("examples.demonstrations needs a procedural data.task")
        if self.replay is not None and self.examples is not None:
            problems.append(
                "replay is of what a run samples itself, and examples are recorded already: leave replay out"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _data_problems(self) -> list[str]:
        """What does not fit where there are several data sets."""
        if self.only_set is not None:
            return []
        problems = check_names(self.mixture)
        if self.examples is not None:
            problems.append(
                "data lists several data sets to sample from, and examples brings its own prompts: give data one section, which "
                "says how the prompts of examples are framed"
            )
        evaluation = self.evaluation
        if evaluation is not None and evaluation.data is not None and not (self.verifiers or evaluation.verifier):
            problems.append(
                "evaluation.data is of none of the data sets, which have their verifiers each: name who judges it in "
                "evaluation.verifier, or leave evaluation.data out, and a tenth of each data set is held out"
            )
        return problems

    def _curriculum_problems(self) -> list[str]:
        """What does not fit a sampler that goes by what was sampled so far."""
        if not self.curriculum.learns:
            return []
        named = f"curriculum.sampler {self.curriculum.sampler}"
        problems = []
        if self.examples is not None:
            problems.append(f"{named} chooses prompts to sample, and examples are read in their order: leave it out")
        if self.rollout.max_staleness:
            problems.append(
                f"{named} chooses the prompts of a step by what came of the steps before, and rollout.max_staleness "
                f"{self.rollout.max_staleness} draws them earlier: set rollout.max_staleness to 0, or curriculum.sampler to order"
            )
        for index, entry in enumerate(self.sets):
            if entry.task is not None and entry.limit is None:
                at = f"data.{index}" if self.mixture else "data"
                problems.append(
                    f"{named} goes by what came of a prompt before, and {at}.task {entry.task} never gives one twice: set "
                    f"{at}.limit, so many problems that come again every epoch"
                )
        return problems
