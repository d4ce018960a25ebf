"""KTO on labelled responses."""

from datasets import load_dataset
from trl import KTOConfig, KTOTrainer

kwargs = dict(beta=0.3, desirable_weight=1.0, undesirable_weight=1.5, learning_rate=5e-4)
config = KTOConfig(output_dir="out", per_device_train_batch_size=4, max_steps=2, **kwargs)
trainer = KTOTrainer(
    model="HuggingFaceTB/SmolLM2-135M-Instruct",
    args=config,
    train_dataset=load_dataset("json", data_files="labelled.jsonl", split="train"),
)
trainer.train()
