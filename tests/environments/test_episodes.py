"""Episodes: every turn gets one reply, what fails costs its own episode, and a worker's death costs nothing but time."""

import os
import signal
import threading
from pathlib import Path

import pytest

from grpo_kit.config.environment import EnvironmentConfig
from grpo_kit.data.bridge import Bridge
from grpo_kit.environments.episodes import Episodes
from grpo_kit.environments.pool import EnvironmentFailed
from grpo_kit.errors import UserError
from grpo_kit.types import Prompt, Task
from tests.kit.obeying import ENDS, Address, NoAddress
from tests.kit.patience import wait_until
from tests.kit.said import TOKENIZER, heard, open_episodes, play, prepared, said, task

CALM = ["a b", "draw", "c d", "draw", "done 0.5"]


def calm(samples=4, names=("s", "t")):
    return {(name, sample): CALM for name in names for sample in range(samples)}


def answers(ends, keys):
    return [(ends[key].ending, ends[key].outcome, heard(ends[key])) for key in keys]


@pytest.fixture(scope="module")
def undisturbed():
    with open_episodes() as episodes, episodes.open_round(prepared(episodes, [task("s"), task("t")])) as replies:
        return answers(play(replies, calm()), calm())


def test_an_episode_is_told_and_recorded_turn_by_turn():
    with open_episodes() as episodes, episodes.open_round(prepared(episodes, [task("t", "first Go.")])) as replies:
        first = said("t", 0, 0, "a b")
        replies.submit(first)
        (reply,) = replies.take(wait=True)
        assert TOKENIZER.decode(reply.inserted) == "<|user|>turn 1: b<|assistant|>"
        replies.submit(said("t", 0, 1, "calls 2 1 1"))
        assert replies.take(wait=True)[0].inserted
        replies.submit(said("t", 0, 2, "done 0.25"))
        (end,) = replies.take(wait=True)
        assert replies.take(wait=True) == []  # nothing is under way
    assert (end.ending, end.outcome.value, end.outcome.status) == ("done", 0.25, "ok")
    assert [turn.text for turn in end.turns] == ["a b", "calls 2 1 1", "done 0.25"]
    assert [turn.start for turn in end.turns] == [0, len(first.token_ids), len(first.token_ids) + 12]
    assert [turn.replies for turn in end.turns][::2] == [({"role": "user", "content": "turn 1: b"},), ()]
    assert end.turns[1].replies[0]["role"] == "tool"
    assert [(t.reward, t.calls, t.invalid, t.failed) for t in end.turns][1:] == [(0.5, 2, 1, 1), (0.0, 0, 0, 0)]
    assert all(turn.seconds > 0 for turn in end.turns)


def test_what_an_episode_begins_with_is_part_of_the_prompt_and_the_same_for_all_samples():
    system = {"role": "system", "content": "Be brief."}
    with open_episodes() as episodes:
        ((made, prompt), (other, same)) = episodes.prepare(
            [(task("t", "chance"), Prompt("t", (1,))), (Task("u", (system,), None), Prompt("u", (5,)))]
        )
        assert made.messages[0]["content"].startswith("Question t?\n\nSecret ")
        assert TOKENIZER.decode(prompt.token_ids) == f"<|user|>{made.messages[0]['content']}<|assistant|>"
        assert (other.messages, same.token_ids) == ((system,), (5,))  # nothing was said, nothing is rendered again
        with episodes.open_round([made]) as replies:
            ends = play(replies, {("t", sample): CALM for sample in range(4)})
        assert len({str(heard(end)) for end in ends.values()}) == 1
        with pytest.raises(ValueError, match="was not prepared"):
            episodes.open_round([task("t")])
    with open_episodes(seed=1) as episodes:
        assert prepared(episodes, [task("t", "chance")])[0].messages != made.messages


