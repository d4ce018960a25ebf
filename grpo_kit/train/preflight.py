"""Everything that can be known to be wrong before the expensive work starts, and what the run will cost."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from grpo_kit.config import Config, DataConfig
from grpo_kit.config.read import load_recipe
from grpo_kit.data.chat import (
    NO_ARGUMENTS,
    OPENS_THINKING,
    check_stop_strings,
    left_out,
    opens_thinking,
    render,
    render_text,
    use_arguments,
)
from grpo_kit.data.checks import check_answers, check_evaluation, contradictions, few, prompts_of, repeated_ids
from grpo_kit.data.datasets import as_one, evaluation_tasks, training_sets
from grpo_kit.data.mixture import DataSet, MixedSource, unnamed
from grpo_kit.data.records import open_records
from grpo_kit.data.rows import is_one_file
from grpo_kit.data.samplers import check_shares, open_sampler
from grpo_kit.data.source import TaskSource
from grpo_kit.data.tasks import ProceduralSource
from grpo_kit.environments.opening import Setting
from grpo_kit.errors import UserError
from grpo_kit.evaluate.judge import Judge, find_judge
from grpo_kit.generate.engines import check_engine
from grpo_kit.generate.vllm_adapters import check_rank
from grpo_kit.objective.algorithms import ALGORITHMS, resolve_objective
from grpo_kit.objective.compatibility import refusals
from grpo_kit.objective.rows import Algorithm, Objective
from grpo_kit.objective.unread import idle, unread
from grpo_kit.plan.lengths import likely_response
from grpo_kit.plan.memory import Memory, machine_memory, memory_of, setting_of
from grpo_kit.plan.shape import ModelShape
from grpo_kit.policy.lora import check_base, check_targets
from grpo_kit.policy.models import autocast_dtype, model_skeleton, pick_device
from grpo_kit.policy.narrow import check_narrow
from grpo_kit.policy.pretrained import check_tokenizer, check_weights
from grpo_kit.runtime import ranks
from grpo_kit.runtime.model_folder import check_folder
from grpo_kit.types import Group, Score, Task
from grpo_kit.verifiers import get_verifier

from .assemble import longer_of, longest_evaluated, prepare_setting
from .batch import SELECTIONS
from .pairs import mine_pairs
from .reference import check_reference
from .steps import check_optimizer

GOLD_ROWS_CHECKED = 512
BYTES = 4  # float32 weights, gradients and optimizer state


@dataclass
class Plan:
    """What a run will do and need. prompt_tokens, response_tokens: means, as they are expected."""

    objective: Algorithm
    device: str
    parameters: int
    shape: ModelShape
    prompt_tokens: float
    response_tokens: float
    optimizer_steps: int
    completions: int
    most_tokens: int
    memory: Memory
    disk: int
    setting: Setting | None
    prompts: list[str]
    gold: list[tuple[str, str, Score]]  # task id, gold response, score
    gold_checked: int
    gold_rejected: list[str]
    skipped_long: int
    notes: list[str]  # what a person should know and nothing has to be refused for


def preflight(config: Config, run_path: Path | None) -> Plan:
    """Check a recipe against the machine, its data and its verifiers, and plan the run. Takes seconds.

    Raises:
        UserError: with what is wrong and how to mend it; nothing has been written.
    """
    objective = resolve_objective(config.algorithm, config.objective, config.sampled_by)
    _check_objective(config, objective)
    _check_temperature(config, objective)
    _check_adapters(config)
    check_optimizer(config.optimizer)
    check_optimizer(config.critic.optimizer, "critic.optimizer")
    if config.warm_start is not None:
        check_optimizer(config.warm_start.optimizer, "warm_start.optimizer")
    device = pick_device(config.device)
    if config.model.lora is not None:
        check_base(config.model.lora, autocast_dtype(config.model.dtype, device), device)
    if config.model.weight_dtype == "bfloat16":
        check_narrow(
            autocast_dtype(config.model.dtype, device),
            adapters=config.model.lora is not None,
            natural_gradient=objective.natural_gradient,
            averages=objective.keeps_target and objective.target_rate != 1.0,
        )
    check_engine(config.rollout, device.type)
    skeleton, tokenizer, notes = _check_model(config)
    notes += check_reference(config, objective, skeleton, tokenizer)
    notes += _idle_choices(config, objective)
    sets = training_sets(config)
    notes += _check_data(config, objective, sets, tokenizer, context_of(skeleton.config))
    setting = prepare_setting(config, tokenizer, as_one(sets))
    sampler = open_sampler(config, sets, tokenizer, longer_of(setting))
    first = sampler.next(max(1, config.rollout.prompts_per_step))
    refills = config.rollout.max_refills if objective.dynamic_sampling else 0
    check_shares(config, sets, tokenizer, longer_of(setting), refills)
    if setting is not None:
        first = [(task, setting.bridge.prompt(task)) for task in (setting.introduced(task) for task, _ in first)]
        if setting.told:
            notes.append("the chat template has no place for tools, so the prompt says in words how to call them")
    arguments = NO_ARGUMENTS if setting is None else setting.arguments
    dropped = list(dict.fromkeys(part for task, _ in first[:8] for part in left_out(task, tokenizer, arguments)))
    if dropped:
        notes.append(f"the chat template leaves out {_listed(dropped)}")
    if opens_thinking(first[0][0], tokenizer):
        _check_format(config)
        notes += _twice_opened(config, objective, tokenizer)
    gold = _check_gold_of_sets(config, sets, [task for task, _ in first], find_judge(config, sets))
    if gold.unshown:
        notes.append(
            f"{gold.unshown} of {gold.checked} tasks hold no response that passes: their tests were read, and nothing shows "
            "that they can be passed"
        )
    parameters = sum(p.numel() for p in skeleton.parameters())
    shape = ModelShape.of(skeleton.config)
    samples = config.rollout.group_size if not objective.recorded else 1
    completions = config.rollout.prompts_per_step * samples * config.train.steps
    disk = _disk_needed(config, parameters)
    if run_path is not None:
        _check_space(run_path, disk)
    return Plan(
        objective=objective,
        device=str(device),
        parameters=parameters,
        shape=shape,
        prompt_tokens=fmean(len(prompt.token_ids) for _, prompt in first),
        response_tokens=likely_response(config, tokenizer),
        optimizer_steps=updates_of(config),
        completions=completions,
        most_tokens=completions * config.rollout.max_tokens,
        memory=memory_of(
            setting_of(
                config,
                objective,
                shape,
                devices=1,
                device=device.type,
                device_bytes=machine_memory(device.type),
            )
        ),
        disk=disk,
        setting=setting,
        prompts=[render_text(task, tokenizer, arguments) for task, _ in first[:2]],
        gold=gold.shown,
        gold_checked=gold.checked - gold.unshown,
        gold_rejected=gold.rejected,
        skipped_long=sampler.skipped_long,
        notes=notes,
    )


def _check_model(config: Config) -> tuple[Any, Any, list[str]]:
    """The model's shape, its tokenizer, and what a person should know of them."""
    skeleton, tokenizer = model_skeleton(config.model)
    use_arguments(tokenizer, config.chat.arguments)
    check_stop_strings(config.rollout.stop, tokenizer)
    _check_context(config, skeleton.config)
    if config.model.lora is not None:
        check_targets(skeleton, config.model.lora)
    if config.critic.path is not None:
        check_folder(config.critic.path, "critic.path: ")
    path, notes = config.model.path, []
    if path is not None:
        check_tokenizer(tokenizer, skeleton, path)
        if unexpected := check_weights(path, skeleton):
            notes.append(
                f"model.path: {path} holds {len(unexpected)} weights that the model has no place for: {_listed(unexpected)}"
            )
    return skeleton, tokenizer, notes


