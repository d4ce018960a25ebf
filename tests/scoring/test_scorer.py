"""The scoring pool: right scores in the right order, and a verifier's failure costs its own score only."""

import os
import pickle
import selectors
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from grpo_kit.runtime.interrupt import StopStep, stop_on_signal
from grpo_kit.scoring import OfDataSet, Scorer, ScoringError, VerifierSpec
from grpo_kit.scoring.channel import HEARTBEAT
from grpo_kit.scoring.fork_server import COMMAND, WARM
from grpo_kit.scoring.handle import Worker
from grpo_kit.scoring.pool import Pool
from grpo_kit.scoring.processes import BOOT, SECOND_LOOK_SECONDS
from grpo_kit.scoring.worker import _score
from grpo_kit.types import Completion, Group, Prompt, Task
from grpo_kit.verifiers import REGISTRY, VerifierError, from_function, verifier
from tests.kit.patience import HANGS, wait_until

FILE = Path(__file__).parents[1] / "kit" / "scoring_verifiers.py"
OBEY = f"{FILE}:obey"


def group(texts, answer="ok", name="t", meta=None):
    task = Task(name, ({"role": "user", "content": "q"},), answer, meta or {})
    completions = [Completion(name, i, [1, 2], [0.0, 0.0], text, "stop", 0) for i, text in enumerate(texts)]
    return Group(task, Prompt(name, (1,)), completions)


DEADLINE = 2.0  # seconds, of a call that has to miss it; all others have as long as the machine needs


def score(texts, reference=OBEY, *, workers=1, timeout=HANGS, **settings):
    with Scorer([VerifierSpec(reference, timeout=timeout)], workers=workers, **settings) as scorer:
        (scored,) = scorer.score_groups([group(texts)])
        return scored.scores


def children():
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(stat.parent.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_scores_come_back_in_order(workers):
    texts = ["ok" if i % 3 else "no" for i in range(100)]
    groups = [group(texts[i:] + texts[:i], name=f"t{i}") for i in range(30)]
    with Scorer([VerifierSpec(f"{FILE}:equal")], workers=workers) as scorer:
        scored = list(scorer.score_groups(groups))
    assert [g.task.id for g in scored] == [g.task.id for g in groups]
    for g in scored:
        assert [s.value for s in g.scores] == [float(c.text == "ok") for c in g.completions]
        assert [p["equal"].value for p in g.parts] == [s.value for s in g.scores]


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        ("raise", "error", "ValueError: boom"),
        ("hang", "timeout", f"no result within {DEADLINE:g} s"),
        ("sleep 30", "timeout", f"no result within {DEADLINE:g} s"),
        ("exit", "error", "exit code 3"),
        ("sysexit", "error", "SystemExit: 4"),
        ("segfault", "error", "SIGSEGV"),
        ("memory", "error", "MemoryError"),
        ("orphan 1000", "error", "exit code 5"),
        ("file", "error", "exit code 6"),
        ("close", "error", ""),
        ("nan", "error", "finite"),
        ("string", "error", "must return bool, float, dict, Score or None; got str"),
        ("none", "abstain", "None"),
        ("flood", "ok", ""),
        ("fork", "ok", ""),
        ("thread 1000", "ok", ""),
        ("asyncio", "ok", ""),
        ("reason", "ok", "rrr"),
    ],
)
def test_a_failure_costs_its_own_score_only(text, status, reason):
    before = set(children())
    scores = score(["ok", "no", text, "ok", "no"], timeout=DEADLINE if status == "timeout" else HANGS)
    assert [s.value for s in scores[:2] + scores[3:]] == [1.0, 0.0, 1.0, 0.0]
    assert all(s.counts for s in scores[:2] + scores[3:])
    assert scores[2].status == status
    assert reason in scores[2].reason
    assert len(scores[2].reason) < 3000
    assert set(children()) <= before


def test_many_kinds_of_failure_at_once():
    words = ["ok", "raise", "exit", "ok", "segfault", "memory", "flood", "no", "fork", "none", "write"] * 10
    scores = score(words, workers=2, timeout=30.0)
    for word, s in zip(words, scores, strict=True):
        expected = {"raise": "error", "exit": "error", "segfault": "error", "memory": "error", "none": "abstain"}
        if word != "write":  # writing into every descriptor may or may not break the channel
            assert s.status == expected.get(word, "ok"), (word, s)
        if word in ("ok", "no"):
            assert s.value == float(word == "ok")