@pytest.mark.parametrize(
    ("script", "settings", "ending", "turns"),
    [
        (["a b", "cut c"], {}, "length", 2),
        (["cut c"], {}, "length", 1),
        (["a"] * 9, {}, "turns", 8),
        (["a"] * 9, {"turns": 3}, "turns", 3),
        (["a " + "b" * 50] * 9, {"max_inserted": 150}, "room", 3),
        (["long"], {"max_inserted": 10**6}, "room", 1),
        (["calls 1 1 0"] * 5, {}, "invalid", 3),
        (["calls 1 1 0", "calls 2 2 0"], {}, "invalid", 2),
        (["calls 1 1 0", "calls 1 1 0", "calls 2 1 0", "calls 1 1 0", "a", "calls 1 1 0", "done"], {}, "done", 7),
        (["done"], {}, "done", 1),
    ],
)
def test_limits_end_an_episode_with_their_name(script, settings, ending, turns):
    with open_episodes(**settings) as episodes, episodes.open_round(prepared(episodes, [task()])) as replies:
        end = play(replies, {("t", 0): script})["t", 0]
    assert (end.ending, len(end.turns), end.outcome) == (ending, turns, None)
    assert end.turns[-1].replies == ()


def test_an_episode_that_may_sample_no_more_ends_by_its_length_and_may_still_be_done():
    with open_episodes() as episodes, episodes.open_round(prepared(episodes, [task()])) as replies:
        for sample, text in enumerate(["a", "done 1"]):
            replies.submit(said("t", sample, 0, text, left=0))
        came = {}
        while len(came) < 2:
            came |= {reply.sample_index: reply.ending for reply in replies.take(wait=True)}
    assert came == {0: "length", 1: "done"}


def test_an_episode_that_takes_too_long_in_all_abstains():
    with (
        open_episodes(episode_seconds=0.3) as episodes,
        episodes.open_round(prepared(episodes, [task()])) as replies,
    ):
        end = play(replies, {("t", 0): ["sleep 0.2"] * 9})["t", 0]
    assert (end.ending, end.outcome.status) == ("deadline", "timeout")
    assert len(end.turns) <= 2  # a third cannot begin in time, a second may not
    assert "episode_seconds is 0.3" in end.outcome.reason


@pytest.mark.parametrize("word", [*ENDS, "write"])
def test_a_harmful_call_costs_its_own_episode(word, undisturbed):
    """Its siblings, in the same worker, are answered as if nothing had been."""
    scripts = {**calm(), ("t", 9): ["a b", word, "done"]}
    with (
        open_episodes(timeout=5.0 if ENDS.get(word) == "timeout" else 60.0) as episodes,
        episodes.open_round(prepared(episodes, [task("s"), task("t")])) as replies,
    ):
        ends = play(replies, scripts)
    assert answers(ends, calm()) == undisturbed
    end, status = ends["t", 9], ENDS.get(word)
    if status == "ok":
        assert (end.ending, len(end.turns)) == ("done", 3)
    elif status is not None:
        assert (end.ending, end.outcome.status, len(end.turns)) == ("error", status, 2)
        assert end.outcome.value == 0.0
        assert end.outcome.reason


@pytest.mark.parametrize("since", ["nan", "inf", "1e18"])
def test_who_forges_the_time_of_its_call_does_not_escape_the_deadline(since):
    with (
        open_episodes(timeout=2.0) as episodes,
        episodes.open_round(prepared(episodes, [task("s"), task("t")])) as replies,
    ):
        ends = play(replies, {("s", 0): CALM, ("t", 0): ["a b", f"forge {since}", "done"]})
    assert ends["s", 0].ending == "done"
    assert (ends["t", 0].ending, ends["t", 0].outcome.status, len(ends["t", 0].turns)) == ("error", "timeout", 2)