def _check_data(
    config: Config, objective: Algorithm, sets: Sequence[DataSet], tokenizer: Any, context: int
) -> list[str]:
    """What a person should know of the data. Every row is read: one that cannot be would end the run at its turn."""
    notes, trained = [], set()
    for part, alone in zip(sets, each_alone(config), strict=True):
        notes += _check_set(part, alone)
        trained |= prompts_of(part.source)
    if config.evaluation is not None and config.evaluation.data is not None:
        notes += _ignored("evaluation.data", config.evaluation.data)
    wants_answers = any(verifier_wants_answer(v.name) for v in config.all_verifiers)
    if config.examples is not None:
        records = open_records(config, tokenizer, objective.learns_preferences, context, objective.scores_responses)
        notes += records.left_out
        groups = [records.group(i) for i in range(records.size)] if records.size is not None else records.next(1, 8)
        notes += _check_lessons(config, objective, groups)
        trained = {group.task.prompt for group in groups} if records.size is not None else set()
    if config.evaluation is not None:
        notes += _check_evaluation(config, objective, tokenizer, context, trained, wants_answers)
    warmup, updates = config.optimizer.warmup_steps, updates_of(config)
    if warmup >= updates > 2:
        notes.append(f"optimizer.warmup_steps {warmup} is not over when the run is, after {updates} updates")
    return notes


