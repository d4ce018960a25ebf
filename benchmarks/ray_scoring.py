"""10,000 sandboxed programs over a Ray cluster of two nodes on this machine, one of which is killed half-way.

python benchmarks/ray_scoring.py [--programs 10000]

Every score must be there and equal to that of the local pool. Writes benchmarks/results/ray_scoring.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from grpo_kit.scoring import Cluster, Scorer
from tests.kit.ray_cluster import kill_node, open_cluster
from tests.kit.ray_scoring import CODE, SIZE, programs, scores

RESULTS = Path(__file__).parent / "results" / "ray_scoring.json"


def judge(groups: int, cluster: Any = None) -> tuple[dict[str, Any], dict[str, float], float]:
    """Scores, statistics and seconds; with a cluster, one node is killed when half of the groups are back."""
    begun = time.perf_counter()
    found, total = {}, {}
    where = None if cluster is None else Cluster(cluster.address)
    with Scorer([CODE], workers=1 if cluster else 2, cluster=where) as scorer:
        for number, group in enumerate(scorer.score_groups(programs(groups)), start=1):
            found |= scores([group])
            if cluster is not None and number == groups // 2:
                kill_node(cluster)
        total = scorer.statistics()
    return found, total, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=10_000)
    groups = parser.parse_args().programs // SIZE
    expected, _, local = judge(groups)
    for cluster in open_cluster():
        found, statistics, spread = judge(groups, cluster)
    result = {
        "programs": groups * SIZE,
        "scored": sum(map(len, found.values())),
        "different_from_local": sum(found[task] != expected[task] for task in expected),
        "seconds_local": round(local, 1),
        "seconds_cluster": round(spread, 1),
        **{name: value for name, value in statistics.items() if name.startswith("scoring/")},
    }
    print(json.dumps(result, indent=1))
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
