"""`environment.executor: ray` on two nodes: episodes go as they go here, also when a node dies in the middle of them."""

import pytest

from grpo_kit.environments import EnvironmentSpec
from grpo_kit.environments.lookup import Address
from grpo_kit.environments.pool import EnvironmentFailed
from grpo_kit.errors import UserError
from grpo_kit.scoring import Cluster
from tests.kit.patience import wait_until
from tests.kit.ray_cluster import kill_node, open_cluster
from tests.kit.said import heard, open_episodes, play, prepared, said, task

pytestmark = pytest.mark.slow

FILE = '''
import time
from grpo_kit.environments import Done, environment

@environment(name="drawing_ray", turns=8)
class Drawing:
    """Draws a number for every turn, and does what it is told."""

    def begin(self, random):
        self.random, self.count = random, 0
        return f"Begins with {random.randrange(1000)}."

    def reply(self, response):
        self.count += 1
        if response == "hang":
            time.sleep(1e6)
        if response == "raise":
            raise ValueError("boom")
        if response.startswith("done"):
            return Done(float(self.count))
        return f"turn {self.count} draws {self.random.randrange(10**6)}"
'''
CALM = ["a", "b", "c", "done"]
KEYS = [(name, sample) for name in ("s", "t", "u") for sample in range(4)]


@pytest.fixture(scope="module")
def cluster():
    yield from open_cluster()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    file = tmp_path_factory.mktemp("environment") / "drawing.py"
    file.write_text(FILE)
    return Address(EnvironmentSpec(f"{file}:Drawing").located())


def opened(address, cluster=None, **settings):
    where = {} if cluster is None else {"cluster": Cluster(cluster.address)}
    return open_episodes(address, arguments=where, **settings)


def tasks(episodes):
    return prepared(episodes, [task(name) for name in ("s", "t", "u")])


def answers(ends):
    return {key: (end.ending, end.outcome, heard(end)) for key, end in ends.items()}


def test_files_travel_and_what_fails_costs_its_own_episode(cluster, address):
    scripts = dict.fromkeys(KEYS, CALM)
    with opened(address) as episodes, episodes.open_round(tasks(episodes)) as replies:
        expected = answers(play(replies, scripts))
    harmed = {("s", 8): ["a", "hang"], ("t", 8): ["a", "raise"]}
    with opened(address, cluster, timeout=3.0) as episodes:
        with episodes.open_round(tasks(episodes)) as replies:
            found = answers(play(replies, {**scripts, **harmed}))
        statistics = episodes.statistics()
    assert {key: found[key] for key in KEYS} == expected
    assert [found[key][1].status for key in harmed] == ["timeout", "error"]
    assert "boom" in found["t", 8][1].reason
    assert statistics["environment/nodes"] == 2
    assert (statistics["environment/timeout"], statistics["environment/error"]) == (1, 1)


def test_another_version_on_a_node_is_refused(cluster, address):
    from grpo_kit.environments.cluster import ClusterEpisodes
    from grpo_kit.environments.players import Wanted

    with pytest.raises(EnvironmentFailed, match=r"is of version 1-.* on this node and 2 where the run was started"):
        ClusterEpisodes(Wanted(1, 0, address, 10.0, {}), "2", cluster.address)


def test_no_cluster_is_said_before_anything_starts(address):
    pytest.importorskip("ray")
    with pytest.raises(UserError, match=r"no Ray cluster answers at 127\.0\.0\.1:1"):
        open_episodes(address, arguments={"cluster": Cluster("127.0.0.1:1")})


def test_without_any_node_left_the_round_fails(cluster, address):
    import ray

    with opened(address, cluster) as episodes, episodes.open_round(tasks(episodes)) as replies:
        for spot in list(episodes.rules.pool._spots):
            ray.kill(spot.place.actor)
        with pytest.raises(EnvironmentFailed, match="every node of the Ray cluster was lost"):
            play(replies, dict.fromkeys(KEYS, CALM))


def test_a_node_that_dies_costs_its_episodes_nothing(cluster, address):
    """The last test of this cluster."""
    with opened(address) as episodes, episodes.open_round(tasks(episodes)) as replies:
        expected = answers(play(replies, dict.fromkeys(KEYS, CALM)))
    with opened(address, cluster) as episodes:
        pool = episodes.rules.pool
        with episodes.open_round(tasks(episodes)) as replies:
            came = {}
            for number, turn in enumerate(CALM):
                for key in KEYS:
                    replies.submit(said(*key, number, turn))
                if number == 1:
                    kill_node(cluster)
                came = {}
                while len(came) < len(KEYS):
                    came |= {(reply.task_id, reply.sample_index): reply for reply in replies.take(wait=True)}
            wait_until(lambda: len(pool._spots) == 1, "the loss is noticed")
        statistics = episodes.statistics()
    assert answers(came) == expected
    assert (statistics["environment/nodes"], statistics["environment/lost_nodes"]) == (1, 1)
    assert statistics["environment/replayed"] > 0
    assert statistics["environment/error"] == statistics["environment/timeout"] == 0