def each_alone(config: Config) -> list[Config]:
    """The recipe for each of its data sets alone."""
    return [config.of_set(entry) for entry in config.mixture] or [config]


def _check_set(part: DataSet, config: Config) -> list[str]:
    """What a person should know of one data set. config: the recipe for it alone."""
    source = unnamed(part.source)
    notes = contradictions(source, part.where)
    if skipped := getattr(source, "skipped", 0):
        key = "answer_pattern" if part.config.format == "columns" else f"format {part.config.format}"
        notes.append(f"{part.where}.{key}: {skipped} rows without an answer are left out")
    notes += _ignored(part.where, part.config)
    if any(verifier_wants_answer(v.name) for v in config.verifiers):
        rows = range(min(source.size or 0, GOLD_ROWS_CHECKED))
        notes += check_answers((source.task(i) for i in rows), part.config.fields.answer, part.where)
    return notes + repeated_ids(source, part.where)


def _check_evaluation(
    config: Config, objective: Algorithm, tokenizer: Any, context: int, trained: set[str], wants_answers: bool
) -> list[str]:
    assert config.evaluation is not None
    own = config.evaluation.data
    if objective.scores_responses:
        from .held_out_pairs import groups_with_pairs

        tasks, kind = [group.task for group in groups_with_pairs(config, tokenizer, context)], "pairs of prompts"
        fit = len(tasks)
    else:
        tasks, kind = evaluation_tasks(config), "problems"
        fit = sum(len(render(task, tokenizer).token_ids) <= longest_evaluated(config, task) for task in tasks)
    where = "evaluation" if own is None else "evaluation.data"
    # A file of its own is meant to be used whole, unless a number was asked for.
    asked = own is None or "tasks" in config.evaluation.model_fields_set
    notes = few(config.evaluation.tasks if asked else 0, len(tasks), fit, kind, where)
    if wants_answers and own is not None and not objective.scores_responses:
        notes += check_answers(tasks, own.fields.answer, where)
    if objective.scores_responses and own is None:
        return notes  # one prompt of a record may stand in several groups, all of them held out
    return notes + check_evaluation(tasks, trained, where)


def _ignored(section: str, data: DataConfig) -> list[str]:
    """What a section says of a data set and a single file does not have."""
    if data.path is None or not is_one_file(data.path):
        return []
    said = [f"{key} {getattr(data, key)}" for key in ("subset", "split") if key in data.model_fields_set]
    return [f"{section}.{' and '.join(said)}: {data.path} is one file and is read whole"] if said else []


def _check_lessons(config: Config, objective: Algorithm, groups: list[Group]) -> list[str]:
    """What a person should know of recorded groups. Raises UserError where the algorithm could never learn from them."""
    where = "examples.rollouts" if config.examples and config.examples.rollouts else "examples.path"
    if objective.learns_from_pairs and not mine_pairs(groups, 1, Counter()):
        raise UserError(
            f"{where}: {config.algorithm} learns from pairs, and none of the {len(groups)} prompts has a better and a worse "
            "response; give columns chosen and rejected, or a run whose groups do not agree"
        )
    if objective.selects and not any(SELECTIONS[objective.selection](g, objective.per_prompt) for g in groups):
        raise UserError(
            f"{where}: {config.algorithm} learns from right responses, and none of the {len(groups)} prompts has one"
        )
    compares = objective.needs_comparison and not objective.selects
    if compares and where == "examples.path" and all(len(g.completions) < 2 for g in groups):
        raise UserError(
            f"{where}: {config.algorithm} compares the responses to one prompt, and none of the {len(groups)} prompts has two; "
            "give examples.rollouts, or use sft or kto for single responses"
        )
    if compares and not any(len({s.value for s in g.scores if s.counts}) > 1 for g in groups):
        return [
            f"{where}: none of the {len(groups)} prompts has two responses with different scores, so nothing is learned"
        ]
    if objective.learns_from_labels:
        right = {mark.right for g in groups for mark in g.marks() if mark.counts}
        if len(right) == 1:
            kind = "good" if right.pop() else "bad"
            return [f"{where}: every response is {kind}, and {config.algorithm} learns from both kinds"]
    return []


