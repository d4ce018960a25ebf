"""Whatever is wrong with what a user gives: exit code 2, one clear paragraph before any expensive work, an untouched disk."""

import json
import shutil

import pytest

RECIPE = """\
algorithm: grpo
model:
  scratch: {hidden_size: 32, intermediate_size: 64, layers: 2, heads: 2, context_length: 128}
data: {task: addition, level: 1, max_prompt_tokens: 64}
verifiers: [{name: math}]
scoring: {workers: 0}
rollout: {prompts_per_step: 4, group_size: 4, max_tokens: 8}
train: {steps: 3, token_budget: 256}
"""


def rows(count=8, **more):
    return [{"prompt": f"{i}+1=", "answer": str(i + 1), **more} for i in range(count)]


def lines(items):
    return "".join(json.dumps(item) + "\n" for item in items)


FILES = {
    "tiny.yaml": RECIPE,
    "not.yaml": "a: [1",
    "list.yaml": "- 1\n- 2\n",
    "empty.yaml": "",
    "twice.yaml": RECIPE + "seed: 1\nseed: 2\n",
    "binary.yaml": b"\xff\xfe\x00\x81",
    "good.jsonl": lines(rows()),
    "empty.jsonl": "",
    "broken.jsonl": lines(rows(2)) + "{not json\n",
    "numbers.jsonl": "1\n2\n",
    "binary.jsonl": b"\xff\xfe\x00\x81\n",
    "blank.jsonl": lines([{"prompt": " ", "answer": "1"}]),
    "talk.jsonl": lines([{"prompt": [{"who": "me"}], "answer": "1"}]),
    "unreadable.jsonl": lines([{"prompt": f"{i}", "answer": "not } readable {"} for i in range(8)]),
    "garbage.parquet": b"PAR1 and nothing else",
    "header.csv": "prompt,answer\n",
    "syntax.py": "def f(response:\n",
    "raises.py": "raise RuntimeError('no')\n",
    "plain.py": "def f(response):\n    return 1.0\n",
    "folder/file.txt": "x",
    "nomodel/readme.txt": "x",
    "badmodel/config.json": "{",
    "badrun/config.yaml": "algorithm: [",
}
DATA = ["data.task=null"]
MODEL = "model.scratch=null"
# arguments after `train tiny.yaml`, and what the message must say
TRAIN = {
    "unknown key": (["train.stepz=3"], "unknown key train.stepz"),
    "wrong type": (["train.steps=many"], "train.steps: found 'many'"),
    "no steps": (["train.steps=0"], "train.steps"),
    "unknown algorithm": (["algorithm=grop"], "Did you mean grpo"),
    "an algorithm file that is not there": (["algorithm=no.py:row"], "no.py"),
    "override without a value": (["train.steps"], "train.steps"),
    "override inside a number": (["seed.x=3"], "seed"),
    "top_p": (["rollout.top_p=0.9"], "top_p cuts the distribution"),
    "a penalty": (["rollout.repetition_penalty=1.1"], "repetition_penalty is not offered"),
    "group of one": (["rollout.group_size=1"], "leaves nothing to compare"),
    "updates that do not divide": (["train.updates_per_batch=3"], "must divide"),
    "two models": (["model={path: x, scratch: {}}"], "give either path or scratch"),
    "temperature of zero": (["rollout.temperature=0"], "rollout.temperature"),
    "heads that do not divide": (["model.scratch.heads=3"], "must be an even multiple"),
    "no verifier": (["verifiers=[]"], "verifiers"),
    "a template without its place": (["data.prompt_template=x"], "must contain {prompt}"),
    "warm start on a file": ([*DATA, "data.path=good.jsonl", "warm_start={}"], "warm_start needs a procedural"),
    "examples for grpo": (["examples={demonstrations: true}"], "takes no examples"),
    "context too small": (["rollout.max_tokens=100"], "do not fit the model's context of 128"),
    "unknown dtype": (["model.dtype=int8"], "model.dtype"),
    "unknown device": (["device=banana"], "device"),
    "a device that is not there": (["device=cuda:7"], "device"),
    "unknown task": (["data.task=additon"], "additon"),
    "task and file": (["data.path=good.jsonl"], "exactly one of task"),
    "no data file": ([*DATA, "data.path=no.jsonl"], "no such file"),
    "empty data file": ([*DATA, "data.path=empty.jsonl"], "is empty"),
    "broken line": ([*DATA, "data.path=broken.jsonl"], "broken.jsonl:3: not valid JSON"),
    "a line that is no object": ([*DATA, "data.path=numbers.jsonl"], "must be a JSON object"),
    "not text": ([*DATA, "data.path=binary.jsonl"], "binary.jsonl"),
    "no such column": ([*DATA, "data.path=good.jsonl", "data.fields.answer=anwser"], "Did you mean answer"),
    "bad pattern": ([*DATA, "data.path=good.jsonl", "data.answer_pattern=("], "is not a regular expression"),
    "pattern without a group": ([*DATA, "data.path=good.jsonl", "data.answer_pattern=x"], "needs a group"),
    "pattern that finds nothing": (
        [*DATA, "data.path=good.jsonl", "data.answer_pattern=(x)"],
        "finds nothing in row 0",
    ),
    "empty prompt": ([*DATA, "data.path=blank.jsonl"], "the prompt is empty"),
    "conversation of another kind": ([*DATA, "data.path=talk.jsonl"], "a message is an object with role and content"),
    "gold that its verifier rejects": ([*DATA, "data.path=unreadable.jsonl"], "does not accept the gold answer"),
    "damaged parquet": ([*DATA, "data.path=garbage.parquet"], "could not be read"),
    "header only": ([*DATA, "data.path=header.csv"], "header.csv"),
    "too few prompts": ([*DATA, "data.path=good.jsonl", "rollout.prompts_per_step=32"], "different prompts are wanted"),
    "no prompt short enough": (["data.max_prompt_tokens=3"], "data.max_prompt_tokens: no prompt"),
    "no model folder": ([MODEL, "model.path=./nothing"], "it does not exist"),
    "not a model folder": ([MODEL, "model.path=./nomodel"], "it has no config.json"),
    "damaged model config": ([MODEL, "model.path=./badmodel"], "model.path: ./badmodel could not be loaded"),
    "model without weights": ([MODEL, "model.path=./noweights"], "holds no weights"),
    "model with truncated weights": ([MODEL, "model.path=./cutweights"], "model.safetensors is damaged"),
    "model with a missing shard": ([MODEL, "model.path=./lostshard"], "lacks"),
    "unknown verifier": (["verifiers.0.name=mth"], "no verifier named 'mth'"),
    "no verifier file": (["verifiers.0.name=no.py:f"], "no such verifier file"),
    "verifier file with a typo": (["verifiers.0.name=syntax.py:f"], "syntax.py"),
    "verifier file that raises": (["verifiers.0.name=raises.py:f"], "raises.py"),
    "verifier function missing": (["verifiers.0.name=plain.py:g"], "plain.py"),
    "verifier option unknown": (["verifiers.0.options={colour: red}"], "colour"),
    "verifier module missing": (["verifiers.0.name=no_such_package.x:f"], "no_such_package"),
    "run directory in use": (["--run-dir", "folder"], "never reused"),
    "run directory is a file": (["--run-dir", "good.jsonl"], "never reused"),
    "run directory below a file": (["--run-dir", "good.jsonl/run"], "good.jsonl"),
    "resume without a run": (["--resume"], "--resume needs --run-dir"),
    "resume of another folder": (["--resume", "--run-dir", "folder"], "is not a run directory"),
    "resume of a damaged recipe": (["--resume", "--run-dir", "badrun"], "config.yaml"),
    "resume of no step": (["--resume", "7", "--run-dir", "RUN"], "has no checkpoint of step 7; there are: 1, 2"),
    "resume of a finished run": (["--resume", "--run-dir", "DONE"], "this run is finished: 3 of 3"),
    "resume with other learning": (
        ["--resume", "--run-dir", "RUN", "optimizer.learning_rate=1", "seed=5"],
        "optimizer.learning_rate: 1e-06 -> 1.0",
    ),
    "resume and fork": (["--resume", "--fork", "RUN@1", "--run-dir", "RUN"], "give one of them"),
    "resume where all is damaged": (["--resume", "--run-dir", "WRECK"], "holds no usable checkpoint"),
    "fork of nothing": (["--fork", "nowhere@1"], "nowhere is not a run directory"),
    "fork of no step": (["--fork", "RUN@9"], "has no checkpoint of step 9"),
    "fork of a word": (["--fork", "RUN@last"], "write RUN@STEP"),
    "fork that is done": (["--fork", "RUN@2", "train.steps=2"], "2 steps are done there"),
    "fork of another model": (["--fork", "RUN@2", "model.scratch.layers=1"], "the model section must be that of"),
    "unknown option": (["--resme"], "No such option"),
}
OTHER = {
    "no recipe": (["train", "no.yaml"], "no recipe at no.yaml"),
    "recipe is a folder": (["train", "folder"], "is a folder"),
    "recipe is no YAML": (["train", "not.yaml"], "not.yaml"),
    "recipe is a list": (["train", "list.yaml"], "list.yaml"),
    "recipe is empty": (["train", "empty.yaml"], "empty.yaml"),
    "recipe with a key twice": (["train", "twice.yaml"], "seed"),
    "recipe is binary": (["train", "binary.yaml"], "binary.yaml"),
    "no such command": (["trian"], "No such command"),
    "report of no run": (["report", "folder"], "is neither a run"),
    "rollouts of no run": (["rollouts", "folder"], "has no rollouts"),
    "replay of no run": (["replay", "folder", "--step", "1"], "is not a run directory"),
    "replay of no step": (["replay", "DONE", "--step", "9"], "has no rollouts of that step"),
    "replay of step zero": (["replay", "DONE", "--step", "0"], "--step"),
    "unknown recipe shown": (["recipes", "show", "grpo/gsm9k"], "Did you mean"),
    "recipe copied over a file": (["recipes", "cp", "grpo/gsm8k", "tiny.yaml"], "exists"),
    "scoring no file": (["score", "no.jsonl", "--verifier", "math"], "no.jsonl"),
    "comparing nothing": (["compare", "no", "folder"], "no"),
    "evaluating nothing": (["eval", "./nothing", "--tasks", "addition", "--out", "out"], "nothing"),
}


