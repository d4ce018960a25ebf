"""Several training processes sample ahead on one real vLLM server, which is killed."""

import json
import threading

import pytest

from tests.kit.optional import needs_clusters
from tests.kit.rollouts import sampled_rows
from tests.kit.shared_servers import kill_after_the_first_step, train


@pytest.mark.slow
@pytest.mark.parametrize("update", ["wait", pytest.param("in_flight", marks=needs_clusters)])
def test_two_ranks_sample_ahead_on_one_server_that_is_killed(update, tmp_path):
    folder, killed = tmp_path / "run", threading.Event()
    ahead = ("rollout.max_staleness=1", f"rollout.vllm.update={update}", "train.steps=8", "rollout.max_tokens=48")
    port, go = train(folder, 2, *ahead)
    threading.Thread(target=kill_after_the_first_step, args=(folder, port, killed), daemon=True).start()
    done = go()
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert killed.is_set()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["policy_version"] for line in lines] == list(range(1, 9))
    assert max(line["staleness/max"] for line in lines) == 1
    assert all(0 <= line.get("mismatch/probe", 0) < 1e-4 for line in lines)
    # Step s learns on version s - 1, and from nothing that is more than one version older.
    assert len(sampled_rows(folder)) == 8 * 4 * 4
    assert all(step - 2 <= version <= step - 1 for step, *_, version in sampled_rows(folder))