@pytest.mark.parametrize("how", ["raise", "hang", "exit", "segfault", "memory"])
def test_an_episode_that_cannot_begin_is_an_error_of_its_own(how):
    with open_episodes(timeout=5.0 if how == "hang" else 60.0) as episodes:
        tasks = prepared(episodes, [task("s"), task("t", how)])
        with episodes.open_round(tasks) as replies:
            ends = play(replies, {("s", 0): CALM, ("t", 0): ["a"], ("t", 1): ["cut b"]})
    assert ends["s", 0].ending == "done"
    assert (ends["t", 0].ending, ends["t", 0].outcome.counts) == ("error", False)
    assert (ends["t", 1].ending, ends["t", 1].outcome.counts) == ("error", False)


def test_where_no_episode_can_begin_nothing_is_learned():
    with open_episodes() as episodes:
        episodes.rehearse([task("s"), task("t", "raise")])
        with pytest.raises(
            UserError, match=r"environment 'obeying' .*: no episode can begin: ValueError: boom \(.*:\d+\)"
        ):
            episodes.rehearse([task("s", "raise"), task("t", "exit")])
        with pytest.raises(UserError, match="it begins with more than any prompt has room for"):
            episodes.rehearse([task("s", "first " + "x" * 2**19)])
        assert episodes.statistics()["environment/count"] == 0


def test_turns_that_end_together_are_told_together(monkeypatch):
    with open_episodes() as episodes, episodes.open_round(prepared(episodes, [task()])) as replies:
        woken, wake = [], episodes.rules.pool._wake
        monkeypatch.setattr(episodes.rules.pool, "_wake", lambda: (woken.append(1), wake()))
        for sample in range(8):
            replies.submit(said("t", sample, 0, "done"))
        assert not woken
        came = replies.take(wait=True)
        while len(came) < 8:
            came += replies.take(wait=True)


def test_a_task_that_cannot_be_sent_is_an_error_of_its_own():
    with open_episodes() as episodes:
        tasks = prepared(episodes, [task("s"), task("t", lambda: None)])
        with episodes.open_round(tasks) as replies:
            ends = play(replies, {("s", 0): CALM, ("t", 0): ["a"]})
    assert (ends["s", 0].ending, ends["t", 0].ending) == ("done", "error")
    assert "cannot be sent to a worker" in ends["t", 0].outcome.reason


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_killed_in_mid_episode_are_made_again(workers, undisturbed):
    """Between turns, whenever all episodes wait for the policy: nobody is to blame, and nobody notices."""
    with (
        open_episodes(workers=workers) as episodes,
        episodes.open_round(prepared(episodes, [task("s"), task("t")])) as replies,
    ):
        pool, came = episodes.rules.pool, {}
        keys = list(calm())
        for number in range(len(CALM)):
            for key in keys:
                replies.submit(said(*key, number, CALM[number]))
            came = {}
            while len(came) < len(keys):
                came |= {(reply.task_id, reply.sample_index): reply for reply in replies.take(wait=True)}
            before = pool.replaced
            for pid in worker_pids(pool):
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda seen=before: pool.replaced >= seen + workers, "the workers are replaced")
        statistics = episodes.statistics()
    assert answers(came, keys) == undisturbed
    assert statistics["environment/restarts"] == workers * len(CALM)
    assert statistics["environment/replayed"] == len(keys) * (2 + 3 + 4 + 5)
    assert statistics["environment/error"] == statistics["environment/timeout"] == 0


def worker_pids(pool):
    children = Path(f"/proc/{pool._fork_server.pid}/task/{pool._fork_server.pid}/children")
    return [int(pid) for pid in children.read_text().split()]


def test_the_fork_server_may_die_too(undisturbed):
    with open_episodes() as episodes, episodes.open_round(prepared(episodes, [task("s"), task("t")])) as replies:
        os.kill(episodes.rules.pool._fork_server.pid, signal.SIGKILL)
        assert answers(play(replies, calm()), calm()) == undisturbed


