"""Secrets: out of worker processes, out of what a run writes down, and alias bombs out of recipes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from grpo_kit.config.explain import all_keys
from grpo_kit.config.read import load_recipe
from grpo_kit.config.source import parse_yaml
from grpo_kit.errors import UserError
from grpo_kit.observe.run_directory import RunDirectory, environment
from grpo_kit.run.resume import changes
from grpo_kit.runtime.secrets import is_secret_name, mask, mask_arguments, needed_environment
from grpo_kit.scoring import Scorer, VerifierSpec
from grpo_kit.types import Completion, Task
from tests.kit.patience import HANGS

SECRETS = {
    "HF_TOKEN": "hf_abcdefghijklmnopqrstuvwx",
    "WANDB_API_KEY": "0123456789abcdef0123",
    "AWS_SECRET_ACCESS_KEY": "awsawsawsaws",
    "AWS_ACCESS_KEY_ID": "AKIAABCDEFGHIJKLMNOP",
    "OPENAI_API_KEY": "sk-0123456789abcdef0123",
    "GITHUB_TOKEN": "ghp_0123456789abcdef0123456789",
    "MY_DB_PASSWORD": "correct horse",
    "SOMETHING_ELSE": "not needed",
}


@pytest.fixture
def secrets(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def test_what_processes_get(secrets, monkeypatch):
    monkeypatch.setenv("HF_HOME", "/models")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    given = needed_environment()
    assert not SECRETS.keys() & given.keys()
    assert {"PATH", "HF_HOME", "CUDA_VISIBLE_DEVICES"} <= given.keys()
    assert needed_environment(["OPENAI_API_KEY"])["OPENAI_API_KEY"] == SECRETS["OPENAI_API_KEY"]


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "api_key", "judge.api-key", "DB_PASSWORD", "aws_secret_access_key", "auth"]
)
def test_names_of_secrets(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["max_tokens", "api_key_env", "answer_key", "author", "keyboard", *all_keys()])
def test_names_that_are_none(name):
    assert not isinstance(mask({name: 3})[name], str)
    assert not is_secret_name(name)


def test_a_mistake_on_the_command_line_shows_what_was_typed():
    typed = ["data.0={path: my.jsonl, max_prompt_tokens: 64}", "train.token_budget=0", "environment.turn_tokens=x"]
    assert mask_arguments(typed) == typed
    assert mask_arguments(["verifiers.0.options={judge_token: abcdefghij}"])[0].count("<masked") == 1


def seen(response: str, answer: str, name_env: str = "DEFAULT_NAMED") -> float:
    return float(os.environ.get(answer) is not None)


@pytest.mark.parametrize(
    ("environment", "options", "variable", "expected"),
    [
        ((), {}, "HF_TOKEN", 0.0),
        (("HF_TOKEN",), {}, "HF_TOKEN", 1.0),
        (("HF_TOKEN",), {}, "WANDB_API_KEY", 0.0),
        ((), {"name_env": "OPENAI_API_KEY"}, "OPENAI_API_KEY", 1.0),
        ((), {}, "PATH", 1.0),
    ],
)
def test_verifier_workers_see_what_the_recipe_names(secrets, environment, options, variable, expected):
    with Scorer([VerifierSpec(f"{__file__}:seen", options=options)], environment=environment) as scorer:
        task = Task("t", ({"role": "user", "content": "?"},), variable)
        ((score, _),) = scorer.score_completions(task, [Completion("t", 0, [1], [0.0], "x", "stop", 0)])
    assert score.value == expected


HIDDEN = [
    "verifiers.0.options.api_key=topsecret1",
    "x=hf_abcdefghijklmnopqrst",
    "v.options={api_key: topsecret1, a: 1}",
]


def test_command_lines_are_masked(secrets, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["grpo-kit", "train", "r", *HIDDEN])
    written = json.dumps(environment())
    assert "topsecret1" not in written
    assert "hf_abcdef" not in written
    assert mask_arguments(["--token", "topsecret1", "a=3"])[1:] == [mask("topsecret1", secret=True), "a=3"]
    assert SECRETS["MY_DB_PASSWORD"] not in mask_arguments([f"a=postgres {SECRETS['MY_DB_PASSWORD']}"])[0]
    assert "pw123" not in mask_arguments(["url=https://me:pw123@host/x"])[0]


KEY = "verifiers.0.options={api_key: %s}"


def test_a_runs_config_holds_no_secret_and_still_works(tmp_path, monkeypatch):
    config = load_recipe("quickstart/addition", [KEY % "topsecret1"])
    run = RunDirectory.create(tmp_path / "run", config)
    text = (run.path / "config.yaml").read_text()
    assert "topsecret1" not in text
    with pytest.raises(UserError, match=r"verifiers\.0\.options\.api_key was a secret.*give it again"):
        load_recipe(run.path / "config.yaml")
    again = load_recipe(run.path / "config.yaml", ["verifiers.0.options.api_key=topsecret1"])
    assert again == config
    before = load_recipe(run.path / "config.yaml", complete=False)
    assert changes(before, again) == []
    assert changes(before, load_recipe(run.path / "config.yaml", ["verifiers.0.options.api_key=other12345"])) != []
    monkeypatch.setenv("JUDGE_API_KEY", "topsecret1")
    assert load_recipe(run.path / "config.yaml") == config


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join(['*' + a] * 10)}]\n" for a, b in zip("abcdefghijklm", "bcdefghijklmn", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "aliases unfold to more than"),
        ("a: &a {b: *a}", "not valid YAML|within what it is an alias of"),
        ("a: &a [1, *a]", "within what it is an alias of"),
        ("a: " + "[" * 5000, "nested too deep|not valid YAML"),
        ("a: " + "x" * (2 << 20), "characters are no recipe"),
    ],
)
def test_recipes_that_would_never_end(text, message):
    with pytest.raises(UserError, match=message):
        parse_yaml(text, "r.yaml")


def test_a_bomb_on_the_command_line():
    with pytest.raises(UserError, match="within what it is an alias of"):
        load_recipe("quickstart/addition", ["data.task=&a [*a]"])


def test_honest_aliases_work():
    data = parse_yaml("a: &a {x: [1, 2]}\nb: *a\nc: [*a, *a]", "r.yaml").data
    assert data == yaml.safe_load("a: {x: [1, 2]}\nb: {x: [1, 2]}\nc: [{x: [1, 2]}, {x: [1, 2]}]")


def test_the_store_of_torchrun_listens_on_the_loopback_only():
    from datetime import timedelta

    from grpo_kit.run.elastic import local_store

    store = local_store("localhost", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=20))
    addresses = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, _, port = local.partition(":")
            if state == "0A" and int(port, 16) == store.port:
                addresses.add(address)
    assert addresses == {"0100007F"}
    store.set("a", "1")
    other = local_store("localhost", store.port, is_master=False, timeout=timedelta(seconds=20))
    assert other.get("a") == b"1"


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_no_server_is_launched_on_every_address(monkeypatch, tmp_path, host):
    from grpo_kit.generate import vllm_launch

    monkeypatch.setattr(vllm_launch, "require_vllm", lambda device: None)
    policy = SimpleNamespace(device=SimpleNamespace(type="cpu"))  # nothing of it is saved before the refusal
    servers = [SimpleNamespace(url=f"http://{host}:8000")]
    with pytest.raises(UserError, match="development endpoints"):
        vllm_launch.launch_servers(servers, policy, SimpleNamespace(), 400, tmp_path)


def test_a_launched_server_gets_no_secrets(secrets, monkeypatch, tmp_path):
    from grpo_kit.generate.vllm_http import ServerProcess

    monkeypatch.setenv("VLLM_API_KEY", "of the server")
    process = ServerProcess([], None, tmp_path / "log")
    process.command = [sys.executable, "-c", "import os; print(sorted(os.environ))"]
    process.start()
    process.popen.wait(HANGS)
    told = (tmp_path / "log").read_text()
    assert "VLLM_API_KEY" in told
    assert not [name for name in SECRETS if repr(name) in told]