def test_memory_hoarded_over_calls_ends_with_its_worker():
    scores = score(["hoard"] * 8 + ["ok"] * 3, memory_mb=200)
    assert [s.status for s in scores].count("error") >= 1
    assert [s.status for s in scores].count("ok") >= 8  # a fresh worker hoards from zero again
    assert [s.value for s in scores[-3:]] == [1.0, 1.0, 1.0]


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    marker = f"1{uuid.uuid4().int % 10**8:08}"  # no process of another run of this test has it
    score(["file", f"orphan {marker}", "hang", "segfault", "ok"], timeout=DEADLINE)
    assert list(tmp_path.iterdir()) == []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert marker.encode() not in cmdline.read_bytes()
        except OSError:
            continue


def test_workers_end_when_the_trainer_is_killed(tmp_path):
    script = tmp_path / "trainer.py"
    script.write_text(
        "import os, sys\n"
        f"sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[2])!r}]\n"
        "from test_scorer import *\n"
        f"scorer = Scorer([VerifierSpec({OBEY!r}, timeout=100.0)], workers=2)\n"
        "print(scorer._pool._fork_server.pid, scorer._pool._folder, flush=True)\n"
        "list(scorer.score_groups([group(['hang', 'hang'])]))\n"
    )
    trainer = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    pid, folder = trainer.stdout.readline().split()
    time.sleep(0.3)
    trainer.kill()
    trainer.wait()
    trainer.stdout.close()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the fork server's end", every=0.05)
    wait_until(lambda: not Path(folder).exists(), "the end of its folder", every=0.05)
    for stat in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert folder.encode() not in stat.read_bytes()
        except OSError:
            continue


