"""What a chat template is given, what it leaves out, and how it ends a turn."""

import pytest

from grpo_kit.config import ChatConfig
from grpo_kit.config.read import load_recipe
from grpo_kit.data.chat import (
    check_stop_strings,
    end_of_turn_id,
    left_out,
    opens_thinking,
    render,
    render_text,
    stop_token_ids,
    use_arguments,
)
from grpo_kit.data.records import text_group
from grpo_kit.errors import UserError
from grpo_kit.policy.scratch import build_tokenizer
from grpo_kit.train.preflight import preflight
from grpo_kit.types import Task

USER, SYSTEM = {"role": "user", "content": "2+2"}, {"role": "system", "content": "Be brief."}
OPEN = "{% if add_generation_prompt %}<|assistant|>{% endif %}"
PLAIN = "{% for m in messages %}<|user|>{{ m.content }}{% endfor %}" + OPEN
THINKING = (
    PLAIN + "{% if add_generation_prompt and enable_thinking is not defined or enable_thinking %}<think>\n{% endif %}"
)

INSTRUCTED = (
    "{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content }}<|end|>{% else %}[INST] {{ m.content }} [/INST]"
    "{% endif %}{% endfor %}"
)


def tokenizer(template, **changes):
    made = build_tokenizer()
    made.chat_template = template
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def task(*messages):
    return Task("t", tuple(messages or (USER,)), "4")


def test_arguments_reach_every_rendering_and_are_not_saved(tmp_path):
    made = tokenizer(THINKING)
    assert render_text(task(), made).endswith("<think>\n")
    assert use_arguments(made, {"enable_thinking": False}) is made
    assert render_text(task(), made) == "<|user|>2+2<|assistant|>"
    assert made.decode(render(task(), made).token_ids) == "<|user|>2+2<|assistant|>"
    group = text_group("g", "2+2", ["4"], [1.0], made)  # what sft and dpo learn from
    assert made.decode(group.prompt.token_ids) == "<|user|>2+2<|assistant|>"
    made.save_pretrained(tmp_path)
    assert render_text(task(), type(made).from_pretrained(tmp_path)).endswith("<think>\n")


def test_arguments_of_the_recipe_reach_the_dry_run(tiny_recipe):
    shown = preflight(load_recipe(tiny_recipe, ["chat.arguments={date_string: today}"]), None).prompts
    assert shown
    for name in ("tokenize", "add_generation_prompt", "return_tensors", "truncation"):
        with pytest.raises(ValueError, match=f"{name} is decided by the kit"):
            ChatConfig(arguments={name: True})


@pytest.mark.parametrize(
    ("template", "found"),
    [
        (PLAIN, []),
        ("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}" + OPEN, ["the system message of t"]),
        (PLAIN.replace(OPEN, ""), ["the generation prompt"]),
        ("{% for m in messages %}{{ m.content | trim }}{% endfor %}" + OPEN, []),
        (INSTRUCTED, []),
    ],
    ids=["whole", "without the system message", "without a generation prompt", "trimmed", "answers that need none"],
)
def test_what_a_template_leaves_out_is_named(template, found):
    dropped = left_out(task(SYSTEM, USER), tokenizer(template))
    assert len(dropped) == len(found)
    assert all(d.startswith(f) for d, f in zip(dropped, found, strict=True))


def test_a_template_without_the_question_is_refused():
    with pytest.raises(UserError, match="leaves out the question of the prompt t"):
        left_out(task(), tokenizer("<|user|>" + OPEN))


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ raise_exception('System role not supported') }}", "System role not supported"),
        ("{% for m in messages %}", "Unexpected end of template"),
        ("{{ messages[5].content }}", "has no"),
        ("{{ messages[0]['content'] + 5 }}", "str"),
    ],
)
def test_a_template_that_refuses_is_one_paragraph(template, reason):
    made = tokenizer(template)
    for call in (render, render_text):
        with pytest.raises(UserError, match=rf"refuses the prompt t \(messages: system, user\): .*{reason}"):
            call(task(SYSTEM, USER), made)


