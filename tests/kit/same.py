"""Whether two runs are the same run."""

from grpo_kit.stress.subjects import same_run


def assert_equal(run, expected):
    assert same_run(run, expected) is None
    assert not [p for p in run.rglob("*") if p.name.startswith(".writing") or p.suffix == ".tmp"]