@pytest.mark.parametrize("first", [b"", COMMAND.pack(WARM, 7) + b"no such"], ids=["nobody speaks", "nonsense"])
def test_a_fork_server_that_was_told_nothing_removes_nothing(tmp_path, first):
    """The trainer was killed before its first message, or that cannot be read: there is no folder of the pool's yet."""
    (tmp_path / "mine.txt").write_text("kept")
    ours, theirs = socket.socketpair()
    boot = BOOT.format(path=sys.path, descriptor=theirs.fileno())
    server = subprocess.Popen(
        [sys.executable, "-P", "-c", boot], pass_fds=[theirs.fileno()], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    theirs.close()
    ours.sendall(first)
    ours.close()
    server.wait(HANGS)
    assert (tmp_path / "mine.txt").read_text() == "kept"


def test_an_event_of_a_worker_that_was_just_buried():
    with Scorer([VerifierSpec(OBEY)]) as scorer:
        pool = scorer._pool
        ours, theirs = socket.socketpair()
        gone = Worker(10**6, ours, bytearray(24))
        ours.close()
        theirs.close()
        pool._serve(gone, selectors.EVENT_READ)  # its death came in the same round of events
        (scored,) = scorer.score_groups([group(["ok"])])
    assert scored.scores[0].value == 1.0


def test_a_call_is_late_only_if_it_has_not_moved_at_a_second_look():
    """Where the machine stood still, the answer to a call that seems late may be on its way."""
    heartbeat = bytearray(HEARTBEAT.pack(1, 0, 0.0))
    worker = Worker(1, socket.socket(), heartbeat)
    worker.channel.close()
    assert worker.suspect(100.0) > 0
    assert worker.suspect(100.0 + 2 * SECOND_LOOK_SECONDS) <= 0
    heartbeat[:] = HEARTBEAT.pack(1, 1, float("nan"))
    assert worker.suspect(200.0) > 0
    assert worker.suspect(200.0 + 2 * SECOND_LOOK_SECONDS) <= 0


def test_a_verifier_that_kills_the_pool_is_survived():
    scores = score(["ok", "kill-parent", "ok"], workers=2, timeout=DEADLINE)
    assert [s.value for s in scores] == [1.0, 0.0, 1.0]
    assert scores[1].status in ("error", "timeout")


@pytest.mark.parametrize(
    ("text", "status"),
    [("raise", "error"), ("block", "timeout"), ("exit", "error"), ("stubborn", "timeout"), ("ok 60", "timeout")],
)
def test_async_verifiers(text, status):
    scores = score(["ok 0.01", "no", text, "ok", "no 0.01"], f"{FILE}:patient", timeout=2.0)
    assert [s.value for s in scores[:2] + scores[3:]] == [1.0, 0.0, 1.0, 0.0]
    assert all(s.counts for s in scores[:2] + scores[3:])
    assert scores[2].status == status


@pytest.mark.parametrize(("text", "status"), [("raise", "error"), ("exit", "error"), ("hang", "timeout")])
def test_one_response_does_not_spoil_a_batch(text, status):
    with Scorer([VerifierSpec(f"{FILE}:batch")]) as scorer:
        scored = list(scorer.score_groups([group(["ok", "no", "ok"]), group(["ok", text, "no"]), group(["ok"] * 5)]))
    assert [s.value for s in scored[1].scores] == [1.0, 0.0, 0.0]
    assert [s.status for s in scored[1].scores] == ["ok", status, "ok"]
    assert all(s.counts for g in (scored[0], scored[2]) for s in g.scores)


def test_a_batch_of_the_wrong_length_is_an_error_for_all_of_it():
    scores = score(["ok", "short", "ok"], f"{FILE}:batch")
    assert [s.status for s in scores] == ["error"] * 3
    assert "given 3 responses and returned 1" in scores[0].reason


def test_a_group_verifier_sees_whole_groups():
    texts = [["a", "b", "a"], ["a", "exit"], ["c"] * 20]
    with Scorer([VerifierSpec(f"{FILE}:whole_group")], workers=2) as scorer:
        scored = list(scorer.score_groups(group(members) for members in texts))
    assert [g.scores[0].value for g in scored] == [2.0, 0.0, 1.0]
    assert [{s.status for s in g.scores} for g in scored] == [{"ok"}, {"error"}, {"ok"}]


def test_a_worker_recycled_for_its_memory_blames_nobody_else():
    words = ["ok", "memory", "no", "ok"] * 30
    for word, s in zip(words, score(words, workers=2), strict=True):
        assert s.status == ("error" if word == "memory" else "ok"), s


def test_scoring_goes_on_while_the_producer_works():
    seen = []

    def slowly():
        for i in range(6):
            yield group(["ok"], name=f"t{i}")
            seen.append(i)
            time.sleep(0.05)

    with Scorer([VerifierSpec(f"{FILE}:equal")]) as scorer:
        yielded = [(g.task.id, len(seen)) for g in scorer.score_groups(slowly())]
    assert yielded[0][1] < 6  # the first was there before the last was made


def test_an_abandoned_iterator_does_not_disturb_the_next():
    with Scorer([VerifierSpec(OBEY, timeout=2.0)]) as scorer:
        iterator = scorer.score_groups(group(["ok", "hang"], name=f"t{i}") for i in range(3))
        next(iterator)
        iterator.close()
        (scored,) = scorer.score_groups([group(["ok", "no"])])
    assert [s.value for s in scored.scores] == [1.0, 0.0]


class Unpicklable:
    def __reduce__(self):
        raise TypeError("not to be sent")


class OnlyHere:
    """Workers cannot import this class: its module says so."""


def test_tasks_that_cannot_be_sent_are_errors():
    OnlyHere.__module__ = "__main__"
    sys.modules["__main__"].OnlyHere = OnlyHere
    try:
        groups = [group(["ok"], answer=Unpicklable()), group(["ok", "ok"], answer=OnlyHere()), group(["ok"])]
        with Scorer([VerifierSpec(f"{FILE}:equal")]) as scorer:
            first, second, third = scorer.score_groups(groups)
    finally:
        del sys.modules["__main__"].OnlyHere
    assert "cannot be sent to a worker: TypeError: not to be sent" in first.scores[0].reason
    assert [s.status for s in second.scores] == ["error", "error"]
    assert "OnlyHere" in second.scores[0].reason
    assert third.scores[0].value == 1.0


def test_a_task_that_cannot_be_made_there_spoils_no_other_of_its_chunk():
    class Gone:
        def __reduce__(self):
            return int, ("no number",)

    cheap = from_function(lambda response, answer: float(response == answer), name="cheap")
    answers = ["a", Gone(), "b"]
    segments = [(pickle.dumps(({"answer": a}, ["a", "b"], None)), 2) for a in answers]
    got, marks = {}, []
    replies = SimpleNamespace(emit=lambda place, score, *_: got.update({place: score}), mark=marks.append)
    assert _score(cheap, segments, replies)
    assert [got[i].status for i in range(6)] == ["ok", "ok", "error", "error", "ok", "ok"]
    assert [got[i].value for i in (0, 1, 4, 5)] == [1.0, 0.0, 0.0, 1.0]
    assert marks == [0, 1, 4, 5]


def test_workers_that_cannot_start_are_reported(monkeypatch):
    send = Pool._command

    def swapped(pool, command, content, descriptors=()):
        send(pool, command, content, list(reversed(descriptors)))

    monkeypatch.setattr(Pool, "_command", swapped)
    with (
        Scorer([VerifierSpec(f"{FILE}:equal")]) as scorer,
        pytest.raises(ScoringError, match=r"die as soon as|3 times"),
    ):
        refuse(scorer.score_groups([group(["ok"])]))


def refuse(groups):
    """Turn scores that say what went wrong into the exception that a stopped pool raises."""
    for scored in groups:
        raise ScoringError(scored.scores[0].reason)


def test_a_pool_whose_folder_is_gone_is_reported():
    with Scorer([VerifierSpec(OBEY)]) as scorer:
        list(scorer.score_groups([group(["ok"])]))  # the worker has made its own folder there
        shutil.rmtree(scorer._pool._folder)
        with pytest.raises(ScoringError, match="No such file"):
            list(scorer.score_groups([group(["exit", "ok"])]))  # the second needs a new worker


def test_two_threads_may_score_at_once():
    results = {}

    def run(name):
        results[name] = [
            [s.value for s in g.scores]
            for g in scorer.score_groups(group(["ok", name], answer=name) for _ in range(50))
        ]

    with Scorer([VerifierSpec(f"{FILE}:equal")], workers=2) as scorer:
        threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {"a": [[0.0, 1.0]] * 50, "b": [[0.0, 1.0]] * 50}


def test_workers_of_light_verifiers_do_not_import_torch():
    with Scorer([VerifierSpec(f"{FILE}:identify")]) as scorer:
        (scored,) = scorer.score_groups([group(["a"])])
    assert scored.scores[0].metrics["torch"] == 0.0
    assert scored.scores[0].metrics["pid"] != os.getpid()


def test_weights_parts_and_abstention():
    specs = [VerifierSpec(f"{FILE}:equal", weight=2.0), VerifierSpec(OBEY, weight=0.5)]
    with Scorer(specs) as scorer:
        (scored,) = scorer.score_groups([group(["ok", "no", "none", "raise"])])
        statistics = scorer.statistics()
        assert scorer.statistics() == {}
    ok, no, none, failed = scored.scores
    assert (ok.value, no.value) == (2.5, 0.0)
    assert (none.value, none.status) == (0.0, "ok")  # obey has no opinion, equal says 0
    assert failed.status == "error"
    assert scored.parts[3]["equal"].status == "ok"
    assert statistics["verifier/equal/mean"] == 0.25
    assert statistics["verifier/obey/error"] == 1
    assert statistics["verifier/obey/abstain"] == 1
    assert statistics["verifier/obey/mean"] == 0.5
    assert 0 <= statistics["verifier/equal/latency_p50"] <= statistics["verifier/equal/latency_p95"]


def test_the_total_abstains_when_all_parts_do():
    assert score(["none"])[0].status == "abstain"


def test_a_task_may_name_its_verifier():
    with Scorer([VerifierSpec(OBEY), VerifierSpec("number")]) as scorer:
        scored = list(
            scorer.score_groups(
                [
                    group(["#### 4", "#### 5"], answer=4, meta={"verifier": "number"}),
                    group(["ok", "x"], answer=4),
                    group([r"ok"], meta={"verifier": "obey"}),
                ]
            )
        )
    assert [list(g.parts[0]) for g in scored] == [["number"], ["obey", "number"], ["obey"]]
    assert [s.value for s in scored[0].scores] == [1.0, 0.0]


def test_a_data_set_has_its_own_verifiers_weights_and_judge():
    """A verifier that two of them name is loaded once, with a weight for each; who only judges is no part of the reward."""
    equal = f"{FILE}:equal"
    sets = {
        "a": OfDataSet([VerifierSpec(equal, weight=3.0)], judge=VerifierSpec(OBEY)),
        "b": OfDataSet([VerifierSpec(OBEY, weight=0.5), VerifierSpec(equal, weight=2.0)], judge=VerifierSpec(equal)),
    }
    with Scorer([VerifierSpec(OBEY)], data_sets=sets) as scorer:
        assert sorted(scorer.versions()) == ["equal", "obey"]
        groups = [group(["ok", "no"]) for _ in range(3)]
        for one, name in zip(groups, ("a", "b", ""), strict=True):
            one.task = replace(one.task, data_set=name)
        a, b, other = scorer.score_groups(groups)
    assert [s.value for s in a.scores] == [3.0, 0.0]
    assert [s.value for s in b.scores] == [2.5, 0.0]
    assert [s.value for s in other.scores] == [1.0, 0.0]
    assert (a.judge, a.mark) == ("obey", "equal")  # a judge that nobody named looks on
    assert (b.judge, b.mark) == ("equal", "equal")
    assert list(other.parts[0]) == ["obey"]
    assert list(a.parts[0]) == ["equal", "obey"]


def test_a_data_set_cannot_name_a_verifier_twice():
    sets = {"a": OfDataSet([VerifierSpec(OBEY), VerifierSpec(OBEY, weight=2.0)])}
    with pytest.raises(VerifierError, match="given twice"):
        Scorer([VerifierSpec(OBEY)], data_sets=sets)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("os:system", "does not list"),
        ("number", "it lists .*obey"),  # shipped, and still not what the recipe asked for
        ("reasoning_gym", "does not list"),
        ("compose", "does not list"),
        (3, "3"),
    ],
)
def test_a_task_cannot_name_a_verifier_that_the_recipe_does_not_list(name, message):
    with Scorer([VerifierSpec(OBEY)]) as scorer, pytest.raises(VerifierError, match=message):
        list(scorer.score_groups([group(["ok"], meta={"verifier": name})]))


