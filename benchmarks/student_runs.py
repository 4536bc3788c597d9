"""One run of `benchmarks/student.py`: a student of random weights, trained by kedrec or by another trainer."""

import re
import time
from pathlib import Path
from typing import Any

EVERY = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
IGNORED = -100
Spec = dict[str, Any]  # the options of the benchmark, and a scratch folder


class Clock:
    """Wall and processor seconds between the ends of the untimed steps and of the last; there the device is awaited."""

    def __init__(self, spec: Spec) -> None:
        self.untimed, self.steps = spec["untimed"], spec["steps"]
        self.done = 0
        self.ends: list[tuple[float, float]] = []

    def tick(self) -> None:
        """Note the end of an optimizer step."""
        import torch

        self.done += 1
        if self.done not in (self.untimed, self.steps):
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append((time.perf_counter(), time.process_time()))


def shape_config(spec: Spec) -> Any:
    """Return the base's configuration."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=spec["vocabulary"],
        hidden_size=spec["hidden"],
        intermediate_size=spec["intermediate"],
        num_hidden_layers=spec["layers"],
        num_attention_heads=spec["heads"],
        num_key_value_heads=spec["kv_heads"],
        max_position_embeddings=max(2048, spec["tokens"]),
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=1,
    )


def random_base(spec: Spec) -> Any:
    """Return the base on the device, its weights decided by a seed."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        build: Any = AutoModelForCausalLM
        return build.from_config(shape_config(spec), dtype=getattr(torch, spec["dtype"]))


def adapter(spec: Spec) -> Any:
    """Return PEFT's settings, or ``None`` where every weight is trained."""
    from peft import LoraConfig

    if spec["full"]:
        return None
    return LoraConfig(r=spec["rank"], lora_alpha=2 * spec["rank"], target_modules=EVERY, task_type="CAUSAL_LM")


def conversations(spec: Spec) -> tuple[Any, Any]:
    """Return token ids and labels, ``(steps * batch, tokens)``; the first token of a conversation has no label."""
    import torch

    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(2, spec["vocabulary"], (spec["steps"] * spec["batch"], spec["tokens"]), generator=draw)
    labels = ids.clone()
    labels[:, : max(1, spec["tokens"] - spec["supervised"])] = IGNORED
    return ids, labels


def random_student(spec: Spec) -> Any:
    """Return kedrec's student on a random base, as its ``configure_model`` would leave it."""
    import torch
    from peft import get_peft_model

    from kedrec.kedrec_lm.student import LossWeights, OptimizerSettings, Student

    lora = adapter(spec)
    student: Any = Student(
        "random",
        lora=lora,
        dtype=spec["dtype"],
        optimizer=OptimizerSettings(learning_rate=spec["learning_rate"], warmup_steps=spec["warmup"]),
        loss=LossWeights(choice=0.0),
        gradient_checkpointing=spec["checkpointing"],
    )
    net = random_base(spec)
    if lora is not None:
        torch.manual_seed(2)
        net = get_peft_model(net, lora)
    if spec["checkpointing"]:
        net.enable_input_require_grads()
        net.activation_checkpointing_enable()
    student.net = net.train()
    return student


def chat_batches(spec: Spec) -> list[Any]:
    """Return the conversations as kedrec's students take them."""
    import torch

    from kedrec.kedrec_lm.question_batches import ChatBatch

    ids, labels = conversations(spec)
    decisive = torch.zeros_like(ids, dtype=torch.bool)
    decisive[:, -1] = True
    rivals = torch.zeros(spec["batch"], dtype=torch.long)
    parts = zip(*(of.split(spec["batch"]) for of in (ids, labels, decisive)), strict=True)
    return [ChatBatch(one, torch.ones_like(one), wanted, at, rivals) for one, wanted, at in parts]


def run_kedrec(spec: Spec, clock: Clock) -> float:
    """Train by kedrec; return the mean loss."""
    from kedrec.runtime.environment import prepare_environment

    prepare_environment()
    import torch
    from lightning import Callback, Trainer
    from torch.utils.data import DataLoader

    losses: list[Any] = []

    class Noting(Callback):
        def on_train_batch_end(self, trainer: Any, student: Any, outputs: Any, *_: Any) -> None:
            losses.append(outputs["loss"].detach())
            clock.tick()

    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(max_steps=spec["steps"], devices=1, enable_checkpointing=False, callbacks=[Noting()], **quiet)
    batches: Any = chat_batches(spec)
    trainer.fit(random_student(spec), DataLoader(batches, batch_size=None))
    return float(torch.stack(losses).mean())


def run_peer(tool: str, spec: Spec, clock: Clock) -> float:
    """Train by transformers' Trainer or TRL's; return the mean loss."""
    from datasets import Dataset
    from transformers import Trainer, TrainerCallback, TrainingArguments, default_data_collator

    class Noting(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.tick()

    ids, labels = conversations(spec)
    rows = Dataset.from_dict({"input_ids": ids.tolist(), "labels": labels.tolist()})
    common: dict[str, Any] = {
        "output_dir": spec["scratch"],
        "max_steps": spec["steps"],
        "per_device_train_batch_size": spec["batch"],
        "train_sampling_strategy": "sequential",
        "learning_rate": spec["learning_rate"],
        "weight_decay": 0.0,
        "warmup_steps": spec["warmup"],
        "lr_scheduler_type": "cosine",
        "max_grad_norm": 0.0,
        "gradient_checkpointing": spec["checkpointing"],
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": not on_gpu(),
        "bf16": False,  # no autocast: the weights have the type
        "dataloader_pin_memory": on_gpu(),
    }
    net, lora = random_base(spec), adapter(spec)
    if tool == "transformers":
        import torch
        from peft import get_peft_model

        if lora is not None:
            torch.manual_seed(2)
            net = get_peft_model(net, lora)
            net.enable_input_require_grads()
        trainer: Any = Trainer(
            net,
            TrainingArguments(**common),
            train_dataset=rows,
            data_collator=default_data_collator,
            callbacks=[Noting()],
        )
    else:
        from trl import SFTConfig, SFTTrainer

        settings = SFTConfig(**common, max_length=None, use_liger_kernel=tool == "TRL+Liger")
        trainer = SFTTrainer(
            net,
            settings,
            train_dataset=rows,
            processing_class=word_tokenizer(),
            peft_config=lora,
            callbacks=[Noting()],
        )
    return float(trainer.train().training_loss)


def word_tokenizer() -> Any:
    """Return a tokenizer that nothing is tokenized by: trainers and students want one."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<pad>": 0, "<end>": 1}, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<end>")


def on_gpu() -> bool:
    """Whether there is a CUDA device."""
    import torch

    return torch.cuda.is_available()


def train(tool: str, spec: Spec) -> dict[str, float]:
    """Train once; return wall and processor seconds, mean loss and peak memory."""
    import torch

    clock = Clock(spec)
    loss = run_kedrec(spec, clock) if tool == "kedrec" else run_peer(tool, spec, clock)
    assert clock.done == spec["steps"], f"{clock.done} steps instead of {spec['steps']}"
    if on_gpu():
        peak = float(torch.cuda.max_memory_allocated())
    else:
        peak = 1024.0 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="utf-8"))[1])
    (start, busy_start), (end, busy_end) = clock.ends
    return {"seconds": end - start, "busy": busy_end - busy_start, "loss": loss, "peak": peak}
