"""The watch fires on what goes wrong, says its numbers, is silent on healthy runs, and goes on exactly after a resume."""

import json
import random

import numpy as np
import pytest

from grpo_kit.evaluate.metrics import proportion
from grpo_kit.observe.watch import Watch, verdicts


def lines(steps=30, *, judged=0.0, **series):
    """Lines of metrics: each series is a function of the step; noise of 0.01, the same every time."""
    rng = random.Random(0)
    made = []
    for step in range(1, steps + 1):
        line = {"step": step, "loss": 0.1, "grad_norm": 1.0, "evaluation/judge": "math", "judge/is_reward": judged}
        for name, value in series.items():
            line[name.replace("__", "/")] = value(step) + rng.gauss(0, 0.01)
        made.append(line)
    return made


def names(metrics):
    return {sign.name for sign in verdicts(metrics)}


def up(step):
    return min(0.9, 0.3 + 0.02 * step)


def down(step):
    return max(0.0, 0.3 - 0.02 * step)


def flat(_step):
    return 0.3


def evaluation(step, value, problems=64):
    half = 0.1 if 0 < value < 1 else 0.05
    return {
        "step": step,
        "eval/sampled": value,
        "eval/sampled_low": max(0.0, value - half),
        "eval/sampled_high": min(1.0, value + half),
        "eval/problems": problems,
        "evaluation/judge": "math",
    }


def test_a_reward_that_rises_while_the_judge_sees_less_is_hacking():
    (sign, *_) = [s for s in verdicts(lines(reward__mean=up, judge__right=down)) if s.name == "hacking"]
    assert sign.severity == "failure"
    assert sign.holds
    assert "math calls" in sign.sentence
    assert "rose from 0.356 to 0.859" in sign.sentence


def test_a_reward_that_judges_itself_is_never_called_clean():
    signs = {s.name: s for s in verdicts(lines(judged=1.0, reward__mean=up, judge__right=up))}
    assert signs["self_judged"].severity == "note"
    assert "cannot tell" in signs["self_judged"].sentence
    assert "the reward judges itself" in signs["self_judged"].sentence


def test_healthy_runs_are_silent():
    assert names(lines(100, reward__mean=up, judge__right=up, entropy=lambda s: 1 / (1 + 0.05 * s))) == set()
    assert names(lines(100, reward__mean=flat, judge__right=flat)) == set()
    converged = lines(
        100, reward__mean=lambda s: min(0.99, 0.4 + 0.02 * s), judge__right=lambda s: min(0.99, 0.4 + 0.02 * s)
    )
    for line in converged:
        line["entropy"] = 0.5 if line["step"] < 30 else 0.01
    assert names(converged) == set()


@pytest.mark.parametrize(
    ("expected", "series"),
    [
        ("reward_fell", {"reward__mean": down, "judge__right": flat}),
        ("not_followed", {"reward__mean": up, "judge__right": flat}),
        ("truncated", {"reward__mean": flat, "length__truncated": lambda s: 1.0 if s > 5 else 0.1}),
        ("alike", {"reward__mean": flat, "completions__alike": lambda s: 1.0 if s > 5 else 0.1}),
        ("verifiers_part", {"reward__mean": flat, "verifier__a__mean": up, "verifier__b__mean": down}),
        ("entropy_collapse", {"reward__mean": flat, "entropy": lambda s: 2.0 if s < 6 else 0.1}),
        ("entropy_explosion", {"reward__mean": flat, "entropy": lambda s: 0.5 if s < 6 else 3.0}),
        ("length_explosion", {"reward__mean": flat, "length__mean": lambda s: 20 if s < 6 else 80}),
        ("length_collapse", {"reward__mean": flat, "length__mean": lambda s: 80 if s < 6 else 10}),
        ("judge_fails", {"reward__mean": flat, "judge__unjudged": lambda s: 0.8}),
    ],
)
def test_each_rule_fires_on_its_own_sign(expected, series):
    assert expected in names(lines(**series))


def test_no_update_is_said_after_five_steps_and_not_of_a_solved_task():
    idle = [
        {"step": s, "loss": 0.0, "reward/mean": 0.0, "judge/right": 0.0, "length/truncated": 1.0} for s in range(1, 9)
    ]
    (sign,) = [s for s in verdicts(idle) if s.name == "no_update"]
    assert sign.step == 5
    assert "The reward is 0.000, 100% of the responses are cut" in sign.sentence
    solved = [line | {"reward/mean": 1.0, "judge/right": 1.0, "length/truncated": 0.0} for line in idle]
    assert names(solved) == {"nothing_left"}


