"""grpo-kit: a GRPO-first toolkit for training reasoning models.

    import grpo_kit

    run = grpo_kit.train("quickstart/addition", train__steps=20)
    grpo_kit.evaluate(run, "addition", n=8)

Importing this package costs nothing: torch, transformers and vllm are imported by the rooms that need them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# What users call, and where it is: imported when it is first asked for.
_PLACES = {
    "Checkpoint": "api.run",
    "Comparison": "evaluate.compare",
    "Evaluation": "api.evaluation",
    "Interrupted": "runtime.interrupt",
    "Outlook": "plan.outlook",
    "Recipe": "api.recipe",
    "Report": "api.run",
    "Run": "api.run",
    "RunFailed": "errors",
    "UserError": "errors",
    "compare": "api.evaluation",
    "evaluate": "api.evaluation",
    "load_run": "api.run",
    "plan": "api.planning",
    "score": "api.evaluation",
    "train": "api.training",
}
_ROOMS = ("evaluate", "plan", "train")  # are rooms as well

__all__ = [
    "Checkpoint",
    "Comparison",
    "Evaluation",
    "Interrupted",
    "Outlook",
    "Recipe",
    "Report",
    "Run",
    "RunFailed",
    "UserError",
    "compare",
    "evaluate",
    "load_run",
    "plan",
    "score",
    "train",
]

if TYPE_CHECKING:
    from grpo_kit.api.evaluation import Evaluation, compare, evaluate, score
    from grpo_kit.api.planning import plan
    from grpo_kit.api.recipe import Recipe
    from grpo_kit.api.run import Checkpoint, Report, Run, load_run
    from grpo_kit.api.training import train
    from grpo_kit.errors import RunFailed, UserError
    from grpo_kit.evaluate.compare import Comparison
    from grpo_kit.plan.outlook import Outlook
    from grpo_kit.runtime.interrupt import Interrupted


def _find(name: str) -> Any:
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


class _Room(ModuleType):
    """A room that is called as its verb: ``grpo_kit.train`` is where ``grpo_kit.train.loop`` lives, and trains."""

    @property
    def __call__(self) -> Any:
        return _find(self.__name__.rpartition(".")[2])

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        return str(self.__call__.__doc__)

    @property
    def __signature__(self) -> Any:
        import inspect

        return inspect.signature(self.__call__)


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        if name in _ROOMS and isinstance(value, ModuleType):  # Python binds a room that it imported
            value.__class__ = _Room
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name in _PLACES:
        globals()[name] = found = _find(name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
