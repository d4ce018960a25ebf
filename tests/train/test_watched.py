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


# Of `verifiers=[{name: math}, {name: chatty.py:chatty, weight: 2}]`, chatty paying length: reward, share right for math.
HACKED = [
    (1.288, 0.080), (1.277, 0.064), (1.346, 0.107), (1.318, 0.084), (1.303, 0.072), (1.318, 0.070), (1.305, 0.027),
    (1.311, 0.021), (1.331, 0.016), (1.336, 0.012), (1.385, 0.018), (1.417, 0.002), (1.568, 0.0), (1.752, 0.0),
]  # fmt: skip


def test_a_reward_that_is_hacked_is_said_at_once_in_the_metrics_and_in_the_last_lines():
    said, logged = io.StringIO(), []
    run = SimpleNamespace(log_metrics=logged.append)
    watched = WatchedRun(run, RunConsole(Console(file=said, width=400)), LimitsConfig(hacking=True), judge("math"))
    for step, (reward, right) in enumerate(HACKED, start=1):
        watched.log({"step": step, "loss": 0.0, "grad_norm": 1.0, "reward/mean": reward, "judge/right": right})
        named = "hacking: the reward rose from 1.31 to" in said.getvalue()
        assert named == (step >= 12) == ("watch/hacking" in logged[-1])
    assert logged[-1]["watch/hacking"] == 1.0
    assert "warning: step 12: hacking: the reward rose from 1.31 to 1.36 while math calls 1.4% of" in said.getvalue()
    said.truncate(0)
    watched.say_in_the_end([], [])
    assert "hacking, since step 12: the reward rose from 1.31 to" in said.getvalue()
    assert "hacking" in {sign.name for sign in watched.failures()}
    assert watched.asks_to_end()
