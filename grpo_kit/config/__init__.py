"""The recipe: what a YAML file may say, section by section. No torch is imported here."""

from .data import ChatConfig, CurriculumConfig, DataConfig, DataSetConfig, ExamplesConfig, FieldMap
from .evaluation import EvaluationConfig
from .model import LoraConfig, ModelConfig, ScratchModelConfig
from .recipe import Config
from .reference import ReferenceConfig
from .rollout import RolloutConfig, VllmConfig
from .scoring import JudgeConfig, ScoringConfig, VerifierConfig
from .training import (
    CriticConfig,
    LimitsConfig,
    LoggingConfig,
    OptimizerConfig,
    ParallelConfig,
    TrainConfig,
    WarmStartConfig,
)

__all__ = [
    "ChatConfig",
    "Config",
    "CriticConfig",
    "CurriculumConfig",
    "DataConfig",
    "DataSetConfig",
    "EvaluationConfig",
    "ExamplesConfig",
    "FieldMap",
    "JudgeConfig",
    "LimitsConfig",
    "LoggingConfig",
    "LoraConfig",
    "ModelConfig",
    "OptimizerConfig",
    "ParallelConfig",
    "ReferenceConfig",
    "RolloutConfig",
    "ScoringConfig",
    "ScratchModelConfig",
    "TrainConfig",
    "VerifierConfig",
    "VllmConfig",
    "WarmStartConfig",
]
