"""What one tree does, as facts to compare: run by `same.py` inside each tree.

Everything goes through ``python -m grpo_kit`` (in forked processes, so that each starts in milliseconds) and the few public
imports of the docs; a refactor that moves modules moves nothing here.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import importlib
import importlib.metadata
import json
import os
import re
import runpy
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

RECIPE = """\
algorithm: grpo
threads: 1
device: cpu
model:
  scratch: {hidden_size: 32, intermediate_size: 64, layers: 2, heads: 2, context_length: 256}
data: {task: addition, level: 1, max_prompt_tokens: 64}
verifiers:
  - {name: "odd.py:odd"}
scoring: {workers: 0, max_rejected_gold: 1.0}
rollout: {prompts_per_step: 4, group_size: 4, max_tokens: 8}
optimizer: {learning_rate: 1.0e-2, schedule: linear}
train: {steps: 3, token_budget: 128, save_every: 1, keep_last: 3, updates_per_batch: 2, epochs_per_batch: 2}
evaluation: {tasks: 4, samples: 2, every: 2}
"""
# Half of all texts are right, whatever they say, so that an untrained model has something to learn; and a signal when asked.
VERIFIER = '''\
import os
import signal

from grpo_kit.verifiers import verifier

calls = 0


@verifier(name="odd", timeout=5.0)
def odd(response: str) -> float:
    """Half of all texts."""
    global calls
    calls += 1
    if str(calls) == os.environ.get("SIGNAL_AT_CALL"):
        os.kill(int(os.environ["SIGNAL_TO"]), signal.SIGTERM)
    return float(sum(map(ord, response)) % 2)
'''
# What the rows leave out, by settings that no row has.
MORE_RUNS = {
    "warm start, reference, best": ["warm_start={steps: 4, batch_size: 4}", "objective.beta=0.05", "train.keep_best=1"],
    "rows of a file, critic": ["algorithm=ppo", "data={path: rows.jsonl, max_prompt_tokens: 64}"],
    "scoring in a worker": ["scoring.workers=1"],
    "entropy, length, correction": ["objective={entropy_bonus: 0.01, aggregation: constant_length, rejection: token}"],
    "a seed, many rows": ["seed=7", "rollout.max_rows=4", "train.epochs_per_batch=1"],
    "online labels": ["algorithm=kto", "examples=null", "objective.data=sampled"],
    "labels of an online row": ["objective.family=labels", "objective.beta=0.1"],
    "an online row of a record": ["objective.data=recorded", "examples={rollouts: record}"],
    "online pairs, another loss": ["algorithm=online_dpo", "objective.pair_loss=ipo"],
    "pairs of a record": ["algorithm=dpo", "examples={rollouts: record}"],
}
# One of every family, surrogate and kind of returns.
QUICK = (
    "reinforce", "grpo", "cispo", "sapo", "dppo", "ppo", "ppo_penalty", "trpo", "gspo", "dpo", "kto", "reward_model",
)  # fmt: skip
RESUMED_ACROSS = ("grpo", "ppo", "trpo", "dpo")
TIMED = re.compile(r"^(seconds|tokens_per|utilisation|mfu|memory)|latency|per_second")
OF_TIMING = re.compile(r"^(staleness|engine)/|^policy_version$")  # of a run that samples ahead
SCRUBBED = [
    (re.compile(r"tok/s +[\d.,]+[kM]?"), "tok/s N"),
    (re.compile(r"(done in|in|time) [\d.]+ (s|min|ms|h)\b"), r"\1 N"),
    (re.compile(r"\b[\d.]+ (ms|s|min)\b"), "N s"),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "http://SERVER"),
]
ASKS_A_SERVICE = ("judge",)
EXIT_USAGE = 2
SLOW = ("torch", "transformers.models.qwen2.modeling_qwen2", "transformers.models.qwen2.tokenization_qwen2")
# Of every family that has a policy, in little time.
GOLDEN_RUNS = ("grpo", "ppo", "dpo", "kto")
ROUNDING = ("mismatch/",)  # differences of rounding and nothing else: another on every machine
PACKAGES = ("torch", "transformers", "pydantic", "typer", "sympy")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def command(*arguments: object, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and all output of ``python -m grpo_kit``, in a fork of this process."""
    words = list(map(str, arguments))
    with open("output.txt", "wb") as output:
        code = forked(lambda: become(words, environment or {}, output.fileno()))
    learn((*words[:2], *words[-1:]) if words[-1:] == ["--help"] else tuple(words[:2]))  # help imports next to nothing
    return code, Path("output.txt").read_text(encoding="utf-8", errors="replace")