@pytest.fixture(scope="module")
def place(zygote):
    """A folder with everything broken in it, and one run that is cut, one that is done, one that is wrecked."""
    folder = zygote.folder
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = zygote.run("train", "tiny.yaml", "--run-dir", "DONE", "train.save_every=1")
    assert done.code == 0, done.output
    fault = ("kill_in_phase", {"phase": "update", "entry": 3})
    assert zygote.run("train", "tiny.yaml", "--run-dir", "RUN", "train.save_every=1", faults=[fault]).code == -9
    shutil.copytree(folder / "RUN", folder / "WRECK")
    for manifest in (folder / "WRECK").rglob("manifest.json"):
        manifest.write_text("{")
    model = folder / "DONE" / "model"
    for name in ("noweights", "cutweights", "lostshard"):
        shutil.copytree(model, folder / name, dirs_exist_ok=True)
    (folder / "noweights" / "model.safetensors").unlink()
    weights = (folder / "cutweights" / "model.safetensors").read_bytes()
    (folder / "cutweights" / "model.safetensors").write_bytes(weights[:-1000])
    (folder / "lostshard" / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}
    (folder / "lostshard" / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def everything(folder):
    return {
        str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns)
        for p in folder.rglob("*")
        if p.name != "output.txt" and "__pycache__" not in str(p)
    }


