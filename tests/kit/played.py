"""Environments for untrained models, which write nothing that anybody could understand."""

import string

from grpo_kit.environments import Done, environment

# An untrained model hardly ever ends a turn by itself: any letter does.
ENDS_TURNS = f"rollout.stop=[{','.join(repr(letter) for letter in string.ascii_letters)}]"


@environment(name="one_turn")
class OneTurn:
    """Has no opinion and nothing to say."""

    def reply(self, response):
        return Done()


@environment(name="counting", turns=4)
class Counting:
    """Counts the turns, and pays for an even number of characters in the last one."""

    def begin(self, task, random):
        self.said, self.last = 0, random.randint(2, 4)
        return f"until {self.last}"

    def reply(self, response):
        self.said += 1
        if self.said == self.last:
            return Done(float(len(response) % 2 == 0))
        return f"turn {self.said}"
