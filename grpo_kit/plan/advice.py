"""Does it fit, and if not, which smallest change of the recipe makes it fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from .memory import GIB, Setting, memory_of

USABLE = 0.95  # of a device: fragmentation takes the rest
LORA_RANK = 16
MOST_DEVICES = 1024
MOST_TOGETHER = 3


@dataclass(frozen=True, slots=True)
class Change:
    """What to write into the recipe or on the command line, and the peak of a device with it, in bytes."""

    text: str
    peak: int


def fits(setting: Setting) -> bool:
    return memory_of(setting).peak <= USABLE * setting.device_bytes and engine_room(setting) > 0


def engine_room(setting: Setting) -> int:
    """Bytes for vLLM's cache in process, less those of one sequence of full length; positive where it can work."""
    if setting.engine != "vllm" or setting.device != "cuda":
        return 1
    shape = setting.shape
    one = 2 * 2 * shape.layers * shape.key * setting.length
    return int(setting.engine_share * setting.device_bytes) - 2 * shape.parameters - one


def changes_that_fit(setting: Setting) -> list[Change]:
    """Changes that are enough: single ones, the least costly first; two or three together where no fewer are."""
    tried = [("", setting)]
    for _ in range(MOST_TOGETHER):
        tried = [(f"{texts} {text}".strip(), both) for texts, one in tried for text, both in _candidates(one)]
        enough = {frozenset(text.split(" ")): Change(text, memory_of(s).peak) for text, s in tried if fits(s)}
        if enough:
            return sorted(enough.values(), key=lambda change: "--gpus" in change.text)[:5]
    return []


def _candidates(setting: Setting) -> Iterator[tuple[str, Setting]]:
    """Single changes, mildest first. Of a number, the mildest value that fits, or else the strongest there is."""
    yield from _mildest(
        [
            (f"train.token_budget={budget}", replace(setting, micro_batch=budget))
            for budget in (setting.micro_batch >> shift for shift in range(1, 12))
            if budget >= setting.length
        ],
    )
    if setting.engine == "torch":
        halves = [setting.rows >> shift for shift in range(1, 12) if setting.rows >> shift >= setting.fewest_rows]
        yield from _mildest([(f"rollout.max_rows={rows}", replace(setting, rows=rows)) for rows in halves])
    if not setting.checkpointing:
        yield "parallel.gradient_checkpointing=true", replace(setting, checkpointing=True)
    if setting.engine == "vllm":
        shares = [share for share in (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1) if share != setting.engine_share]
        shares.sort(key=lambda share: abs(share - setting.engine_share))
        changed = [replace(setting, engine_share=share) for share in shares]
        named = [f"rollout.vllm.memory_fraction={share:g}" for share in shares]
        yield from _mildest(list(zip(named, changed, strict=True)))
    if setting.lora_rank is None:
        yield f"model.lora.rank={LORA_RANK}", replace(setting, lora_rank=LORA_RANK, reference=False)
    if setting.device == "cpu":
        return
    more = [setting.devices << shift for shift in range(1, 11) if setting.devices << shift <= MOST_DEVICES]
    size = setting.device_bytes // GIB
    yield from _mildest([(f"--gpus={n}x{size}GB", replace(setting, devices=n)) for n in more])


def _mildest(steps: list[tuple[str, Setting]]) -> Iterator[tuple[str, Setting]]:
    fitting = [step for step in steps if fits(step[1])]
    if fitting or steps:
        yield (fitting or steps[-1:])[0]
