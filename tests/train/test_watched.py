"""What a run says of its judge, and that another one is never taken for it."""

import io
from types import SimpleNamespace

from rich.console import Console

from grpo_kit.config import LimitsConfig
from grpo_kit.evaluate.judge import Judge
from grpo_kit.evaluate.run import EvalResult
from grpo_kit.observe.console import RunConsole
from grpo_kit.scoring import VerifierSpec
from grpo_kit.train.watched import WatchedRun


def judge(name):
    return Judge(VerifierSpec(name), name, is_reward=False, chosen=True)


def result(name, sampled):
    return EvalResult(8, 2, sampled, 0.1, 0.5, 0.0, 0.0, 9.0, 0.1, 0.9, name)


def test_another_judge_after_a_resume_is_named():
    said, logged = io.StringIO(), []
    console = RunConsole(Console(file=said, width=200))
    run = SimpleNamespace(log_metrics=logged.append)
    first = WatchedRun(run, console, LimitsConfig(), judge("lenient"))
    first.log({"step": 0, **result("lenient", 0.9).as_metrics()})
    second = WatchedRun(run, console, LimitsConfig(), judge("math"))
    second.load_state_dict(first.state_dict())
    second.log({"step": 1, "reward/mean": 0.5, "judge/right": 0.1})
    second.log({"step": 2, **result("math", 0.1).as_metrics()})
    words = " ".join(said.getvalue().split())
    assert words.count("right is what math says; before it was lenient") == 1
    assert second.failures() == []  # 90 % of the one and 10 % of the other are no fall
    assert [line["evaluation/judge"] for line in logged] == ["lenient", "math", "math"]
    second.say_in_the_end([(0, result("lenient", 0.9)), (2, result("math", 0.1))], [])
    table = said.getvalue().split("Held-out accuracy")[1]
    assert "judged by" in table
    (before,), (after,) = ([line for line in table.splitlines() if f"after step {n}" in line] for n in (0, 2))
    assert "lenient" in before
    assert "math" in after
