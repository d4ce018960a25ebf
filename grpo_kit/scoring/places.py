"""An actor of ours on every node of a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from grpo_kit.errors import UserError

SECONDS_TO_START = 120.0
SECONDS_TO_CLOSE = 10.0


class Place:
    """One node of the cluster, as the trainer sees it.

    Attributes:
        under_way: what was sent there and has not come back.
    """

    def __init__(self, number: int, name: str, actor: Any) -> None:
        self.number, self.name, self.actor = number, name, actor
        self.under_way: set[Any] = set()


def open_places(ray: Any, kind: type, arguments: Sequence[Any], threads: int, option: str) -> list[Place]:
    """Make an object of a class on every node that has a CPU.

    Args:
        kind: has ``kit_version()`` and ``close()``. arguments: of its making.
        threads: how many calls of one run at a time.
        option: of the recipe, for messages.

    Raises:
        UserError: there is no such node, or one has another version of the kit.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    import grpo_kit

    actor, places = ray.remote(kind), list[Place]()
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("CPU"):
            fixed = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            settings = {"num_cpus": 0, "max_concurrency": threads, "max_restarts": 0, "scheduling_strategy": fixed}
            made = actor.options(**settings).remote(*arguments)
            places.append(Place(len(places), f"{node['NodeName']} ({node['NodeID'][:8]})", made))
    if not places:
        raise UserError(f"{option} ray: the cluster has no node with a CPU")
    versions = ray.get([p.actor.kit_version.remote() for p in places], timeout=SECONDS_TO_START)
    for place, version in zip(places, versions, strict=True):
        if version != grpo_kit.__version__:
            raise UserError(
                f"{option} ray: node {place.name} has grpo-kit {version}, and this is {grpo_kit.__version__}; install the "
                "same on every node"
            )
    return places


def close_places(ray: Any, places: Sequence[Place]) -> None:
    """A node that is gone has nothing left to close."""
    for place in places:
        with suppress(ray.exceptions.RayError):
            ray.get(place.actor.close.remote(), timeout=SECONDS_TO_CLOSE)
        ray.kill(place.actor)


def kit_version() -> str:
    import grpo_kit

    return grpo_kit.__version__


def file_text(source: str) -> str | None:
    """What a node without the driver's disk needs of something that stands in a file; None of what is installed."""
    return Path(source).read_text(encoding="utf-8") if source.endswith(".py") else None


def file_here(source: str, text: str, folder: Path) -> str:
    """The path of a file that came along as a text, unless the very same one is here. folder: for this file alone."""
    path = Path(source)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return source
    target = folder / path.name
    target.parent.mkdir(exist_ok=True, parents=True)
    target.write_text(text, encoding="utf-8")
    return str(target)
