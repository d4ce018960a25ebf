"""One judged completion, as it stands in ``samples.jsonl``, and the file itself."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.observe.episode_record import read_ending, read_inserted, read_messages, read_turns
from grpo_kit.runtime.scratch_file import scratch_beside
from grpo_kit.types import Completion, Ending, Message, Score, Task, Turn, is_right

GREEDY = -1  # the sample index of the greedy answer
SAMPLES_FILE = "samples.jsonl"
RESULTS_FILE = "results.json"
Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Record:
    """A completion with its verdict. (task, id, sample) is its key; sample -1 is the greedy answer.

    Attributes:
        answer: the gold answer as the verifier was given it.
        value, status, extracted, reason: the verifier's `Score`; value >= 1 is right, and a status other than ``ok``
            is neither right nor wrong.
        finish: ``stop``, ``length`` (cut by the limit) or ``""`` (not known).
        token_ids, logprobs: what the engine sampled; empty for text that came from a file.
        metrics: the verifier's own numbers; not written where there are none.
        label: an existing verdict from the file that was re-scored.
        inserted, turns, ending: of an episode, as its `Completion` has them.
        messages: of an episode, what stood before its first turn.
    """

    task: str
    id: str
    sample: int
    prompt: str
    answer: Any
    response: str
    value: float
    status: str
    extracted: str | None = None
    reason: str = ""
    finish: str = ""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    label: bool | None = None
    inserted: tuple[tuple[int, tuple[int, ...]], ...] = ()
    turns: tuple[Turn, ...] = ()
    ending: Ending | None = None
    messages: tuple[Message, ...] = ()

    @property
    def key(self) -> Key:
        return self.task, self.id, self.sample

    @property
    def counts(self) -> bool:
        return self.status == "ok"

    @property
    def right(self) -> bool:
        return is_right(self.status, self.value)

    def to_json(self) -> str:
        fields = {name: getattr(self, name) for name in FIELDS}
        if self.label is None:
            del fields["label"]
        if not self.metrics:
            del fields["metrics"]
        if self.turns:
            fields["turns"] = [dataclasses.asdict(turn) for turn in self.turns]
        else:
            fields = {name: value for name, value in fields.items() if name not in EPISODE}
        return json.dumps(fields, ensure_ascii=False, default=str)

    @classmethod
    def judged(cls, name: str, task: Task, completion: Completion, score: Score, *, greedy: bool = False) -> Record:
        """A completion of a task with its judge's score. name: of the evaluation task."""
        return cls(
            task=name,
            id=completion.task_id,
            sample=GREEDY if greedy else completion.sample_index,
            prompt=task.prompt,
            answer=task.answer,
            response=completion.text,
            value=score.value,
            status=score.status,
            extracted=score.extracted,
            reason=score.reason,
            finish=completion.finish_reason,
            token_ids=tuple(completion.token_ids),
            logprobs=tuple(round(value, 5) for value in completion.logprobs),
            metrics=score.metrics,
            inserted=tuple((index, tuple(ids)) for index, ids in completion.inserted),
            turns=tuple(completion.turns),
            ending=completion.ending,
            messages=task.messages if completion.turns else (),
        )


FIELDS = tuple(f.name for f in dataclasses.fields(Record))
EPISODE = ("inserted", "turns", "ending", "messages")


def read_records(path: Path, *, torn_end: bool = False) -> Iterator[Record]:
    """Read ``samples.jsonl``.

    Args:
        torn_end: the file is being written, or its writer was killed: an unfinished last line is left out.

    Raises:
        UserError: names the line that is not a record.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if torn_end and not line.endswith(b"\n"):
                return
            try:
                row = json.loads(line)
                yield Record(**row | {k: tuple(row[k]) for k in ("token_ids", "logprobs")} | _episode(row))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise UserError(f"{path}:{number}: not a line of an evaluation's samples: {error}") from error


def _episode(row: dict[str, Any]) -> dict[str, Any]:
    if not row.get("turns"):
        return {}
    inserted = tuple((index, tuple(ids)) for index, ids in read_inserted(row))
    known = {"turns": tuple(read_turns(row)), "ending": read_ending(row), "messages": read_messages(row)}
    return {"inserted": inserted, **known}


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write the file anew, whole or not at all."""
    scratch = scratch_beside(path)
    with scratch.open("w", encoding="utf-8", errors="surrogatepass") as file:
        for record in records:
            file.write(record.to_json() + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)


class RecordLog:
    """Appends records as they come, so that a killed evaluation loses only what was under way."""

    def __init__(self, path: Path) -> None:
        if path.is_file():
            _drop_torn_end(path)
        self._file = path.open("a", encoding="utf-8", errors="surrogatepass")

    def append(self, records: Iterable[Record]) -> None:
        self._file.write("".join(record.to_json() + "\n" for record in records))
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> RecordLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _drop_torn_end(path: Path) -> None:
    with path.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
