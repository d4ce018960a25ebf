"""DPO on preference pairs, with positional arguments."""

import trl
from datasets import load_dataset

train_dataset = load_dataset("json", data_files="pairs.jsonl", split="train")
args = trl.DPOConfig(
    "out",
    beta=0.2,
    max_length=512,
    learning_rate=5e-4,
    per_device_train_batch_size=2,
    gradient_accumulation_steps=2,
    num_train_epochs=1,
    warmup_steps=1,
    precompute_ref_log_probs=True,
)
trainer = trl.DPOTrainer("HuggingFaceTB/SmolLM2-135M-Instruct", None, args, train_dataset=train_dataset)
trainer.train()
