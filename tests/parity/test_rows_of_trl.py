"""A row of an imported recipe has the token ids that TRL's own trainers make of it: of text and of chat, for every method."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from grpo_kit.compat.trl.importing import import_trl
from grpo_kit.config.read import load_recipe
from grpo_kit.data.chat import render, use_arguments
from grpo_kit.data.datasets import training_sets
from grpo_kit.data.records import read_recorded
from tests.kit.optional import needs_extra
from tests.kit.templates import BEGINS, chat_tokenizer

needs_extra("trl", "parity")

USER, SYSTEM = {"role": "user", "content": " Is 2 even? "}, {"role": "system", "content": "Be brief."}
EARLIER = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]


def said(text):
    return [{"role": "assistant", "content": text}]


CHAT = [SYSTEM, *EARLIER, USER]
PAIRS = {
    "text": {"prompt": "Is 2 even? The answer is ye", "chosen": "s.", "rejected": "ah\n"},
    "text with its end": {"prompt": "2+2 =", "chosen": " 4<|endoftext|>", "rejected": " 5"},
    "text without a prompt": {"chosen": "Human: hi there", "rejected": "Human: hi you"},
    "text whose pair is its beginning": {"chosen": "So it is", "rejected": "So it is not"},
    "chat": {"prompt": [USER], "chosen": said("Yes.\n"), "rejected": said(" No.")},
    "a longer chat": {"prompt": CHAT, "chosen": said("Yes."), "rejected": said("No.")},
    "chat without a prompt": {"chosen": [*CHAT, *said("Yes.")], "rejected": [*CHAT, *said("No.")]},
}
ANSWERS = {
    "text": {"prompt": "Is 2 even? The answer is ye", "completion": "s."},
    "chat": {"prompt": CHAT, "completion": said(" Yes.\n")},
}
WHOLE = {"texts": {"text": "Once upon a time."}, "messages": {"messages": [*CHAT, *said("Yes.")]}}
CASES = [
    *(("dpo", name, row) for name, row in PAIRS.items()),
    *(("reward", name, row) for name, row in PAIRS.items()),
    *(("kto", name, row | {"label": True}) for name, row in ANSWERS.items()),
    *(("sft", name, row) for name, row in (ANSWERS | WHOLE).items()),
]
TRAINERS = {"dpo": "DPO", "reward": "Reward", "kto": "KTO", "sft": "SFT"}
SCRIPT = """\
from datasets import load_dataset
from trl import {name}Config, {name}Trainer
rows = load_dataset("json", data_files="rows.jsonl", split="train")
{name}Trainer("m", args={name}Config("out", max_steps=1{more}), train_dataset=rows).train()
"""


def tokenizer(family):
    """A byte tokenizer with some words, which can cross the boundary of a prompt; of some families texts begin with a token."""
    made = chat_tokenizer(family)
    spec = json.loads(made.backend_tokenizer.to_str())
    for left, right in (("y", "e"), ("ye", "s"), ("Ġ", "t"), ("i", "s")):
        spec["model"]["vocab"][left + right] = len(spec["model"]["vocab"]) + 1000
        spec["model"]["merges"].append([left, right])
    made._tokenizer = Tokenizer.from_str(json.dumps(spec))
    if family in BEGINS:
        begin = (BEGINS[family], made.convert_tokens_to_ids(BEGINS[family]))
        made._tokenizer.post_processor = TemplateProcessing(single=f"{begin[0]} $A", special_tokens=[begin])
    return made


def test_the_tokenizer_is_of_the_kind_that_matters():
    """Its words cross boundaries, and its texts begin with a token of their own."""
    made = tokenizer("llama3")
    prompt, whole = made("ye")["input_ids"], made("yes.")["input_ids"]
    assert prompt[0] == whole[0] == made.bos_token_id
    assert prompt != whole[: len(prompt)]


def theirs(method, row, made, tmp_path, **settings):
    """The ids that TRL's trainer makes of a row, as (prompt, responses), and of SFT also which are learned."""
    import trl
    from datasets import Dataset

    name = TRAINERS[method]
    trainer, config = getattr(trl, f"{name}Trainer"), getattr(trl, f"{name}Config")
    args = config(str(tmp_path / "out"), use_cpu=True, **settings)
    stub = SimpleNamespace(
        _tokenizer=made, chat_template=None, calculate_KL=False, completion_only_loss="prompt" in row
    )
    if settings.get("completion_only_loss") is not None:
        stub.completion_only_loss = settings["completion_only_loss"]
    more = {"packing": False, "formatting_func": None} if method == "sft" else {}
    (found,) = trainer._prepare_dataset(stub, Dataset.from_list([row]), made, args, dataset_name="train", **more)
    return found


