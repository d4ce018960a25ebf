"""cgroup v2 handling, on folders that look like it."""

from __future__ import annotations

import pytest

from grpo_kit.sandbox import SandboxError
from grpo_kit.sandbox.host.cgroup import Cgroup, missing


@pytest.fixture
def tree(tmp_path):
    mount, listing = tmp_path / "cgroup", tmp_path / "self"
    group = mount / "user" / "trainer"
    group.mkdir(parents=True)
    listing.write_text("1:cpu:/elsewhere\n0::/user/trainer\n")
    for folder in (mount, group):
        (folder / "cgroup.controllers").write_text("cpu memory pids\n")
        (folder / "cgroup.subtree_control").write_text("memory pids\n")
    return mount, listing, group


def test_limits_and_membership_are_written(tree):
    mount, listing, group = tree
    assert missing(mount, listing) == ""
    made = Cgroup.create(mount, listing)
    assert made.path.parent == group
    made.set(256, 8)
    made.add(4321)
    read = {f.name: f.read_text() for f in made.path.iterdir()}
    assert read["memory.max"] == str(256 << 20)
    assert read["pids.max"] == "8"
    assert read["cgroup.procs"] == "4321"


def test_a_missing_controller_is_named(tree):
    mount, listing, group = tree
    (group / "cgroup.controllers").write_text("cpu memory\n")
    assert "pids" in missing(mount, listing)
    with pytest.raises(SandboxError, match="lacks the controllers pids"):
        Cgroup.create(mount, listing)


def test_version_one_is_named(tmp_path):
    assert "cgroup v2" in missing(tmp_path, tmp_path / "self")