def test_a_verifier_that_keeps_failing_stops_the_run(tmp_path):
    with Scorer([VerifierSpec(OBEY)], error_patience=2, traceback_dir=tmp_path / "tracebacks") as scorer:
        list(scorer.score_groups([group(["raise", "raise", "ok"])]))
        list(scorer.score_groups([group(["ok"])]))  # a good step in between forgives
        list(scorer.score_groups([group(["raise"])]))
        with pytest.raises(ScoringError, match=r"'obey' failed on 67%.*ValueError: boom"):
            list(scorer.score_groups([group(["raise", "raise", "ok"])]))
        with pytest.raises(ScoringError):
            list(scorer.score_groups([group(["ok"])]))
    text = (tmp_path / "tracebacks" / "obey.txt").read_text()
    assert "Traceback (most recent call last)" in text
    assert 'raise ValueError("boom")' in text
    assert "completion 0" in text


def test_an_import_error_shows_the_users_own_traceback(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("import does_not_exist\ndef check(response): return 1\n")
    with pytest.raises(ModuleNotFoundError, match="does_not_exist"):
        Scorer([VerifierSpec(f"{broken}:check")])


def test_the_same_verifier_twice():
    with pytest.raises(VerifierError, match="twice"):
        Scorer([VerifierSpec("format"), VerifierSpec("format")], workers=0)
    specs = [VerifierSpec("format"), VerifierSpec("format", options={"shape": "boxed"})]
    with Scorer(specs, workers=0) as scorer:
        ((_, parts),) = scorer.score_completions(group([]).task, group([r"\boxed{1}"]).completions)
    assert {name: part.value for name, part in parts.items()} == {"format": 0.0, "format_2": 1.0}


def test_a_verifier_that_workers_cannot_find():
    try:

        @verifier(name="nested")
        def nested(response):
            return 1.0

        with pytest.raises(VerifierError, match=r"workers=0"):
            Scorer([VerifierSpec("nested")])
        with Scorer([VerifierSpec("nested")], workers=0) as scorer:
            assert scorer.score_completions(group([]).task, group(["x"]).completions)[0][0].value == 1.0
    finally:
        REGISTRY.pop("nested", None)


def test_no_completions_and_no_verifiers():
    with Scorer([VerifierSpec("format")]) as scorer:
        assert scorer.score_completions(group([]).task, []) == []
    with pytest.raises(VerifierError, match="at least one"):
        Scorer([])


@pytest.mark.parametrize("name", ["signalled", "signalled_batch", "signalled_async"])
def test_a_signal_in_the_trainers_own_thread_gives_up_the_step_and_is_no_verdict(name):
    """Without workers a signal may come while a verifier runs: nothing of such a step may be learned."""
    with Scorer([VerifierSpec(f"{FILE}:{name}")], workers=0) as scorer, stop_on_signal(60.0) as stop:
        with pytest.raises(StopStep), stop.abandonable():
            list(scorer.score_groups([group(["a", "stop", "b"])]))
        (scored,) = scorer.score_groups([group(["a", "b"])])
        assert [s.value for s in scored.scores] == [1.0, 1.0]