def test_the_token_that_ends_a_turn_ends_responses_and_demonstrations():
    """A base model's end token is that of a document; its template ends turns with another."""
    ending = "{% for m in messages %}<|user|>{{ m.content }}<|pad|>\n{% endfor %}" + OPEN
    made = tokenizer(ending)
    pad = made.convert_tokens_to_ids("<|pad|>")
    assert end_of_turn_id(made) == pad != made.eos_token_id
    assert set(stop_token_ids(None, made)) == {pad, made.eos_token_id}
    assert text_group("g", "a", ["b"], [1.0], made).completions[0].token_ids[-1] == pad


@pytest.mark.parametrize(
    "template", [PLAIN, "{% for m in messages %}{{ m.content }}\n{% endfor %}", "{{ raise_exception('no') }}"]
)
def test_a_template_without_an_end_of_its_own_uses_the_tokenizers(template):
    made = tokenizer(template)
    assert end_of_turn_id(made) == made.eos_token_id


def test_a_template_that_opens_the_reasoning_is_known():
    made = tokenizer(THINKING)
    assert opens_thinking(task(), made)
    assert not opens_thinking(task(), use_arguments(made, {"enable_thinking": False}))
    assert not opens_thinking(task(), build_tokenizer())


def test_stop_strings_that_never_match_are_refused(tiny_recipe):
    made = build_tokenizer()
    check_stop_strings(["\n\n", "###", "endoftext"], made)
    for stop in ("<|endoftext|>", "x<|user|>"):
        with pytest.raises(UserError, match="holds a special token"):
            check_stop_strings(["\n", stop], made)
    with pytest.raises(UserError, match=r"rollout\.stop\.0"):
        load_recipe(tiny_recipe, ['rollout.stop=[""]'])


# The ways in which published chat models write a conversation, by the marks that they do it with.
FAMILIES = {
    "headers": (
        "{% for m in messages %}<|start|>{{ m.role }}<|end_header|>\n\n{{ m.content | trim }}<|eot|>{% endfor %}"
        "{% if add_generation_prompt %}<|start|>assistant<|end_header|>\n\n{% endif %}",
        "<|eot|>",
    ),
    "no system message, roles take turns": (
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('in turns') }}"
        "{% endif %}<|start|>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<|eot|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|start|>model\n{% endif %}",
        "<|eot|>",
    ),
    "a system message of its own": (
        "{% if messages[0].role != 'system' %}<|start|>system\nBe helpful.<|eot|>\n{% endif %}"
        "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|eot|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}",
        "<|eot|>",
    ),
    "reasoning, left out of earlier turns": (
        "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content.split('</think>')[-1] }}<|eot|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|start|>assistant\n<think>\n{% endif %}",
        "<|eot|>",
    ),
    "the document's own end": (INSTRUCTED.replace("<|end|>", "{{ eos_token }}"), None),
}


@pytest.mark.parametrize(("template", "end"), FAMILIES.values(), ids=FAMILIES)
def test_families_of_templates(template, end):
    made = tokenizer(template)
    made.add_special_tokens({"additional_special_tokens": ["<|start|>", "<|end_header|>", "<|eot|>"]})
    wanted = made.eos_token_id if end is None else made.convert_tokens_to_ids(end)
    assert end_of_turn_id(made) == wanted
    assert set(stop_token_ids(None, made)) == {wanted, made.eos_token_id}
    assert left_out(task(), made) == []
    assert made.decode(render(task(), made).token_ids) == render_text(task(), made)
    group = text_group("g", [USER], ["4"], [1.0], made)
    assert made.decode([*group.prompt.token_ids, *group.completions[0].token_ids]).startswith(
        render_text(task(), made) + "4"
    )
    assert group.completions[0].token_ids[-1] == wanted