@pytest.mark.parametrize("word", ["process", "moment"])
def test_an_environment_that_answers_otherwise_when_played_again_is_found_out(word):
    with open_episodes() as episodes, episodes.open_round(prepared(episodes, [task()])) as replies:
        pool = episodes.rules.pool
        for sample, text in enumerate([word, "draw"]):
            replies.submit(said("t", sample, 0, text))
        came = []
        while len(came) < 2:
            came += replies.take(wait=True)
        for pid in worker_pids(pool):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: pool.replaced == 1, "the worker is replaced")
        for sample in range(2):
            replies.submit(said("t", sample, 1, "done 1"))
        ends = {}
        while len(ends) < 2:
            ends |= {reply.sample_index: reply for reply in replies.take(wait=True)}
    assert (ends[0].ending, ends[0].outcome.status) == ("error", "error")
    assert "not the same episode again" in ends[0].outcome.reason
    assert "its answer to turn 1 was another" in ends[0].outcome.reason
    assert (ends[1].ending, ends[1].outcome.value) == ("done", 1.0)


def test_an_environment_that_begins_otherwise_is_found_out():
    with open_episodes() as episodes, episodes.open_round(prepared(episodes, [task("t", "differs")])) as replies:
        end = play(replies, {("t", 0): ["a", "done"]})["t", 0]
    assert (end.ending, end.outcome.status) == ("error", "error")
    assert "its beginning was another" in end.outcome.reason


def test_an_environment_that_says_nothing_first_is_opened_for_its_turns_alone():
    """Its prompts cost no call, and an episode of one turn costs one beside its end, which it shares with others."""
    with open_episodes(Address(speaks_first=False)) as episodes:
        tasks = prepared(episodes, [task("s"), task("t")])
        with pytest.raises(UserError, match="it begins with more than any prompt has room for"):
            episodes.rehearse([task("s", "first " + "x" * 2**19)])
        assert episodes.statistics()["environment/count"] == 0
        with episodes.open_round(tasks) as replies:
            pool, sent = episodes.rules.pool, []
            pool._send = lambda *request, send=pool._send: sent.append(request) or send(*request)
            ends = play(replies, {(name, sample): ["done 1"] for name in ("s", "t") for sample in range(8)})
    assert all((end.ending, end.outcome.value) == ("done", 1.0) for end in ends.values())
    assert 16 <= len(sent) < 32


def test_what_answers_something_else_than_was_asked_breaks_the_channel():
    from grpo_kit.environments.pool import _heard

    reply = {"messages": [], "done": True, "reward": None, "calls": 0, "invalid": 0, "failed": 0, "turn_reward": 0.0}
    assert [heard.answer.done for heard in _heard({"begun": [], **reply}, 0.1, range(2))] == [False, True]
    for result, made in (({}, range(1, 2)), ({"begun": []}, range(2)), ({"begun": [], **reply}, range(1, 2))):
        with pytest.raises(ValueError, match="not an answer to these calls"):
            _heard(result, 0.1, made)


def test_rounds_of_the_same_tasks_at_once_do_not_meet():
    with open_episodes(workers=2) as episodes:
        tasks = prepared(episodes, [task("s"), task("t")])
        found = {}

        def one(number):
            with episodes.open_round(tasks) as replies:
                found[number] = play(replies, {key: [f"a {number}", "done"] for key in calm()})

        threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for number in range(4):
        assert [heard(end) for end in found[number].values()] == [[f"turn 1: {number}"]] * 8


def test_every_episode_is_closed_that_was_opened(tmp_path):
    """Those that ended, and those that a generator left where they were."""
    closed = tmp_path / "closed"
    with open_episodes(options={"closed": str(closed)}) as episodes:
        tasks = prepared(episodes, [task("s"), task("t")])
        wait_until(
            lambda: closed.exists() and len(closed.read_text().split()) == 2, "those that gave the prompts are closed"
        )
        with pytest.raises(RuntimeError, match="stopped"), episodes.open_round(tasks) as replies:  # noqa: PT012
            play(replies, {("s", 0): ["a", "done"]})
            for sample in range(3):
                replies.submit(said("t", sample, 0, "sleep 0.1"))
            replies.take(wait=True)
            raise RuntimeError("stopped")
        with pytest.raises(ValueError, match="closed"):
            replies.submit(said("s", 0, 0, "a"))
        opened = 3 + 1 + 1 + 1  # the last of them may never have been opened
        wait_until(lambda: len(closed.read_text().split()) >= opened - 1, "what was left is closed")
        pool = episodes.rules.pool
        wait_until(lambda: all(not worker.lines for worker in pool._workers.values()), "nothing is left")


