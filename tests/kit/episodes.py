"""Groups of episodes: several turns, with what an environment inserted between them."""

import random

from grpo_kit.types import Completion, Group, Prompt, Score, Task, Turn

INSERTED = range(224, 256)  # ids that stand nowhere else, so that a test can tell an inserted position by its id
ENDINGS = ("done", "turns", "length", "deadline")


def as_episodes(sequences, seed=0):
    """The same sequences with something inserted between up to four turns; some stay one turn."""
    rng = random.Random(f"episodes/{seed}")
    for sequence in sequences:
        sequence.prompt_ids, sequence.completion_ids = (
            [i % INSERTED.start for i in ids] for ids in (sequence.prompt_ids, sequence.completion_ids)
        )
        starts = _starts(len(sequence.completion_ids), rng)
        sequence.inserted = [(start, [rng.choice(INSERTED) for _ in range(rng.randrange(1, 12))]) for start in starts]
    return sequences


def _starts(length, rng):
    return sorted(rng.sample(range(1, length), min(length - 1, rng.randrange(4))))


def episode_groups(sizes=(3, 4, 2), seed=0, logprobs=True):
    """Groups whose first completion is right and whose last is wrong."""
    rng = random.Random(f"groups/{seed}")
    return [_group(str(number), size, rng, logprobs) for number, size in enumerate(sizes)]


def _group(name, size, rng, logprobs):
    prompt = tuple(rng.randrange(INSERTED.start) for _ in range(24))
    task = Task(name, ({"role": "user", "content": f"question {name}"},), "7")
    completions = [_episode(name, index, rng, logprobs) for index in range(size)]
    rewards = [1.0 if index == 0 else 0.0 if index == size - 1 else rng.random() for index in range(size)]
    scores = [Score(reward, extracted="7", reason="said 7") for reward in rewards]
    parts = [{"odd": score} for score in scores]
    return Group(task, Prompt(name, prompt), completions, scores, parts, Score(0.5), "odd", "odd", 0.5)


def _episode(name, index, rng, logprobs):
    ids = [rng.randrange(INSERTED.start) for _ in range(rng.randrange(6, 16))]
    starts = sorted(rng.sample(range(1, len(ids)), 1 + index % 3))
    inserted = [(start, [rng.choice(INSERTED) for _ in range(rng.randrange(1, 9))]) for start in starts]
    turns = [
        Turn(
            start,
            f"turn {number} of {name}/{index}",
            ({"role": "tool", "content": f"reply {number}"},) if number < len(starts) else (),
            reward=0.25 * number,
            calls=2,
            invalid=number % 2,
            failed=1 - number % 2,
            seconds=0.5,
        )
        for number, start in enumerate([0, *starts])
    ]
    said = [-rng.random() for _ in ids] if logprobs else []
    return Completion(
        name,
        index,
        ids,
        said,
        turns[-1].text,
        "stop",
        0,
        inserted=inserted,
        turns=turns,
        ending=ENDINGS[index % len(ENDINGS)],
        outcome=Score(float(index % 2), reason="the environment's word"),
    )
