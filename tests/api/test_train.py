"""`grpo_kit.train` is the command: same run, bit for bit; and what a program needs beside it."""

import json
import signal
import threading

import numpy
import pytest

import grpo_kit
from grpo_kit.stress.subjects import write_procedural
from tests.kit.same import assert_equal


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return write_procedural(tmp_path_factory.mktemp("recipe"), steps=4)


@pytest.fixture(scope="module")
def straight(recipe, tmp_path_factory):
    return grpo_kit.train(recipe, run_dir=tmp_path_factory.mktemp("runs") / "straight", progress=False)


def test_it_is_the_run_of_the_command(recipe, straight, grpo_kit, tmp_path):
    done = grpo_kit("train", recipe, "--run-dir", tmp_path / "command")
    assert done.returncode == 0, done.stderr
    assert_equal(straight.path, tmp_path / "command")
    written = [(run / "config.yaml").read_text() for run in (straight.path, tmp_path / "command")]
    assert written[0] == written[1]


def test_it_prints_what_the_command_prints_or_nothing(recipe, tmp_path, capfd):
    grpo_kit.train(recipe, run_dir=tmp_path / "quiet", progress=False, train__steps=1)
    assert capfd.readouterr().out == ""
    grpo_kit.train(recipe, run_dir=tmp_path / "told", train__steps=1)
    said = capfd.readouterr().out
    assert "grpo 1/1" in said
    assert "Next:" in said


def test_two_runs_one_after_another_are_the_same(recipe, straight, tmp_path):
    again = grpo_kit.train(recipe, run_dir=tmp_path / "again", progress=False)
    assert_equal(again.path, straight.path)


def test_a_thread_trains_and_touches_no_handler(recipe, straight, tmp_path):
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    found = {}

    def work():
        found["during"] = []
        found["run"] = grpo_kit.train(
            recipe,
            run_dir=tmp_path / "thread",
            progress=False,
            on_step=lambda metrics: found["during"].append([signal.getsignal(number) for number in numbers]),
        )

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert_equal(found["run"].path, straight.path)
    assert found["during"] == [before] * 4


def test_handlers_of_the_main_thread_are_given_back(recipe, tmp_path):
    before, during = signal.getsignal(signal.SIGINT), []
    grpo_kit.train(
        recipe,
        run_dir=tmp_path / "run",
        progress=False,
        train__steps=1,
        on_step=lambda metrics: during.append(signal.getsignal(signal.SIGINT)),
    )
    assert signal.getsignal(signal.SIGINT) is before
    assert during[0] is not before


def test_a_callback_stops_a_run_that_goes_on_exactly(recipe, straight, tmp_path):
    heard = []

    def stop_after_three(metrics):
        heard.append(metrics["step"])
        return metrics["step"] == 3

    stopped = grpo_kit.train(recipe, run_dir=tmp_path / "run", progress=False, on_step=stop_after_three)
    assert (stopped.stopped, stopped.finished, stopped.step, heard) == (True, False, 3, [1, 2, 3])
    assert stopped.checkpoints[-1].step == 3
    went_on = grpo_kit.train(recipe, run_dir=tmp_path / "run", progress=False, resume=True, on_step=heard.append)
    assert went_on.finished
    assert not went_on.stopped
    assert_equal(went_on.path, straight.path)


def test_a_callback_hears_evaluations_and_stops_at_one(recipe, tmp_path):
    heard = []

    def stop(metrics):
        heard.append((metrics["step"], metrics["eval/sampled"]))
        return numpy.int64(metrics["step"]) == 3  # numpy's own True

    run = grpo_kit.train(recipe, run_dir=tmp_path / "run", progress=False, on_evaluation=stop)
    assert [step for step, _ in heard] == [0, 3]
    assert run.stopped
    assert [line["eval/sampled"] for line in run.evaluations] == [value for _, value in heard]


def test_what_a_callback_raises_is_raised_once_the_run_is_saved(recipe, straight, tmp_path):
    def fail(metrics):
        if metrics["step"] == 2:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        grpo_kit.train(recipe, run_dir=tmp_path / "run", progress=False, on_step=fail)
    assert grpo_kit.load_run(tmp_path / "run").checkpoints[-1].step == 2
    went_on = grpo_kit.train(recipe, run_dir=tmp_path / "run", progress=False, resume="auto")
    assert_equal(went_on.path, straight.path)


def test_a_signal_leaves_a_saved_run_and_an_exception(recipe, tmp_path):
    def interrupt(metrics):
        if metrics["step"] == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(grpo_kit.Interrupted) as stop:
        grpo_kit.train(recipe, run_dir=tmp_path / "run", progress=False, on_step=interrupt)
    assert (stop.value.saved, stop.value.run) == (2, tmp_path / "run")


def test_one_run_at_a_time(recipe, tmp_path):
    def second(metrics):
        grpo_kit.train(recipe, run_dir=tmp_path / "second", progress=False)

    with pytest.raises(grpo_kit.UserError, match="a run is under way"):
        grpo_kit.train(recipe, run_dir=tmp_path / "first", progress=False, on_step=second)
    assert not (tmp_path / "second").exists()


def test_bad_input_is_one_error_and_nothing_is_written(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments, said in [
        ({"train__stepz": 3}, "train.stepz.*Did you mean steps"),
        ({"overrides": {"rollout": {"temperature": -1}}}, "rollout.temperature"),
        ({"overrides": "train.steps=3"}, "is one text"),
        ({"resume": True}, "needs --run-dir"),
        ({"on_step": 3}, "on_step: 3 is no function"),
        ({"verifiers": [{"name": lambda response: 1.0}]}, "stands in no file"),
    ]:
        with pytest.raises(grpo_kit.UserError, match=said):
            grpo_kit.train(recipe, progress=False, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_stuck_run_in_a_thread_fails_and_the_process_lives(recipe, tmp_path):
    """The watchdog has no signal for a thread, and no right to end a process that is not its own."""
    found, waiting = {}, threading.Event()

    def hang(metrics):
        while not waiting.wait(0.01):
            pass

    def work():
        try:
            grpo_kit.train(recipe, run_dir=tmp_path / "run", progress=False, on_step=hang, limits__other=1e-5)
        except grpo_kit.RunFailed as error:
            found["error"] = str(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    waiting.set()
    assert found["error"].startswith("stuck: waited")


def test_stages_end_with_the_run_of_the_last(recipe, tmp_path):
    common = grpo_kit.Recipe(recipe, train__steps=1).data
    chain = common | {"stages": {"one": {"seed": 1}, "two": {"model": {"path": "{one}/model", "scratch": None}}}}
    run = grpo_kit.train(chain, run_dir=tmp_path / "chain", progress=False)
    assert run.path == tmp_path / "chain" / "two"
    assert run.finished
    with pytest.raises(grpo_kit.UserError, match=r"several stages.*one.*two"):
        grpo_kit.load_run(tmp_path / "chain")


def test_metrics_are_those_of_the_file(straight):
    assert straight.metrics == [json.loads(line) for line in (straight.path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in straight.steps] == [1, 2, 3, 4]
