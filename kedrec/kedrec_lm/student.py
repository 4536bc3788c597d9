"""The student: a causal LM that learns, from a teacher's answers, to choose a drug and to explain the choice."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any, Literal, cast

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from peft import LoraConfig, PeftModel, get_peft_model

from kedrec.errors import KedrecError
from kedrec.evaluation.added_metrics import Metric
from kedrec.evaluation.student_metrics import student_metrics, summary_metrics
from kedrec.kedrec_lm.decoding import choose_and_explain
from kedrec.kedrec_lm.question_batches import ChatBatch, QuestionBatch
from kedrec.kedrec_lm.student_losses import answer_loss, choice_loss, mean_of_rows
from kedrec.kedrec_lm.student_weights import load_adapter, load_whole_model
from kedrec.kedrec_lm.token_distillation import TokenDistribution, divergence
from kedrec.kedrec_lm.token_teacher import Distillation, TokenTeacher
from kedrec.kedrec_lm.vocabulary_projection import projected_only_at
from kedrec.runtime.distributed import any_process, gathered
from kedrec.runtime.environment import quickest_dtype
from kedrec.sources.weights import base_folder, base_identity, load_tokenizer
from kedrec.storage.artifact_store import Store
from kedrec.training.base_classes import TrainableModule
from kedrec.training.sharded_weights import adamw, is_sharded, loaded_in_parts, made_whole, shard_layers, whole_state

_AUDITS_OF_BASE = ("", "closed_book")  # the question itself, and the audit that shows which pairs the base knows


@dataclass(frozen=True)
class OptimizerSettings:
    """How AdamW trains.

    Attributes:
        learning_rate: peak, reached after the warm-up.
        weight_decay: on trained weights.
        warmup_steps: optimizer steps of linear warm-up; a cosine to zero follows.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    warmup_steps: int = 10


@dataclass(frozen=True)
class LossWeights:
    """Weights of the parts of the loss.

    Attributes:
        answer: of the loss of the whole answer; at 0 the student is tuned on choices alone, undistilled.
        choice: of the loss of the choice.
    """

    answer: float = 1.0
    choice: float = 1.0

    def check(self) -> None:
        """Raise unless some part counts.

        Raises:
            KedrecError: a weight is below 0, or both are 0.
        """
        if min(self.answer, self.choice) < 0 or self.answer + self.choice == 0:
            raise KedrecError(
                f"model.init_args.loss: answer {self.answer}, choice {self.choice}; "
                "expected numbers of 0 or more, not both 0"
            )


