"""SFT on conversations, with nothing but defaults for the optimizer."""

from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

if __name__ == "__main__":
    trainer = SFTTrainer(
        model="HuggingFaceTB/SmolLM2-135M",
        train_dataset=load_dataset("json", data_files="conversations.jsonl", split="train"),
        args=SFTConfig(
            output_dir="out", max_steps=2, per_device_train_batch_size=4, packing=True, assistant_only_loss=True
        ),
    )
    trainer.train()
