"""grpo-kit: a GRPO-first toolkit for training reasoning models.

Importing this package costs nothing: torch, transformers and vllm are imported by the rooms that need them.
"""

__version__ = "0.1.0"