def test_workers_get_named_variables_and_no_secrets(monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "secret-value")
    monkeypatch.setenv("OTHER_API_KEY", "secret-value")
    with (
        open_episodes(options={"key_env": "MY_API_KEY"}) as episodes,
        episodes.open_round(prepared(episodes, [task()])) as replies,
    ):
        end = play(replies, {("t", 0): ["variable MY_API_KEY", "variable OTHER_API_KEY", "done"]})["t", 0]
    assert heard(end) == ["secret-value", "unset"]


def test_an_environment_that_mostly_fails_stops_the_run(tmp_path):
    with open_episodes(arguments={"error_patience": 2, "traceback_dir": tmp_path / "errors"}) as episodes:
        tasks = prepared(episodes, [task()])
        for script in (["raise"], ["done"], ["raise"], ["raise"]):
            with episodes.open_round(tasks) as replies:
                play(replies, {("t", 0): script})
        with pytest.raises(
            EnvironmentFailed, match=r"'obeying' failed in more than 50% .* First failure: ValueError: boom"
        ):
            episodes.open_round(tasks)
    kept = (tmp_path / "errors" / "environment-obeying.txt").read_text()
    assert "Traceback" in kept
    assert "in boom" in kept


def test_an_environment_that_cannot_be_found_by_a_worker():
    settings, bridge = EnvironmentConfig(name="missing"), Bridge(TOKENIZER)
    with pytest.raises(EnvironmentFailed, match="environment 'missing' cannot be loaded in a worker process"):
        Episodes(Address().resolve(), NoAddress(), settings, bridge, 0)


def test_a_reply_that_the_template_refuses_is_an_error_of_the_episode(monkeypatch):
    with open_episodes() as episodes, episodes.open_round(prepared(episodes, [task()])) as replies:
        refusing = "{% if messages|length > 1 %}{{ raise_exception('too many') }}{% endif %}"
        monkeypatch.setattr(TOKENIZER, "chat_template", refusing)
        end = play(replies, {("t", 0): ["a"]})["t", 0]
    assert (end.ending, end.outcome.status) == ("error", "error")
    assert "too many" in end.outcome.reason


def test_an_episode_that_begins_with_more_than_there_is_room_for_is_an_error_of_its_own():
    with open_episodes(arguments={"room": 100}) as episodes:
        episodes.rehearse([task("s"), task("t", "first " + "x" * 200)])
        with pytest.raises(
            UserError, match=r"no episode can begin: .* a prompt has \d+ tokens, and there is room for 100"
        ):
            episodes.rehearse([task("t", "first " + "x" * 200)])
        pairs = [(each, Prompt(each.id, (1,))) for each in (task("s"), task("t", "first " + "x" * 200))]
        made = episodes.prepare(pairs)
        assert max(len(prompt.token_ids) for _, prompt in made) <= 100
        with episodes.open_round([each for each, _ in made]) as replies:
            ends = play(replies, {("s", 0): CALM, ("t", 0): ["a"], ("t", 1): ["cut b"]})
        errors = episodes.statistics()["environment/error"]
    assert ends["s", 0].ending == "done"
    assert {(ends["t", n].ending, ends["t", n].outcome.counts) for n in (0, 1)} == {("error", False)}
    assert errors == 1
    assert "there is room for 100" in ends["t", 0].outcome.reason