def ours(method, row, made, tmp_path, more=""):
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(name=TRAINERS[method], more=more))
    import_trl(script, tmp_path / "recipe.yaml", [])
    config = load_recipe(str(tmp_path / "recipe.yaml"))
    use_arguments(made, config.chat.arguments)
    (group,) = read_recorded(config, config.examples, made)
    return list(group.prompt.token_ids), [list(c.token_ids) for c in group.completions]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("family", ["qwen2.5", "llama3"])
@pytest.mark.parametrize(("method", "name", "row"), CASES, ids=[f"{m}: {n}" for m, n, _ in CASES])
def test_ids_of_a_row(method, name, row, family, tmp_path):
    found = theirs(method, row, tokenizer(family), tmp_path)
    prompt, responses = ours(method, row, tokenizer(family), tmp_path)
    if method == "dpo":
        assert (prompt, responses) == (found["prompt_ids"], [found["chosen_ids"], found["rejected_ids"]])
    elif method == "reward":
        assert [prompt + one for one in responses] == [found["chosen_ids"], found["rejected_ids"]]
    elif method == "kto":
        assert (prompt, responses) == (found["prompt_ids"], [found["completion_ids"]])
    else:
        assert prompt + responses[0] == found["input_ids"]
        learned = [id for id, label in zip(found["input_ids"], found["labels"], strict=True) if label != -100]
        # Nothing predicts the first token of a sequence, whether it is meant to be learned or not.
        assert responses[0] == (learned[1:] if len(learned) == len(found["input_ids"]) else learned)


@pytest.mark.parametrize("row", ANSWERS.values(), ids=ANSWERS)
def test_sft_of_prompts_too(row, tmp_path):
    found = theirs("sft", row, tokenizer("qwen2.5"), tmp_path, completion_only_loss=False)
    prompt, (response,) = ours("sft", row, tokenizer("qwen2.5"), tmp_path, ", completion_only_loss=False")
    assert [*prompt, *response] == found["input_ids"]
    assert response == found["labels"][1:]


GRPO = """\
from datasets import load_dataset
from trl import GRPOConfig, GRPOTrainer
def right(completions, **kwargs):
    return [1.0 for _ in completions]
rows = load_dataset("json", data_files="rows.jsonl", split="train")
if __name__ == "__main__":
    GRPOTrainer("{model}", right, GRPOConfig("out", max_steps=1), rows).train()
"""


@pytest.mark.parametrize("family", ["qwen2.5", "llama3", "mistral", "gemma"])
@pytest.mark.parametrize("prompt", [" Is 2 even?\n", [USER], [*EARLIER, USER]], ids=["text", "chat", "a longer chat"])
def test_ids_of_a_prompt_that_is_sampled_from(family, prompt, tmp_path):
    from trl import GRPOTrainer

    made = tokenizer(family)
    made.save_pretrained(tmp_path / "model")
    stub = SimpleNamespace(
        processing_class=made,
        _is_vlm=False,
        environment_factories=None,
        tools=None,
        chat_template=None,
        chat_template_kwargs={},
    )
    (found,) = GRPOTrainer._tokenize_prompts(stub, [prompt])[0]
    Path("rows.jsonl").write_text(json.dumps({"prompt": prompt, "answer": "yes"}) + "\n")
    Path("script.py").write_text(GRPO.format(model=tmp_path / "model"))
    import_trl(Path("script.py"), Path("recipe.yaml"), [])
    config = load_recipe("recipe.yaml")
    use_arguments(made, config.chat.arguments)
    (part,) = training_sets(config)
    assert list(render(part.source.task(0), made).token_ids) == found
