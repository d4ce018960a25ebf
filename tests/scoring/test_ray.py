"""`scoring.executor: ray` on two nodes: the scores are those of the local pool, also when a node dies half-way."""

from collections import deque

import pytest

from grpo_kit.errors import UserError
from grpo_kit.scoring import Cluster, Scorer, ScoringError, VerifierSpec
from tests.kit.ray_cluster import kill_node, open_cluster
from tests.kit.ray_scoring import CODE, SIZE, group, programs, scores

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    yield from open_cluster()


def score(groups, cluster=None, spec=CODE, hand_out=lambda pool, groups: groups):
    with Scorer([spec], workers=1, cluster=cluster) as scorer:
        found = list(scorer.score_groups(hand_out(scorer._pool, groups)))
        return scores(found), scorer.statistics()


def test_verifiers_in_files_travel_and_hang_only_for_their_deadline(cluster, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import time\nfrom grpo_kit.verifiers import verifier\n\n@verifier(name='mine_ray')\ndef mine(response):\n"
        "    if response == 'hang':\n        time.sleep(1e6)\n    if response == 'fail':\n        raise ValueError('no')\n"
        "    return response == 'yes'\n"
    )
    texts = ["yes", "no", "hang", "fail"]
    found, statistics = score(
        [group(1, texts, answer="")], Cluster(cluster.address), spec=VerifierSpec(f"{file}:mine", timeout=1.0)
    )
    assert found["1"] == [(1.0, "ok"), (0.0, "ok"), (0.0, "timeout"), (0.0, "error")]
    assert (statistics["verifier/mine_ray/timeout"], statistics["verifier/mine_ray/error"]) == (1, 1)


def test_a_signal_is_still_for_the_run(cluster):
    """Ray would answer SIGTERM with an exit of its own."""
    import signal

    before = signal.getsignal(signal.SIGTERM)
    with Scorer([VerifierSpec("exact")], workers=1, cluster=Cluster(cluster.address)):
        assert signal.getsignal(signal.SIGTERM) is before


def test_without_any_node_left_scoring_stops(cluster):
    import ray

    with Scorer([CODE], workers=1, cluster=Cluster(cluster.address)) as scorer:

        def kill(_seen):
            for place in list(scorer._pool._places):
                ray.kill(place.actor)

        with pytest.raises(ScoringError, match="every node of the Ray cluster was lost"):
            deque(map(kill, scorer.score_groups(programs(400))))


def test_no_cluster_is_said_before_anything_starts():
    pytest.importorskip("ray")
    with pytest.raises(UserError, match=r"no Ray cluster answers at 127\.0\.0\.1:1"):
        Scorer([VerifierSpec("exact")], workers=1, cluster=Cluster("127.0.0.1:1"))


def test_sandboxed_programs_on_two_nodes_of_which_one_dies(cluster):
    """The last test of this cluster."""
    count = 60
    expected, _ = score(programs(count))
    assert {v for group in expected.values() for v, s in group if s == "ok"} == {0.0, 1.0}
    where = Cluster(cluster.address)

    found, statistics = score(programs(count), where)
    assert found == expected
    spread = [v for name, v in statistics.items() if name.startswith("scoring/node_")]
    assert len(spread) == 2
    assert min(spread) > 0
    assert sum(spread) == count * SIZE

    def kill_half_way(pool, groups):
        """No answer is taken in before the node is dead: it had work, and more waits, however fast all of it is."""
        groups = list(groups)
        yield from groups[: count // 2]
        with pool._lock:
            yield from groups[count // 2 :]
            kill_node(cluster)

    found, statistics = score(programs(count), where, hand_out=kill_half_way)
    assert found == expected
    assert statistics["scoring/lost_nodes"] == 1
    assert statistics["scoring/nodes"] == 1
    assert statistics["scoring/moved_groups"] > 0
    assert statistics["verifier/code/count"] == count * SIZE