def forked(work: Callable[[], None]) -> int:
    """The exit code of a process that does this and no more."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def become(words: list[str], environment: dict[str, str], output: int) -> None:
    """Never returns: the fork becomes the command."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(environment, SIGNAL_TO=str(os.getpid()))
    before = set(sys.modules)
    sys.argv = ["grpo-kit", *words]
    try:
        runpy.run_module("grpo_kit", run_name="__main__", alter_sys=True)
    finally:
        Path("imported.txt").write_text("\n".join(name for name in list(sys.modules) if name not in before))


LEARNT: set[tuple[str, ...]] = set()


def learn(words: tuple[str, ...]) -> None:
    """Import what the first command of its kind imported, so that later forks have it at once. Nothing of ours is named here."""
    if words in LEARNT or not Path("imported.txt").exists():
        return
    LEARNT.add(words)
    for name in Path("imported.txt").read_text().split("\n"):
        if name and not name.endswith("__main__"):
            with contextlib.suppress(BaseException):  # something optional, half made; a run gets it as it always did
                importlib.import_module(name)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def scrub(text: str, places: dict[str, str]) -> str:
    """Without what differs between two places and two moments."""
    for place, name in places.items():
        text = text.replace(place, name)
    for pattern, name in SCRUBBED:
        text = pattern.sub(name, text)
    return text


# --- the command line -------------------------------------------------------------------------------------------------


