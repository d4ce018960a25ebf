"""The chat bridge: the ids that a template writes between a turn that was sampled and the next one.

Rendering a conversation again would make its tokens again, and they would not be those that were sampled. So a fixed
conversation is rendered, an answer of known text in it, and what stands behind that answer is the bridge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from jinja2.exceptions import TemplateError

from grpo_kit.errors import UserError
from grpo_kit.types import Message, Prompt, Task

from .chat import NO_ARGUMENTS, OPENS_THINKING, apply_template, render

QUESTION = Message(role="user", content="A question of the bridge?")
ANSWER = "An answer of the bridge."
THOUGHT = "A thought of the bridge."
CLOSES_THINKING = "</think>"
REPLY_ROLES = ("user", "tool")
REPLY_KEYS = ("role", "content", "name", "tool_call_id")
# What marks a turn or a part of it where no special token does.
TAG = re.compile(r"</?\w+>|\[/?[A-Z_]+\]|<\|\w+\|>")
LABEL = re.compile(r"\S+:(?=\s|$)")
OVERLAP = 64  # sampled tokens in which the beginning of a bridge is looked for
MOST_PASSES = 8


class Bridge:
    """What stands between turns, for one template.

    Args:
        tokenizer: with its chat template.
        tools: JSON schemas of the functions that the policy may call, for every rendering.
        arguments: of the template, for every rendering.
    """

    def __init__(
        self, tokenizer: Any, tools: Sequence[Mapping[str, Any]] = (), arguments: Mapping[str, Any] = NO_ARGUMENTS
    ) -> None:
        self.tokenizer = tokenizer
        self.settings: dict[str, Any] = {**arguments, **({"tools": [*tools]} if tools else {})}
        self.name = tokenizer.name_or_path or "the model"
        added = tokenizer.added_tokens_decoder
        special = {i: str(t) for i, t in added.items() if t.special}
        special |= dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
        self._special = special
        self._starts = _any_of(special.values())
        self._frames: dict[tuple[str, ...], list[int]] = {}  # special ids of a bridge, by the roles of its messages
        self._marks: re.Pattern[str] | None = None

    # --- at start --------------------------------------------------------------------------------------------------

    def check(self, roles: Sequence[str] | None = None, opening: Sequence[Message] = (QUESTION,)) -> bool:
        """Whether bridges, appended to what was sampled, are the conversation as the template renders it whole.

        Args:
            roles: of the messages that will come; by default ``tool`` where there are tools, and ``user`` where not.
            opening: a prompt as the run will have them, with its system message: some templates move it.

        Returns:
            whether it is so in ids as well as in text: a tokenizer may join letters over the border of a turn.

        Raises:
            UserError: it is not so in text; the template shows no tools, or refuses or leaves out messages of these roles.
        """
        tools = "tools" in self.settings
        if tools:
            self._check_tools()
        same = True
        for role in roles or (("tool",) if tools else ("user",)):
            for sampled, content in self._answers(opening):
                for counts in ((1,), (2,)) if role == "tool" else ((1,),):
                    same = self._probe(opening, role, sampled, content, counts) and same
                same = self._probe_on(opening, role, sampled, content) and same
        return same

    def check_whole(self, roles: Sequence[str], opening: Sequence[Message] = (QUESTION,), answered: int = 2) -> None:
        """Whether the template can render a conversation with replies of these roles, for turns with prompts of their own.

        Args:
            answered: how many turns have a reply; some templates take one call of a tool and refuse a second.

        Raises:
            UserError: the template shows no tools, or refuses or leaves out messages of these roles.
        """
        if "tools" in self.settings:
            self._check_tools()
        for role in roles:
            replies = self.read([_reply(role, "Reply of the bridge")])
            turn = [Message(role="assistant", content=ANSWER), *replies]
            if self._text([*opening, *turn * answered]).count("Reply of the bridge") < answered:
                raise self._left_out(role)

    def _left_out(self, role: str) -> UserError:
        return UserError(
            f"the chat template of {self.name} leaves out {role} messages, which the environment answers with; mend "
            "chat_template in the model's folder"
        )

    def _check_tools(self) -> None:
        without = {name: value for name, value in self.settings.items() if name != "tools"}
        if self._text([QUESTION]) == str(self._apply([QUESTION], without)):
            raise UserError(
                f"the chat template of {self.name} shows the policy no tools: environment.tools would never be called. Use a "
                "model whose template takes tools, or mend chat_template in the model's folder"
            )

    def _answers(self, opening: Sequence[Message]) -> list[tuple[str, str]]:
        """What may be sampled, and the content of the message that it amounts to."""
        prompt = self._text(opening)
        answered = str(self._apply([*opening, Message(role="assistant", content=ANSWER)], {**self.settings}))
        lead = answered.partition(ANSWER)[0].removeprefix(prompt)
        lead = lead if answered.startswith(prompt) and not lead.strip() else ""  # the space of "[/INST] An answer"
        thought = f"\n{THOUGHT}\n{CLOSES_THINKING}\n\n{ANSWER}"
        if prompt.rstrip().endswith(OPENS_THINKING):
            return [(thought.removeprefix("\n"), OPENS_THINKING + thought)]
        plain = (lead + ANSWER, ANSWER)
        if prompt.rstrip().endswith(CLOSES_THINKING):
            return [plain]
        return [plain, (lead + OPENS_THINKING + thought, OPENS_THINKING + thought)]

    def _probe_on(self, opening: Sequence[Message], role: str, sampled: str, content: str) -> bool:
        """As `_probe`, of two turns. Where tools are called, a template may take an answer without a call for the last."""
        try:
            return self._probe(opening, role, sampled, content, (1, 2 if role == "tool" else 1))
        except UserError as error:
            if role == "tool" and isinstance(error.__cause__, TemplateError):
                return True
            raise

    def _probe(self, opening: Sequence[Message], role: str, sampled: str, content: str, counts: Sequence[int]) -> bool:
        """Turns with so many replies each, once put together and once rendered whole. Returns whether the ids are equal."""
        messages = [*opening]
        text, ids = self._text(messages), [*self.prompt(Task("of the bridge", tuple(opening), None)).token_ids]
        for number, count in enumerate(counts):
            replies = self.read([_reply(role, f"Reply {number}.{each}") for each in range(count)])
            rest = self._rest(replies)
            end = self._starts.match(rest, len(rest) - len(rest.lstrip()))
            turn = [*self._encode(sampled), *([self._id(end[0])] if end else [])]
            text += sampled + (rest.lstrip() if end else rest)
            ids += [*turn, *self.after(turn, replies)]
            messages += [Message(role="assistant", content=content), *replies]
        whole = self._text(messages)
        if text != whole:
            self._refuse(role, text, whole)
        if any(f"Reply {number}.{each}" not in whole for number, n in enumerate(counts) for each in range(n)):
            raise self._left_out(role)
        return ids == self._encode(whole)

    def _refuse(self, role: str, text: str, whole: str) -> None:
        at = next((i for i, (a, b) in enumerate(zip(text, whole, strict=False)) if a != b), min(len(text), len(whole)))
        raise UserError(
            f"the chat template of {self.name} rewrites earlier turns when a {role} message follows: where the policy was given "
            f"and wrote {text[max(at - 20, 0) : at + 30]!r}, the next rendering has {whole[max(at - 20, 0) : at + 30]!r}. "
            "Turns cannot be appended to each other so; set environment.history: fresh, where every turn is a prompt of its "
            "own, or use a template that keeps the history (chat_template in the model's folder, chat.arguments)"
        )

    # --- in an episode ---------------------------------------------------------------------------------------------

    def prompt(self, task: Task) -> Prompt:
        """The task as the engine sees it, tools included. Raises UserError if the template refuses it."""
        return render(task, self.tokenizer, self.settings)

    def read(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """Messages of an environment as the policy may read them: they can neither end their turn nor open another.

        In what an environment wrote, the text of a special token, or of a mark that the template itself puts around
        messages (``</tool_response>``, ``[/INST]``), gets a space behind its first letter. User messages that follow each
        other become one, since roles take turns in many templates. Rendering the result again gives the same tokens.

        Raises:
            ValueError: a role is neither ``user`` nor ``tool``.
        """
        made: list[Message] = []
        for number, message in enumerate(messages):
            if message["role"] not in REPLY_ROLES:
                raise ValueError(f"an environment writes as user or tool, not as {message['role']!r:.40}")
            kept = {k: self._escaped(str(v)) for k, v in message.items() if k in REPLY_KEYS and v is not None}
            if message["role"] == "tool":
                kept.setdefault("tool_call_id", f"call{number:05d}")  # of nine letters, as Mistral's templates ask
            if made and message["role"] == "user" == made[-1]["role"]:
                made[-1] = cast(Message, {**made[-1], "content": made[-1]["content"] + "\n\n" + kept["content"]})
            else:
                made.append(cast(Message, kept))
        return tuple(made)

    def raw(self, token_ids: Sequence[int], text: str) -> str:
        """A turn with its special tokens, without the one that ended it, and cut where ``text``, the turn without them, was."""
        ids = [*token_ids[:-1]] if token_ids and token_ids[-1] in self._special else [*token_ids]
        if not self._specials(ids):
            return text
        whole = str(self.tokenizer.decode(ids, skip_special_tokens=False))
        plain = str(self.tokenizer.decode(ids, skip_special_tokens=True))
        cut = plain[len(text) :] if plain.startswith(text) else ""
        return whole.removesuffix(cut)

    def after(self, token_ids: Sequence[int], replies: Sequence[Message]) -> list[int]:
        """The ids between a sampled turn and the next: the rest of its end, the replies, the opening of the next turn.

        What ended the turn is not repeated where it is the template's own end (or another token that the template ends turns
        with, as Llama's ``<|eom_id|>``). Behind any other stop token, or a stop string, the template's own follows.

        Args:
            token_ids: those of the turn, as sampled.
            replies: messages of the roles ``user`` and ``tool``; see `read` for what is done to them.

        Raises:
            ValueError: the replies would write special tokens.
            UserError: the template refuses them, or leaves messages of their roles out.
        """
        return self.answered(token_ids, self.read(replies))

    def answered(self, token_ids: Sequence[int], read: Sequence[Message]) -> list[int]:
        """As `after`, of messages that `read` has returned."""
        rest = self._rest(read)
        start = len(rest) - len(rest.lstrip())
        whole = self._encode(rest[start:])
        if self._specials(whole) != self._specials_of(tuple(m["role"] for m in read)):
            raise ValueError("what the environment wrote would become special tokens of the model")
        end = self._starts.match(rest, start)
        if end is not None and token_ids and self._ends_turn(token_ids[-1], end[0], rest):
            return whole[1:]  # encoded behind that token, so that the text is cut up as in a whole rendering
        if end is not None and start == 0:
            return whole
        first = self._starts.search(rest)
        head = rest[: first.start() if first else len(rest)]
        tail = str(self.tokenizer.decode([*token_ids[-OVERLAP:]], skip_special_tokens=False))
        shared = next((n for n in range(len(head), 0, -1) if tail.endswith(head[:n])), 0)
        return self._encode(rest[shared:])

    def _specials_of(self, roles: tuple[str, ...]) -> list[int]:
        """The special tokens of a bridge with harmless messages of these roles."""
        if roles not in self._frames:
            plain = self._rest(self.read([_reply(role, f"Reply {n}") for n, role in enumerate(roles)]))
            if left_out := [role for n, role in enumerate(roles) if f"Reply {n}" not in plain]:
                raise self._left_out(left_out[0])
            self._frames[roles] = self._specials(self._encode(plain.lstrip()))
        return self._frames[roles]

    def _ends_turn(self, token: int, end: str, rest: str) -> bool:
        """Whether it is the template's end of a turn, or one that it knows and does not open turns with."""
        text = self._special.get(token)
        return text is not None and (text == end or (text in str(self.tokenizer.chat_template) and text not in rest))

    # --- rendering -------------------------------------------------------------------------------------------------

    def _rest(self, replies: Sequence[Message]) -> str:
        """What the template writes behind an answer that these messages follow."""
        text = self._text([QUESTION, Message(role="assistant", content=ANSWER), *replies])
        _, found, rest = text.partition(ANSWER)
        if not found:
            raise UserError(
                f"the chat template of {self.name} leaves out the policy's own turns; mend chat_template in the model's folder"
            )
        return rest

    def _text(self, messages: Sequence[Message]) -> str:
        return str(self._apply(messages, self.settings))

    def _apply(self, messages: Sequence[Message], settings: Mapping[str, Any]) -> Any:
        fixed = {"tokenize": False, "add_generation_prompt": True}
        return apply_template(self.tokenizer, messages, "that an environment continues", **{**settings, **fixed})

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def _id(self, token: str) -> int:
        return int(self.tokenizer.convert_tokens_to_ids(token))

    def _specials(self, ids: Sequence[int]) -> list[int]:
        return [i for i in ids if i in self._special]

    def _escaped(self, text: str) -> str:
        if self._marks is None:
            self._marks = _any_of({*self._special.values(), *self._marks_of("user"), *self._marks_of("tool")})
        for _ in range(MOST_PASSES):
            if self._marks.search(text) is None:
                return text
            text = self._marks.sub(lambda found: f"{found[0][0]} {found[0][1:]}" if len(found[0]) > 1 else " ", text)
        return self._marks.sub(" ", text)

    def _marks_of(self, role: str) -> set[str]:
        """The tags that the template writes around a message; its labels (``Assistant:``) where it has nothing else."""
        content = "Reply"
        try:
            rest = self._rest([_reply(role, content)])
        except UserError:  # it takes no such messages, and none will come
            return set()
        behind = rest.rpartition(content)[2]
        tags = set(TAG.findall(rest))
        return tags if tags or self._starts.search(behind) else set(LABEL.findall(behind))


def _reply(role: str, content: str) -> Message:
    made = {"role": role, "content": content}
    return cast(Message, made | {"tool_call_id": "call00000"} if role == "tool" else made)


def _any_of(texts: Any) -> re.Pattern[str]:
    """The longest of these texts first; matches nothing where there are none."""
    return re.compile("|".join(re.escape(t) for t in sorted({*texts} - {""}, key=len, reverse=True)) or r"(?!)")
