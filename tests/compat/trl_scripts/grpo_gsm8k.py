"""GRPO on word problems in GSM8K's format; a script from top to bottom, which trains when it is imported."""

import re

from datasets import load_dataset
from trl import GRPOConfig, GRPOTrainer

SYSTEM_PROMPT = "Reason step by step, then write the answer behind ####."
MARK = re.compile(r"####\s*(-?\d+)")


def found(text):
    match = MARK.search(text)
    return match.group(1) if match else None


def right_number(completions, answer, **kwargs):
    texts = [completion[0]["content"] for completion in completions]
    return [2.0 if found(text) == gold else 0.01 * len(set(text)) for text, gold in zip(texts, answer)]


dataset = load_dataset("json", data_files="word_problems.jsonl", split="train")
dataset = dataset.map(
    lambda row: {
        "prompt": [
            {"role": "system", "content": SYSTEM_PROMPT},
            {"role": "user", "content": f"{row['question']} Be brief."},
        ],
        "answer": row["answer"].split("####")[1].strip(),
    }
)
dataset = dataset.shuffle(seed=7)

learning_rate = 2e-4 / 2
training_args = GRPOConfig(
    output_dir="out",
    learning_rate=learning_rate,
    lr_scheduler_type="cosine",
    warmup_ratio=0.5,
    per_device_train_batch_size=8,
    gradient_accumulation_steps=2,
    num_generations=4,
    max_completion_length=12,
    max_steps=2,
    beta=0.01,
    bf16=False,
    logging_steps=1,
    report_to="none",
)
training_args.seed = 3

trainer = GRPOTrainer(
    model="Qwen/Qwen2.5-0.5B-Instruct", reward_funcs=right_number, args=training_args, train_dataset=dataset
)
trainer.train()
