"""The reward model verifier gives the logits that the checkpoint gives, whatever the batch."""

import json
import shutil

import pytest
import torch
from transformers import AutoTokenizer

from grpo_kit.data.records import text_group
from grpo_kit.policy.packing import TrainingSequence, unit_batches
from grpo_kit.policy.value_model import ValueModel
from grpo_kit.scoring import Scorer, VerifierSpec
from grpo_kit.scoring.selftest import examine
from grpo_kit.types import Completion, Group, Prompt, Task
from grpo_kit.verifiers import VerifierError, get_verifier
from tests.kit.tiny import make_policy

TEMPLATE = "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} <end> {% endfor %}"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast

    words = ["<pad>", "<unk>", "<end>", "user", "assistant", ":", *"abcdefgh"]
    raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", unk_token="<unk>", eos_token="<end>", chat_template=TEMPLATE
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_labels=1, pad_token_id=0,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("reward_model")
    LlamaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def expected(folder, prompt, text):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    rendered = f"user : {prompt} <end> assistant : {text} <end> "
    with torch.inference_mode():
        return model(tokenizer(rendered, return_tensors="pt", add_special_tokens=False)["input_ids"]).logits.item()


def test_logits_do_not_depend_on_the_batch(checkpoint):
    texts = ["a b c", "d", "e f g h a b c d e", "h h"]
    group = Group(
        Task("t", ({"role": "user", "content": "a b"},), None, {}),
        Prompt("t", ()),
        [Completion("t", i, [], [], text, "stop", 0) for i, text in enumerate(texts)],
    )
    options = {"model": str(checkpoint), "device": "cpu", "batch_size": 3}
    with Scorer([VerifierSpec("reward_model", options=options)], workers=1) as scorer:
        assert scorer._pool is None  # it runs where the device is
        (scored,) = scorer.score_groups([group])
    wanted = [expected(checkpoint, "a b", text) for text in texts]
    assert [s.value for s in scored.scores] == pytest.approx(wanted, abs=1e-5)
    assert len(set(wanted)) == len(wanted)


def test_too_long_abstains(checkpoint):
    found = get_verifier("reward_model").with_options({"model": str(checkpoint), "device": "cpu", "max_tokens": 10})
    messages = [{"role": "user", "content": "a"}]
    long, short = found.score_many([{"response": text, "messages": messages} for text in ("a " * 50, "b")])
    assert (long.status, short.status) == ("abstain", "ok")


def test_it_survives_the_attacks(checkpoint):
    rows = examine("reward_model", options={"model": str(checkpoint), "device": "cpu"})
    assert [row for row in rows if row.problem and not row.warning] == []


def test_settings_are_checked(checkpoint):
    found = get_verifier("reward_model")
    with pytest.raises(VerifierError, match="'model'"):
        found(response="a", messages=[])
    with pytest.raises(VerifierError, match="1 logits, there is no label 3"):
        found.with_options({"model": str(checkpoint), "device": "cpu", "label": 3})(response="a", messages=[])
    nothing = checkpoint.with_name("nothing")
    with pytest.raises(VerifierError, match=f"reward_model: {nothing} is not a model folder: it does not exist"):
        found.with_options({"model": str(nothing), "device": "cpu"})(response="a", messages=[])


CHATML = (
    "{% for m in messages %}<|user|>{{ m['role'] }}\n{{ m['content'] }}<|assistant|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|user|>assistant\n{% endif %}"
)


@pytest.mark.parametrize("template", ["the scratch model's", "one that goes on behind the end of a turn"])
def test_a_reward_model_of_the_kit_is_read_where_it_was_trained(tmp_path, template):
    """ChatML templates write a line end behind the token that ends the turn; a score was never trained there."""
    policy = make_policy()
    if template != "the scratch model's":
        policy.tokenizer.chat_template = CHATML
        policy.tokenizer.pad_token = "<|assistant|>"  # as in models whose end token pads as well
    model = ValueModel.from_policy(policy)
    torch.nn.init.normal_(model.model.score.weight)
    group = text_group("t", "1+1=", ["2", "three"], [1.0, 0.0], policy.tokenizer)
    sequences = [TrainingSequence(group.prompt.token_ids, c.token_ids, 0.0, 0.0) for c in group.completions]
    with torch.no_grad():
        trained = torch.cat([model.rewards(b) for b in unit_batches([(s,) for s in sequences], 10_000)])
    by_length = sorted(range(2), key=lambda i: -sequences[i].length)
    model.save(tmp_path / "model")
    found = get_verifier("reward_model").with_options({"model": str(tmp_path / "model"), "device": "cpu"})
    rows = [{"response": c.text, "messages": list(group.task.messages)} for c in group.completions]
    scores = [score.value for score in found.score_many(rows)]
    assert [scores[i] for i in by_length] == pytest.approx(trained.tolist(), abs=1e-5)
    assert scores[0] != scores[1]


@pytest.mark.parametrize("trained_here", [True, False])
def test_arguments_reach_its_chat_template(tmp_path, trained_here):
    policy = make_policy()
    policy.tokenizer.chat_template = "{% if quiet %}<|user|>{% endif %}" + CHATML
    model = ValueModel.from_policy(policy)
    torch.nn.init.normal_(model.model.score.weight)
    model.save(tmp_path / "asked")
    if not trained_here:
        config = tmp_path / "asked" / "config.json"
        config.write_text(
            json.dumps({k: v for k, v in json.loads(config.read_text()).items() if k != "score_token_id"})
        )
    shutil.copytree(tmp_path / "asked", tmp_path / "fixed")
    template = AutoTokenizer.from_pretrained(tmp_path / "asked")
    template.chat_template = "<|user|>" + CHATML
    template.save_pretrained(tmp_path / "fixed")

    def score(folder, **options):
        found = get_verifier("reward_model").with_options({"model": str(tmp_path / folder), "device": "cpu", **options})
        (score,) = found.score_many([{"response": "4", "messages": [{"role": "user", "content": "2+2"}]}])
        return score.value

    assert score("asked", chat={"quiet": True}) == score("fixed") != score("asked")
