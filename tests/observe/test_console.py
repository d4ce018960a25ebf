"""The bar of a stage: what is done, and what is under way."""

import io

from rich.console import Console

from grpo_kit.observe.console import RunConsole


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_what_is_under_way_moves_the_bar_and_is_not_called_done():
    screen = Screen()
    console = RunConsole(Console(file=screen, force_terminal=True, width=100, legacy_windows=False, _environ={}))
    with console.stage("evaluating", 40) as stage:
        stage.under_way(10.5)
        (task,) = stage.progress.tasks
        assert (task.completed, task.fields["done"]) == (10.5, 0)
        stage.progress.refresh()
        assert " 0/40" in screen.getvalue()
        stage.advance(4, {"right so far": "50.0%"})
        assert (task.completed, task.fields["done"]) == (10.5, 4)  # never back
        stage.under_way(30.0)
        assert task.completed == 34.0
        stage.progress.refresh()
        assert " 4/40" in screen.getvalue()
    assert "right so far 50.0%" in screen.getvalue()


def test_what_is_under_way_is_no_line_of_a_log():
    log = io.StringIO()
    with RunConsole(Console(file=log, width=100)).stage("evaluating", 4) as stage:
        stage.under_way(2.0)
        stage.advance(4, {})
    assert log.getvalue().splitlines() == ["evaluating 4/4"]


def test_what_goes_on_aside_has_a_bar_of_its_own_while_it_lasts():
    screen = Screen()
    console = RunConsole(Console(file=screen, force_terminal=True, width=100, legacy_windows=False, _environ={}))
    with console.stage("grpo", 10) as stage:
        with stage.aside("evaluation", 400) as told:
            told(123.0)
            stage.progress.refresh()
            during = screen.getvalue()
        seen = len(screen.getvalue())
        stage.progress.refresh()
        assert "evaluation" not in screen.getvalue()[seen:]
    assert "evaluation" in during
    assert "123/400" in during