def test_held_out_accuracy_that_falls_to_nothing_fires_whatever_is_learned():
    recorded = [
        evaluation(0, 0.27),
        {"step": 1, "loss": 0.5, "grad_norm": 1.0, "data/recorded": 1.0},
        evaluation(10, 0.0),
    ]
    (sign,) = verdicts(recorded)
    assert (sign.name, sign.step) == ("accuracy_fell", 10)
    assert "from 27.0% (step 0) to 0.0% (step 10)" in sign.sentence
    assert names([evaluation(0, 0.27), evaluation(10, 0.24)]) == set()


def test_a_sign_that_passes_says_so():
    metrics = lines(30, reward__mean=flat, length__truncated=lambda s: 1.0 if s < 8 else 0.1)
    (sign,) = verdicts(metrics)
    assert not sign.holds
    watch = Watch()
    for line in metrics:
        watch.see(line)
    assert watch.metrics() == {"watch/truncated": 0.0, "watch/failures": 0.0}
    assert watch.failures() == []


@pytest.mark.parametrize("cut", [1, 7, 12, 29])
def test_a_resume_changes_nothing(cut):
    metrics = [evaluation(0, 0.4), *lines(reward__mean=up, judge__right=down, entropy=flat), evaluation(30, 0.0)]
    first, second = Watch(), Watch()
    for line in metrics[:cut]:
        first.see(line)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for line in metrics[cut:]:
        first.see(line)
        second.see(line)
    assert second.signs == first.signs == verdicts(metrics)
    assert json.dumps(second.state_dict()) == json.dumps(first.state_dict())


def both(step, sampled, greedy, problems=256, judge="math"):
    """Of so many problems that the sampled accuracy is known to about 3 %."""
    line = evaluation(step, sampled, problems) | {"eval/greedy": greedy, "evaluation/judge": judge}
    return line | {"eval/sampled_low": sampled - 0.06, "eval/sampled_high": sampled + 0.06}


def test_greedy_accuracy_that_falls_alone_is_seen():
    """A preference run: the mode of the policy moved to wrong answers while its samples are as good as before."""
    learned = {"step": 1, "loss": 0.6, "grad_norm": 1.0, "data/recorded": 1.0}
    (sign,) = verdicts([both(0, 0.21, 0.52), learned, both(20, 0.2, 0.21)])
    assert (sign.name, sign.severity, sign.step) == ("accuracy_fell", "failure", 20)
    assert "greedy answers, judged by math, fell from 52.0% (step 0) to 21.0% (step 20)" in sign.sentence
    assert "that of the sampled ones from 21.0% (step 0) to 20.0% (step 20)" in sign.sentence
    assert names([both(0, 0.21, 0.52), learned, both(20, 0.2, 0.45)]) == set()
    assert names([both(0, 0.21, 0.52), both(20, 0.4, 0.3)]) == set()  # samples, which are learned from, became better
    assert names([both(0, 0.2, 0.5, 8), both(20, 0.2, 0.25, 8)]) == set()  # two of eight answers less are chance


def test_pair_accuracy_that_falls_is_seen():
    def pairs(step, value):
        found = {"eval/pairs_accuracy": value, "eval/pairs_low": value - 0.05, "eval/pairs_high": value + 0.05}
        return {"step": step, **found}

    (sign,) = verdicts([pairs(0, 0.5), pairs(20, 0.9), pairs(40, 0.55)])
    assert (sign.name, sign.step) == ("accuracy_fell", 40)
    assert "held-out pair accuracy fell from 90.0% (step 20) to 55.0% (step 40)" in sign.sentence
    assert names([pairs(0, 0.5), pairs(20, 0.9), pairs(40, 0.85)]) == set()


def test_verdicts_of_two_judges_are_never_compared():
    """A run that goes on with a stricter judge has not unlearned."""
    before = [both(0, 0.6, 0.6, judge="lenient"), *lines(10, reward__mean=flat, judge__right=lambda s: 0.6)]
    for line in before[1:]:
        line["evaluation/judge"] = "lenient"
    after = [line | {"step": line["step"] + 10} for line in lines(20, reward__mean=flat, judge__right=lambda s: 0.1)]
    assert names([*before, *after, both(30, 0.1, 0.1)]) == set()
    assert "accuracy_fell" in names([*before, *(line | {"evaluation/judge": "lenient"} for line in after)])


def test_a_run_that_stays_the_same_is_not_said_to_have_fallen_however_often_it_is_evaluated():
    """The best of twenty evaluations is high by chance alone: 64 problems of different difficulty, 2 samples each."""
    rng, alarms = np.random.default_rng(0), 0
    for _ in range(150):
        sampled, greedy = rng.beta(1.2, 2.8, 64), rng.beta(2.0, 2.0, 64)
        run = []
        for step in range(0, 201, 10):
            found = proportion(rng.binomial(2, sampled) / 2, 128)
            line = both(step, found.value, float(rng.binomial(1, greedy).mean()), 64)
            run.append(line | {"eval/sampled_low": found.low, "eval/sampled_high": found.high})
        alarms += "accuracy_fell" in names(run)
    assert alarms <= 6
