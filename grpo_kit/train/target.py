"""A target network: what is bootstrapped from in place of the networks that learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

from grpo_kit.policy.weights import Weighted


class Followed(Protocol):
    """Networks that a copy of them can follow."""

    def parts(self) -> Mapping[str, Weighted]: ...


Networks = TypeVar("Networks", bound=Followed)


class TargetNetwork(Generic[Networks]):
    """The networks of some optimizer steps ago, or an average of the past, which change more slowly than those that learn.

    A value that is moved towards itself one token later runs after its own tail; towards a network that stands still it
    arrives (arXiv:1312.5602; averaged, arXiv:1509.02971).
    """

    def __init__(self, networks: Networks, still: Networks, rate: float, every: int) -> None:
        self.networks, self.still, self.rate, self.every = networks, still, rate, every
        self.age, self.moved = 0, False

    def follow(self) -> None:
        """Count an optimizer step, and move where it is time."""
        self.age += 1
        if self.age < self.every:
            return
        self.age, self.moved = 0, True
        learning = self.networks.parts()
        for name, network in self.still.parts().items():
            network.follow(learning[name], self.rate)

    def state_dict(self) -> dict[str, Any]:
        """Before they moved the networks are copies of what training starts from, and need no place."""
        parts = self.still.parts().items()
        weights = {name: network.snapshot() if self.moved else None for name, network in parts}
        return {"age": self.age, "moved": self.moved, **weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.age, self.moved = state["age"], state["moved"]
        if self.moved:
            for name, network in self.still.parts().items():
                network.restore(state[name])