def updates_of(config: Config) -> int:
    return config.train.steps * config.train.updates_per_batch * config.train.epochs_per_batch


def verifier_wants_answer(name: str) -> bool:
    return get_verifier(name).wants("answer")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + ", ..." * (len(names) > 3)


def _check_objective(config: Config, objective: Algorithm) -> None:
    train = config.train
    updates = train.updates_per_batch * train.epochs_per_batch
    found = refusals(
        objective, group_size=config.rollout.group_size, updates=updates, replays=config.replay is not None
    )
    if config.model.lora is not None and objective.scores_responses:
        found.append("model.lora is not offered for reward models, whose score layer has to be trained as well")
    if objective.natural_gradient and (config.optimizer.moments != "float32" or config.optimizer.offload):
        found.append(
            "optimizer.moments and optimizer.offload say how AdamW keeps its moments, and objective.step natural_gradient keeps "
            "none; leave them out"
        )
    if objective.natural_gradient and config.model.lora is not None and config.model.lora.base_dtype == "nf4":
        found.append("model.lora.base_dtype nf4 has no second derivatives, which objective.step natural_gradient needs")
    if objective.natural_gradient and config.model.compile:
        found.append("model.compile has no second derivatives, which objective.step natural_gradient needs")
    if ranks.world_size() > 1 and config.model.compile:
        found.append("model.compile is not offered with several processes; leave it out")
    if config.rollout.epsilon and not objective.learns_values:
        found.append(
            f"rollout.epsilon {config.rollout.epsilon:g} has tokens sampled that the policy did not choose: family values learns "
            "what they are worth, others would take them for the policy's own; leave it at 0"
        )
    averages = objective.keeps_target and objective.target_rate != 1.0 and not objective.learns_twins
    if config.model.lora is not None and averages:
        found.append(
            f"objective.target_rate {objective.target_rate:g} with model.lora: the average of adapters is not the adapter of "
            "averages; use target_rate 1 with target_every, which copies them"
        )
    if objective.learns_twins:
        found += _against_twins(config)
    if objective.recorded != (config.examples is not None):
        found.append("an examples section is what algorithms of data recorded learn from, and no others")
    if found:
        raise UserError(
            f"algorithm {config.algorithm} as configured cannot be trained:\n" + "\n".join(f"  {f}" for f in found)
        )


def _idle_choices(config: Config, objective: Algorithm) -> list[str]:
    """What the recipe says of the objective to no effect."""
    row = ALGORITHMS.get(config.algorithm, Objective())
    said = config.objective.model_fields_set
    changed = [key for key in said if getattr(config.objective, key) != getattr(row, key)]
    return [
        *unread(objective, changed),
        *idle(objective, config.train.updates_per_batch * config.train.epochs_per_batch),
    ]


def _against_twins(config: Config) -> list[str]:
    """What two networks of action values, copies of the policy that learn, do not go with."""
    found = []
    if config.model.lora is not None:
        found.append(
            "objective.action_values twins with model.lora: the twins are whole networks all of whose weights are trained, which "
            "is what adapters save; leave model.lora out, or begin with a row whose values are a critic's (soft_q)"
        )
    if ranks.world_size() > 1:
        found.append(
            "objective.action_values twins with several processes: values over the whole vocabulary are of three networks at "
            "once, and FSDP2 gathers one; run one process, or begin with a row whose values are a critic's (soft_q)"
        )
    if config.critic.path is not None:
        found.append(
            "critic.path is a critic of states, and action_values twins begin as copies of the policy; leave it out"
        )
    return found