class Probe:
    """Answers one request. places: what stands for which path in texts."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request, self.quick = request, request["quick"]
        self.places = {str(Path.cwd()): "SCRATCH", request["tree"] or "NO TREE": "TREE"}

    def text(self, *arguments: object, **options: Any) -> dict[str, Any]:
        code, output = command(*arguments, **options)
        return {"exit": code, "output": [line.rstrip() for line in scrub(output, self.places).splitlines()]}

    def help(self) -> dict[str, Any]:
        """The help of every command, found from the help of those above."""
        found, left = {}, [()]
        while left:
            path: tuple[str, ...] = left.pop(0)
            said = self.text(*path, "--help")
            found[" ".join(("grpo-kit", *path))] = said
            inside = False
            for line in said["output"]:
                if inside and (name := re.match(r"  (\w[\w-]*)(  |$)", line)):
                    left.append((*path, name[1]))
                inside = line == "Commands:" or (inside and line.startswith(" "))
        return found

    def config(self, rows: bool = True) -> dict[str, Any]:
        """Recipes with every default, the schema, and the tables of algorithms and verifiers."""
        listed = self.text("recipes", "ls")
        found: dict[str, Any] = {"grpo-kit recipes ls": listed}
        for name in (line.split()[0] for line in listed["output"] if line.strip()):
            code, output = command("config", "resolve", name)
            found[f"recipe {name}"] = yaml.load(output, LOADER) if code == 0 else self.text("config", "resolve", name)
        code, output = command("config", "schema")
        found["schema"] = json.loads(output) if code == 0 else output
        found["grpo-kit algorithms"] = self.text("algorithms")
        for name in self.algorithms() if rows else ():
            found[f"algorithm {name}"] = self.text("algorithms", name)
        found["grpo-kit verifiers ls"] = self.text("verifiers", "ls")
        return found

    def algorithms(self) -> list[str]:
        """The rows of the table, as the command prints them: after the heading, until the remark."""
        _, output = command("algorithms")
        lines = [line for line in output.splitlines()[1:] if line.strip() and not line.startswith("`")]
        return [line.split()[0] for line in lines]

    # --- runs ---------------------------------------------------------------------------------------------------------

    def prepare_runs(self, record: bool = True) -> None:
        """A recipe, a verifier, some data; and a run whose rollouts others learn from."""
        for name in SLOW:  # a first run imports them, and so would this process after it
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        Path("tiny.yaml").write_text(RECIPE)
        Path("odd.py").write_text(VERIFIER)
        rows = [{"prompt": f"{a}+{3 * a + 1}=", "answer": str(4 * a + 1)} for a in range(14)]
        Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        if record and not Path("record").exists():
            code, output = command("train", "tiny.yaml", "--run-dir", "record")
            if code:
                raise RuntimeError(f"the first run failed:\n{output[-3000:]}")

    def settings(self, algorithm: str) -> list[str]:
        """What a row needs beside its name, by what the table says of it."""
        said = " ".join(" ".join(self.text("algorithms", algorithm)["output"]).split())
        found = [f"algorithm={algorithm}"]
        if algorithm == "offline_pg":
            found.append("examples={rollouts: record}")
        elif "data recorded" in said:
            found.append("examples.demonstrations=true")
        if "mask_truncated true" in said.lower():
            found.append("objective.mask_truncated=false")  # an untrained model never ends its response
        return found

    def golden(self) -> dict[str, Any]:
        """What must be the same on every machine with the same packages: see `same.py --golden`."""
        found = {"help": self.help(), "config": self.config(rows=False)}
        self.prepare_runs(record=False)
        metrics: dict[str, Any] = {}
        for name in GOLDEN_RUNS:
            settings = [*self.settings(name), "train.steps=2", "train.save_every=null", "evaluation=null"]
            run = self.train(f"golden-{name}", settings)
            metrics[name] = [
                {k: v for k, v in row.items() if isinstance(v, float) and not k.startswith(ROUNDING)}
                for row in run["metrics"]
            ]
        return {
            **found,
            "metrics": metrics,
            "packages": {name: importlib.metadata.version(name).split("+")[0] for name in PACKAGES},
        }

    def rows(self) -> dict[str, Any]:
        """Every row of the table and some runs beside it: straight through, and again from its first checkpoint."""
        self.prepare_runs()
        rows = self.algorithms()
        chosen = [name for name in rows if name in QUICK] if self.quick else rows
        runs = {name: self.settings(name) for name in chosen}
        runs |= dict(list(MORE_RUNS.items())[:2] if self.quick else MORE_RUNS.items())
        if self.request["rows"]:
            everything = {name: self.settings(name) for name in rows} | MORE_RUNS
            runs = {name: everything[name] for name in self.request["rows"] if name in everything}
        found: dict[str, Any] = {"table": rows}
        for name, settings in runs.items():
            folder = name.replace(" ", "_").replace(",", "")
            found[name] = self.train(folder, settings)
            if found[name]["exit"] == EXIT_USAGE:  # a loss that has no ratio takes one update of a batch
                settings += ["train.updates_per_batch=1", "train.epochs_per_batch=1"]
                found[name] = self.train(folder, settings)
            if Path(folder).exists():
                shutil.copytree(folder, f"{folder}-again")
                again = self.train(f"{folder}-again", settings, "--resume", "1")
                found[name]["resumed after step 1"] = again
                found[name]["resumed as straight"] = again["model"] == found[name]["model"]
        return found

    def train(self, folder: str, settings: list[str], *options: str, **more: Any) -> dict[str, Any]:
        code, output = command("train", "tiny.yaml", *settings, "--run-dir", folder, *options, **more)
        said = scrub(output, self.places).splitlines()
        return {"exit": code, "console": [line.rstrip() for line in said], **self.run_facts(Path(folder))}

    def run_facts(self, run: Path, ahead: bool = False) -> dict[str, Any]:
        """Weights bit for bit; metrics and rollouts number for number; which files there are."""
        model = sorted(p for p in (run / "model").glob("*") if p.is_file())
        rollouts = sorted((run / "rollouts").glob("*.jsonl.gz"))
        config = run / "config.yaml"
        return {
            "model": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in model},
            "metrics": [self.untimed(row, ahead) for row in self.lines(run / "metrics.jsonl")],
            "rollouts": {p.name: [self.untimed(row, ahead) for row in self.lines(p)] for p in rollouts},
            "config": yaml.load(scrub(config.read_text(), self.places), LOADER) if config.exists() else None,
            "files": sorted(str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()),
        }

    def lines(self, path: Path) -> list[Any]:
        """The rows of a JSONL file, or the one of a JSON file, without paths of this machine."""
        if not path.exists():
            return []
        text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
        for place, name in self.places.items():
            text = text.replace(place, name)
        return [json.loads(text)] if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]

    def untimed(self, row: dict[str, Any], ahead: bool) -> dict[str, Any]:
        return {k: v for k, v in row.items() if not TIMED.search(k) and not (ahead and OF_TIMING.search(k))}

    def stop(self) -> dict[str, Any]:
        """A signal in the middle of the second step, and on from there."""
        self.prepare_runs()
        found = {}
        for name in ("grpo",) if self.quick else ("grpo", "ppo"):
            settings = [f"algorithm={name}", "train.steps=4", "evaluation=null", "scoring.workers=1"]
            settings.append("scoring.environment=[SIGNAL_TO, SIGNAL_AT_CALL]")
            stopped = self.train(f"stopped-{name}", settings, environment={"SIGNAL_AT_CALL": "40"})
            gone_on = self.train(f"stopped-{name}", settings, "--resume")
            straight = self.train(f"unstopped-{name}", settings)
            same = straight["model"] == gone_on["model"]
            found[name] = {"stopped": stopped, "gone on": gone_on, "bit for bit as without the stop": same}
        return found

    def resume(self) -> dict[str, Any]:
        """Runs of the other tree, gone on with in this one. What they must end as is what the other tree ended with."""
        self.prepare_runs()
        found = {}
        for name in RESUMED_ACROSS[: 2 if self.quick else None]:
            settings = self.settings(name)
            straight = self.train(f"across-{name}", settings)
            folder = self.request["other"] and Path(self.request["other"]) / f"across-{name}"
            if folder:
                shutil.copytree(folder, f"taken-over-{name}")
                straight = self.train(f"taken-over-{name}", settings, "--resume", "1")
                straight.pop("console")
            found[name] = {key: straight.get(key) for key in ("exit", "model", "metrics", "rollouts")}
        return found

    def ahead(self) -> dict[str, Any]:
        """Sampling ahead from a server whose answers depend on nothing but what it is asked."""
        self.prepare_runs()
        url = self.request["server"]
        common = ["rollout.engine=vllm_server", f"rollout.vllm.servers=[{url}]", "rollout.vllm.transfer=folder"]
        common += ["rollout.vllm.probe_tolerance=1000", "objective.correction=truncated", "train.steps=5"]
        runs = {"one step ahead": ["rollout.max_staleness=1"], "in step": []}
        if not self.quick:
            runs["two steps ahead, dapo"] = [
                "algorithm=dapo", "rollout.max_staleness=2", "objective.mask_truncated=false", "rollout.prompts_per_step=8",
            ]  # fmt: skip
            runs["changed in flight"] = ["rollout.max_staleness=2", "rollout.vllm.update=in_flight"]
        found = {}
        for name, settings in runs.items():
            folder = name.replace(" ", "_").replace(",", "")
            code, output = command("train", "tiny.yaml", *common, *settings, "--run-dir", folder)
            found[name] = {"exit": code, **self.run_facts(Path(folder), ahead=True)}
            if code:
                found[name]["console"] = scrub(output, self.places).splitlines()
        return found

    def commands(self) -> dict[str, Any]:
        """What the other commands say of a run, and of what is wrong."""
        self.prepare_runs()
        for path in Path("record/rollouts").iterdir():  # whose hash is printed and holds the time of writing
            path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), mtime=0))
        said = {
            "version": ["--version"],
            "dry run": ["train", "tiny.yaml", "--dry-run"],
            "plan": ["plan", "grpo/gsm8k_qwen2.5-0.5b", "--gpus", "1x24GB"],
            "rollouts": ["rollouts", "record", "--limit", "3"],
            "replay": ["replay", "record", "--step", "2"],
            "score": ["score", "record", "--verifier", "odd.py:odd", "--out", "scored"],
            "eval": [
                "eval",
                "record",
                "--tasks",
                "addition",
                "--limit",
                "4",
                "-n",
                "2",
                "--workers",
                "0",
                "--out",
                "evaluated",
            ],
            "report": ["report", "record"],
            "no recipe": ["train", "missing.yaml"],
            "no such key": ["train", "tiny.yaml", "rollout.groups=3"],
            "no such value": ["train", "tiny.yaml", "algorithm=grop"],
            "two problems": ["train", "tiny.yaml", "train.steps=-1", "optimizer.learning_rate=fast"],
            "not an override": ["train", "tiny.yaml", "steps"],
            "a folder that is taken": ["train", "tiny.yaml", "--run-dir", "record"],
            "not a run": ["report", "missing"],
            "no such verifier": ["verifiers", "show", "mth"],
            "no such option": ["train", "tiny.yaml", "--fast"],
        }
        found: dict[str, Any] = {name: self.text(*arguments) for name, arguments in said.items()}
        for folder in ("scored", "evaluated"):
            for path in sorted(Path(folder).rglob("*.json*")):
                found[str(path)] = [
                    self.untimed(row, False) if isinstance(row, dict) else row for row in self.lines(path)
                ]
        return found

    def verifiers(self) -> dict[str, Any]:
        """Each shipped verifier on its own cases and the attacks, by `grpo-kit verifiers test`."""
        _, output = command("verifiers", "ls")
        names = [line.split()[0] for line in output.splitlines() if line.strip()]
        found: dict[str, Any] = {}
        for place, name in enumerate(names):
            if name not in ASKS_A_SERVICE and not (self.quick and place % 3):
                said = self.text("verifiers", "test", name)
                # Columns are as wide as the seconds.
                found[name] = {**said, "output": [" ".join(line.split()) for line in said["output"]]}
            shown = self.text("verifiers", "show", name)
            found[f"{name}, shown"] = [re.sub(r"TREE/[\w/.]+:\d+", "FILE", line) for line in shown["output"]]
        return found


def parts(probe: Probe) -> dict[str, Callable[[], dict[str, Any]]]:
    import same_verdicts

    inputs, quick = Path(probe.request["inputs"]), probe.quick
    own = ("help", "config", "rows", "stop", "resume", "ahead", "commands", "verifiers", "golden")
    return {name: getattr(probe, name) for name in own} | {
        "verdicts": lambda: alone(lambda: same_verdicts.digests(inputs)),
        "math": lambda: alone(lambda: same_verdicts.math(inputs, quick)),
        "answers": lambda: alone(lambda: same_verdicts.answers(inputs)),
        "sandbox": lambda: alone(lambda: same_verdicts.sandbox(inputs, quick)),
    }


def alone(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What this gives in a fork: threads and pools that it starts end with it."""
    code = forked(lambda: Path("alone.json").write_text(json.dumps(work())) and None)
    if code:
        raise RuntimeError(f"ended with code {code}; its traceback is above")
    return json.loads(Path("alone.json").read_text())


def main() -> None:
    """Answer each part that standard input names with a file of facts and a line."""
    probe = Probe(json.loads(sys.argv[1]))
    import grpo_kit

    if probe.request["tree"] and Path(grpo_kit.__file__).parents[1] != Path(probe.request["tree"]):
        raise SystemExit(f"import grpo_kit gives {grpo_kit.__file__}, which is another tree")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    known = parts(probe)
    for line in sys.stdin:
        name = line.strip()
        try:
            facts = known[name]()
        except Exception:
            facts = {"could not be probed": scrub(traceback.format_exc(), probe.places).splitlines()}
        Path(f"{name}.json").write_text(json.dumps(facts))
        print(sum(os.times()[:4]), file=answers, flush=True)


if __name__ == "__main__":
    main()
