"""The kit as a library: what the commands do, returning data. Users import `grpo_kit` itself, whose attributes these are."""

from grpo_kit.errors import RunFailed, UserError
from grpo_kit.evaluate.compare import Comparison
from grpo_kit.plan.outlook import Outlook
from grpo_kit.runtime.interrupt import Interrupted

from .evaluation import Evaluation, compare, evaluate, score
from .planning import plan
from .recipe import Recipe
from .run import Checkpoint, Report, Run, load_run
from .training import train

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