def check(zygote, place, arguments, expected):
    before = everything(place)
    outcome = zygote.run(*arguments)
    said = " ".join(outcome.output.split())
    assert outcome.code == 2, outcome.output
    assert expected in said
    assert "Traceback" not in outcome.output
    assert len(outcome.output) < 2500
    assert everything(place) == before


@pytest.mark.parametrize("case", TRAIN)
def test_training(zygote, place, case):
    arguments, expected = TRAIN[case]
    check(zygote, place, ["train", "tiny.yaml", *arguments], expected)


@pytest.mark.parametrize("case", OTHER)
def test_other_commands_and_recipes(zygote, place, case):
    arguments, expected = OTHER[case]
    check(zygote, place, arguments, expected)


def test_a_changed_dataset_is_refused(zygote, place):
    data = ["data.task=null", "data.path=changing.jsonl", "train.save_every=1"]
    (place / "changing.jsonl").write_text(lines(rows()))
    fault = ("kill_in_phase", {"phase": "update", "entry": 3})
    assert zygote.run("train", "tiny.yaml", "--run-dir", "CHANGED", *data, faults=[fault]).code == -9
    (place / "changing.jsonl").write_text(lines(rows(9)))
    check(
        zygote, place, ["train", "CHANGED/config.yaml", "--run-dir", "CHANGED", "--resume"],
        "this is not the data that the checkpoint was trained on",
    )  # fmt: skip
