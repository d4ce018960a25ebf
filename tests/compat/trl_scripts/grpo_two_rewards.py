"""GRPO with two rewards of different weights and LoRA, behind a main guard."""

from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM
from trl import GRPOConfig, GRPOTrainer

MODEL = "Qwen/Qwen2.5-" + "0.5B-Instruct"


def solved(completions, solution, **kwargs):
    return [float(gold in text) for text, gold in zip(completions, solution)]


async def short(completions, **kwargs):
    return [1.0 / (1.0 + len(text)) for text in completions]


def main():
    peft_config = LoraConfig(
        r=4, lora_alpha=8, lora_dropout=0.1, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"
    )
    config = GRPOConfig(
        output_dir="out", loss_type="dr_grpo", scale_rewards="none", epsilon=0.1, epsilon_high=0.28, delta=2.5,
        reward_weights=[1.0, 0.25], num_generations=4, per_device_train_batch_size=16, steps_per_generation=2,
        num_iterations=2, max_completion_length=10, num_train_epochs=2, mask_truncated_completions=False, save_steps=8,
        learning_rate=1e-3, optim="paged_adamw_8bit",
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(MODEL)
    trainer = GRPOTrainer(
        model=model, args=config, reward_funcs=[solved, short], peft_config=peft_config,
        train_dataset=load_dataset("json", data_files={"train": "problems.jsonl"})["train"],
    )  # fmt: skip
    trainer.train()


if __name__ == "__main__":
    main()
