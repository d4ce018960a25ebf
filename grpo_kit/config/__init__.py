"""The recipe: what a YAML file may say, section by section. No torch is imported here."""

from .base import Strict
from .data import ChatConfig, DataConfig, ExamplesConfig, FieldMap
from .evaluation import EvaluationConfig
from .marks import SAFE_ON_RESUME, marked
from .model import LoraConfig, ModelConfig, ScratchModelConfig
from .objective import ObjectiveConfig, check_row
from .recipe import Config
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
    "SAFE_ON_RESUME",
    "ChatConfig",
    "Config",
    "CriticConfig",
    "DataConfig",
    "EvaluationConfig",
    "ExamplesConfig",
    "FieldMap",
    "JudgeConfig",
    "LimitsConfig",
    "LoggingConfig",
    "LoraConfig",
    "ModelConfig",
    "ObjectiveConfig",
    "OptimizerConfig",
    "ParallelConfig",
    "RolloutConfig",
    "ScoringConfig",
    "ScratchModelConfig",
    "Strict",
    "TrainConfig",
    "VerifierConfig",
    "VllmConfig",
    "WarmStartConfig",
    "check_row",
    "marked",
]