def _check_adapters(config: Config) -> None:
    vllm = config.rollout.vllm
    if vllm.adapters and (config.model.lora is None or config.rollout.engine == "torch"):
        raise UserError(
            f"rollout.vllm.adapters: adapters alone go to engines vllm and vllm_server, of a recipe with model.lora; here the "
            f"engine is {config.rollout.engine} and model.lora is {'null' if config.model.lora is None else 'set'}. Leave it out"
        )
    if vllm.adapters and config.rollout.engine == "vllm_server" and vllm.transfer == "nccl":
        raise UserError(
            "rollout.vllm.adapters: adapters reach servers through a folder; leave rollout.vllm.transfer out"
        )
    if vllm.adapters and config.model.lora is not None:
        check_rank(config.model.lora.rank)


def _check_temperature(config: Config, objective: Algorithm) -> None:
    """Recorded log-probabilities are those of the temperature that sampled; the ratio to them means nothing at another."""
    if not objective.reweighs_the_record or config.examples is None or config.examples.rollouts is None:
        return
    recipe = Path(config.examples.rollouts) / "config.yaml"
    if not recipe.is_file():
        return
    then = load_recipe(recipe).rollout.temperature
    if then != config.rollout.temperature:
        raise UserError(
            f"rollout.temperature is {config.rollout.temperature:g}, and {config.examples.rollouts} was sampled at {then:g}: its "
            f"log-probabilities are those of {then:g}. Set rollout.temperature={then:g}."
        )


def context_of(model_config: Any) -> int:
    return int(getattr(model_config, "max_position_embeddings", 0)) or 2**31


def _check_context(config: Config, model_config: Any) -> None:
    context = context_of(model_config)
    named = [(f"data.{i}" if config.mixture else "data", entry) for i, entry in enumerate(config.sets)]
    for section, data in (*named, ("evaluation.data", config.evaluation and config.evaluation.data)):
        answered = config.rollout.max_tokens + config.inserted
        needed = data.max_prompt_tokens + answered if data else 0
        if data and needed > context:
            inserted = f" + environment.max_inserted {config.inserted}" if config.inserted else ""
            room = context - data.max_prompt_tokens - config.rollout.max_tokens
            fits = f"{section}.max_prompt_tokens={max(1, context - answered)}"
            fits = f"environment.max_inserted={room}" if config.inserted and room > 0 else fits
            raise UserError(
                f"{section}.max_prompt_tokens {data.max_prompt_tokens} + rollout.max_tokens {config.rollout.max_tokens}"
                f"{inserted} = {needed} tokens do not fit the model's context of {context}. Lower one of them, for example "
                f"{fits}."
            )


def gold_response(source: TaskSource, index: int, task: Task) -> str:
    """A response that must get full marks: the worked or reference solution, or the gold answer in a box."""
    if isinstance(source, MixedSource):
        number, index = source.place(index)
        source = source.sets[number].source
    source = unnamed(source)
    if isinstance(source, ProceduralSource):
        return source.problem(index).demonstration
    if "reference" in task.meta:
        return f"```python\n{task.meta['reference']}\n```"
    return f"\\boxed{{{task.answer}}}"


def _demonstrates(source: TaskSource, task: Task) -> bool:
    """Whether `gold_response` is a solution that somebody wrote, and not the answer in a box."""
    return isinstance(source, ProceduralSource) or "reference" in task.meta


def _check_format(config: Config) -> None:
    """A response that begins inside the reasoning never has the tag that opens it."""
    for number, wanted in enumerate(config.verifiers):
        if wanted.name == "format" and "template_opens_thinking" not in wanted.options:
            raise UserError(
                f"verifiers.{number}: the chat template writes <think> itself, so no response holds it and format would find "
                f"every one wrong; set verifiers.{number}.options.template_opens_thinking=true (or false, to demand it all "
                "the same)"
            )


def _twice_opened(config: Config, objective: Algorithm, tokenizer: Any) -> list[str]:
    """What a person should know where responses that are learned from open the reasoning that the template has opened."""
    if config.examples is None or config.examples.path is None:
        return []
    records = open_records(config, tokenizer, objective.learns_preferences)
    texts = [c.text for i in range(records.size or 0) for c in records.group(i).completions]
    twice = sum(text.lstrip().startswith(OPENS_THINKING) for text in texts)
    return (
        [
            f"examples.path: {twice} of {len(texts)} responses begin with <think>, which the chat template has written already"
        ]
        if twice
        else []
    )