class Student(TrainableModule):
    """KEDRec-LM's student (arXiv 2502.20350, stage 3).

    Args:
        base: ``smollm2`` (bundled), a folder, or a hub name of a causal LM.
        lora: PEFT's LoRA settings, all fields; ``null`` trains every weight of the base.
        dtype: of the base's weights; ``auto``: bfloat16 on a GPU and on CPUs with bf16 instructions, where it is
            quickest, float32 on others. Adapters are float32 whatever it is.
        optimizer: learning rate and its schedule.
        loss: weights of its parts.
        distill: learn also from a local teacher's token distributions; ``null`` learns from the text alone.
        max_new_tokens: bound of a generated rationale, tokens.
        gradient_checkpointing: recompute activations in the backward pass: less memory, about a third more time;
            ``null`` does where the strategy spreads the weights over processes.
        trust_remote_code: run Python code that comes with the base; only for bases whose code you have read.
        metrics: further metrics of the test, from outside the package.
        seed: of the adapter's initialisation.
    """

    reading = (
        "F1 is macro F1 of the position chosen, over both orders of the two drugs; ROUGE is against the teacher's "
        "rationale, citations taken out. A fluent rationale is not evidence: read the passages it cites."
    )

    task = "choice"
    has_baseline = True
    many_processes = True

    def __init__(
        self,
        base: str,
        lora: LoraConfig | None = None,
        dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto",
        optimizer: OptimizerSettings = OptimizerSettings(),
        loss: LossWeights = LossWeights(),
        distill: Distillation | None = None,
        max_new_tokens: int = 72,
        gradient_checkpointing: bool | None = None,
        trust_remote_code: bool = False,
        metrics: Sequence[Metric] = (),
        seed: int = 0,
    ) -> None:
        super().__init__()
        loss.check()
        self.base = base
        self.lora = lora
        self.dtype_setting = dtype
        self.optimizer = optimizer
        self.loss_weights = loss
        self.distill = distill
        self.max_new_tokens = max_new_tokens
        self.gradient_checkpointing = gradient_checkpointing
        self.trust_remote_code = trust_remote_code
        self.metrics = metrics
        self.seed = seed
        self.strict_loading = False  # a checkpoint holds what was trained, not the frozen base
        self.predictions: list[dict[str, Any]] = []
        self.records: dict[str, list[dict[str, Any]]] = {}
        self.net: Any = None
        self.tokenizer: Any = None
        self._teacher: TokenTeacher | None = None
        self._untrained = False

    @property
    def dtype_name(self) -> str:
        """Of the base's weights on this machine."""
        return self.dtype_on(torch.cuda.is_available())

    def dtype_on(self, gpu: bool) -> str:
        """Return that of the base's weights on a GPU, or on this machine's CPU."""
        return quickest_dtype(gpu) if self.dtype_setting == "auto" else self.dtype_setting

    def configure_model(self) -> None:
        """Load the base and put the adapter on it, once."""
        if self.net is not None:
            return
        from transformers import AutoModelForCausalLM

        folder = base_folder(self.base, Store())
        self.tokenizer = load_tokenizer(folder, trust_remote_code=self.trust_remote_code)
        zero3 = _zero3_config(self)
        with loaded_in_parts(zero3):
            net: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=getattr(torch, self.dtype_name),
                use_safetensors=True,
                trust_remote_code=self.trust_remote_code,
            )
        if self.lora is not None:
            with torch.random.fork_rng(), made_whole(zero3):
                torch.manual_seed(self.seed)
                net = _with_adapter(net, self.lora)
        mesh = getattr(self, "_device_mesh", None)  # given by Lightning's ModelParallelStrategy
        in_parts = zero3 is not None or mesh is not None
        if in_parts if self.gradient_checkpointing is None else self.gradient_checkpointing:
            net.enable_input_require_grads()
            net.activation_checkpointing_enable()
        if mesh is not None:
            shard_layers(net, mesh)
        net.train()  # from_pretrained leaves modules in eval mode, where checkpointing is silently off
        self.net = net

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW with linear warm-up and a cosine to zero, stepped each optimizer step."""
        from transformers import get_cosine_schedule_with_warmup

        trained = [parameter for parameter in self.net.parameters() if parameter.requires_grad]
        optimizer = adamw(trained, self.optimizer.learning_rate, self.optimizer.weight_decay, offloaded=_offloads(self))
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = get_cosine_schedule_with_warmup(optimizer, min(self.optimizer.warmup_steps, steps), steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: ChatBatch, _: int) -> torch.Tensor:
        """Return the loss: of the answers, nats per token, and of the choices, nats per choice, weighted."""
        logits = self.logits(batch)
        answer, choice = _losses(logits, batch)
        log_kwargs: dict[str, Any] = {"prog_bar": True, "batch_size": len(batch.labels), "sync_dist": True}
        self.log("train/answer_loss", answer, **log_kwargs)
        self.log("train/choice_loss", choice, **log_kwargs)
        loss = self.loss_weights.answer * answer + self.loss_weights.choice * choice
        if self.distill is None:
            return loss
        apart = divergence(logits, self._expected(batch), self.distill.divergence, self.distill.temperature)
        distilled = mean_of_rows(apart, batch.labels)
        self.log("train/distillation_loss", distilled, **log_kwargs)
        return loss + self.distill.weight * distilled

    def validation_step(self, batch: ChatBatch, _: int) -> None:
        """Log the same losses; the best checkpoint is that of the lowest ``validation/loss``, the answers' alone.

        On the few questions of a validation set the loss of the choices measures confidence more than choice. It
        selects the checkpoint where answers are not learned.
        """
        answer, choice = self.losses(batch)
        log_kwargs: dict[str, Any] = {"batch_size": len(batch.labels) * batch.counted, "sync_dist": True}
        self.log("validation/loss", answer if self.loss_weights.answer else choice, prog_bar=True, **log_kwargs)
        self.log("validation/choice_loss", choice, **log_kwargs)

    def on_test_epoch_start(self) -> None:
        """Clear the predictions of an earlier test."""
        self.predictions = []
        self.records = {}

    def test_step(self, batch: QuestionBatch, _: int) -> None:
        """Score both answers; explain each pair once, in its first order.

        Of the counterfactual questions the untrained base answers only those that show which pairs it knows; the other
        audits measure what training has changed.
        """
        others = any_process if is_sharded(self.net) else None
        answered = [not self._untrained or question.audit in _AUDITS_OF_BASE for question in batch.questions]
        if not (others or bool)(any(answered)):
            return
        explained = [not question.swapped and not question.audit for question in batch.questions]
        explain = torch.tensor(explained, device=batch.input_ids.device)
        end = self.tokenizer.eos_token_id
        decoded = choose_and_explain(self.net, batch, explain, self.max_new_tokens, end, others)
        answers = zip(batch.questions, decoded.scores, decoded.continuation, strict=True)
        for question, scores, tokens in compress(answers, answered):
            row = {
                **vars(question),
                "scores": [round(score, 5) for score in scores.tolist()],
                "choice": int(scores.argmax()),
            }
            if not question.swapped and not question.audit:
                row["rationale"] = self.tokenizer.decode(tokens, skip_special_tokens=True).strip()
            self.predictions.append(row)

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the predictions of all processes."""
        answered = {(row["audit"], row["pair"], row["swapped"]): row for row in gathered(self.predictions)}
        rows = [answered[question] for question in sorted(answered)]
        self.predictions = [row for row in rows if not row["audit"]]
        self.records = {"audits": [row for row in rows if row["audit"]]}
        self.log_dict({f"test/{name}": value for name, value in self.test_metrics(self.answers).items()})

    def test_metrics(self, answers: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, float]:
        """Return the metrics of predictions and audits."""
        rows = answers["predictions"]
        return self.with_added_metrics(student_metrics(rows, answers["audits"]), rows)

    @property
    def keeps_base(self) -> bool:
        """Whether the untrained base can still answer after training."""
        return self.lora is not None

    @contextmanager
    def untrained(self) -> Iterator[None]:
        """Answer as the base does, whatever the adapter has learned; without an adapter only before training."""
        self.configure_model()
        self._untrained = True
        try:
            with self.net.disable_adapter() if self.lora is not None else nullcontext():
                yield
        finally:
            self._untrained = False

    def closing_metrics(self, metrics: Mapping[str, float]) -> Sequence[str]:
        """Return the names of the eight metrics that summarise a student's test, and of those from outside."""
        added = [name for name in super().closing_metrics(metrics) if name in self.added_metrics]
        return list(dict.fromkeys([*summary_metrics(metrics), *added]))

    def untrained_key(self) -> dict[str, Any]:
        """Return what the base's answers depend on, beside the questions."""
        return {"base": base_identity(self.base, Store()), "dtype": self.dtype_name, "tokens": self.max_new_tokens}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the trained weights only; FSDP needs every weight that it shards."""
        if getattr(self, "_device_mesh", None) is not None:
            return
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if k in trained}

    def join_export(self) -> None:
        """Contribute this process's shards, where the weights are sharded."""
        if is_sharded(self.net):
            whole_state(self.net)

    def export(self, folder: Path) -> None:
        """Write ``adapter/`` (PEFT, safetensors), or ``model/`` after full fine-tuning, with tokenizer."""
        state = whole_state(self.net) if is_sharded(self.net) else None
        place = folder / ("adapter" if self.lora is not None else "model")
        self.net.save_pretrained(place, state_dict=state)
        self.tokenizer.save_pretrained(place)

    def load_export(self, run_folder: Path) -> Path | None:
        """Load ``adapter/``, or ``model/`` after full fine-tuning, where the run folder has it."""
        folder = run_folder / ("adapter" if self.lora is not None else "model")
        if not folder.is_dir():
            return None
        (load_whole_model if self.lora is None else load_adapter)(self, folder)
        return folder

    def losses(self, batch: ChatBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the losses of the answers and of the choices, two scalars."""
        return _losses(self.logits(batch), batch)

    def logits(self, batch: ChatBatch) -> torch.Tensor:
        """Return (supervised, vocabulary), the predictions of the supervised tokens, row by row."""
        supervised = batch.labels != -100
        before = supervised.roll(-1, dims=1)  # the position whose output predicts the supervised token
        with projected_only_at(self.net, before):
            # Padding is on the right, where causal attention never looks: no mask, and the faster kernel.
            out = self.net(input_ids=batch.input_ids, use_cache=False)
        return cast(torch.Tensor, out.logits[0])

    def _expected(self, batch: ChatBatch) -> TokenDistribution:
        """Return the teacher's distributions at the supervised tokens: from the batch, or computed now."""
        if batch.expected_log_probs is not None:
            return TokenDistribution(batch.expected_log_probs, batch.expected_ids)
        if self._teacher is None:
            assert self.distill is not None
            self._teacher = TokenTeacher(self.distill, base_folder(self.base, Store()), Store())
        return self._teacher.expects(batch.input_ids, batch.labels)


def _zero_config(module: LightningModule) -> dict[str, Any]:
    """Return the settings of ZeRO, if the module's trainer has them."""
    from lightning.pytorch.strategies import DeepSpeedStrategy

    trainer = module._trainer
    if trainer is None or not isinstance(trainer.strategy, DeepSpeedStrategy):
        return {}
    return cast(dict[str, Any], trainer.strategy.config)


def _zero3_config(module: LightningModule) -> dict[str, Any] | None:
    """Return DeepSpeed's settings where weights are spread over processes as they are loaded."""
    config = _zero_config(module)
    return config if config.get("zero_optimization", {}).get("stage") == 3 else None


def _offloads(module: LightningModule) -> bool:
    """Whether the optimizer's states are in the host's memory."""
    return bool(_zero_config(module).get("zero_optimization", {}).get("offload_optimizer"))


def _losses(logits: torch.Tensor, batch: ChatBatch) -> tuple[torch.Tensor, torch.Tensor]:
    return answer_loss(logits, batch.labels), choice_loss(logits, batch.labels, batch.decisive, batch.rivals)


def _with_adapter(net: Any, lora: LoraConfig) -> PeftModel:
    try:
        model = get_peft_model(net, lora)
    except ValueError as fault:
        raise KedrecError(f"model.init_args.lora: {fault}") from fault
    start = [p for name, p in model.named_parameters() if "lora_B" in name and p.requires_grad]
    if lora.init_lora_weights is True and any(p.count_nonzero() for p in start):
        raise RuntimeError("LoRA B does not start at zero: the adapter would change the base before training")
    return model