@dataclass
class GoldCheck:
    """``unshown``: tasks that were judged by some response alone, since nobody wrote down one that passes."""

    checked: int
    rejected: list[str]
    shown: list[tuple[str, str, Score]]
    unshown: int = 0


def _check_gold_of_sets(config: Config, sets: Sequence[DataSet], first: list[Task], judge: Judge) -> GoldCheck:
    """`_check_gold` of every data set, each by its own verifiers."""
    whole = GoldCheck(0, [], [])
    for part, alone in zip(sets, each_alone(config), strict=True):
        if not alone.verifiers:
            continue
        own = [task for task in first if task.data_set == part.name]
        found = _check_gold(alone, unnamed(part.source), own, judge.of_sets.get(part.name, judge), part.where)
        whole.checked += found.checked
        whole.unshown += found.unshown
        whole.rejected += found.rejected
        whole.shown += found.shown
    return whole


def _check_gold(config: Config, source: TaskSource, first: list[Task], judge: Judge, where: str) -> GoldCheck:
    """A gold answer that its own verifier rejects would silently teach the model that the truth is wrong.

    Real datasets hold a few (4 of MBPP's 974 reference solutions fail their own tests), so a small share is reported and
    borne; more is refused. Where no right response can be made (tests without a solution, instructions), the row must at
    least be one that can be judged.
    """
    from .assemble import open_scorer

    rows = min(source.size or len(first), GOLD_ROWS_CHECKED)
    result, refused = GoldCheck(rows, [], []), []
    undemonstrable = {v.name for v in (get_verifier(w.name) for w in config.verifiers) if not v.demonstrable}
    with open_scorer(config, workers=0, judge=judge) as scorer:
        scorer.error_patience = rows + 1  # a failure is a rejected answer here: no step has been taken
        for index in range(rows):
            task = source.task(index)
            response = gold_response(source, index, task)
            (group,) = scorer.score_groups([Group.of_texts(task, [response])])
            total, parts = group.scores[0], group.parts[0]
            primary, verdict = next(iter(parts.items()))
            unshown = primary in undemonstrable and not _demonstrates(source, task)
            result.unshown += unshown
            if judge.chosen and not group.verdicts()[0].right and not unshown:
                refused.append(f"{response!r:.200} ({group.verdicts()[0].reason})")
            if verdict.status in ("error", "timeout") or (verdict.counts and verdict.value <= 0.0 and not unshown):
                result.rejected.append(
                    f"{task.id}: answer {task.answer!r:.200}, given as {response!r:.200}, scored {verdict.value:g} "
                    f"({verdict.status}{': ' + verdict.reason if verdict.reason else ''})"
                )
            if index < 2 and not unshown:
                result.shown.append((task.id, response, total))
    if len(refused) > config.scoring.max_rejected_gold * rows:
        raise UserError(
            f"evaluation.verifier: {judge} does not call the gold answer right in {len(refused)} of {rows} tasks, the first "
            f"being {refused[0]}. Name a verifier that fits the data; if gold answers are not meant to pass, set "
            "scoring.max_rejected_gold=1."
        )
    if len(result.rejected) > config.scoring.max_rejected_gold * rows:
        raise UserError(
            f"the verifier {primary} does not accept the gold answer of {len(result.rejected)} of {rows} tasks, the first "
            f"being {result.rejected[0]}. Mend the answer column, {where}.answer_pattern or the verifier; if gold answers are "
            "not meant to pass, set scoring.max_rejected_gold=1."
        )
    return result


def _disk_needed(config: Config, parameters: int) -> int:
    kept = 3 if config.reference.refresh is None else 4  # weights, two moments, and a reference that was refreshed
    checkpoint = kept * parameters * BYTES
    models = 2 * parameters * BYTES  # the warm start and the final model
    return checkpoint * (config.train.keep_last + 1) + models + 2**20


def _check_space(run_path: Path, needed: int) -> None:
    parent = run_path.absolute()
    while not parent.exists():
        parent = parent.parent
    if not os.access(parent, os.W_OK):
        raise UserError(f"--run-dir: {parent} is not writable")
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise UserError(
            f"--run-dir: {parent} has {free / 2**20:.0f} MB free and this run needs about {needed / 2**20:.0f} MB for "
            "checkpoints. Free some space, choose another --run-dir, or lower train.keep_last."
        )
