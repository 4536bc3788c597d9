"""A language model on this machine: any causal model that transformers loads from safetensors."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kedrec.errors import KedrecError
from kedrec.llm.budget import Ledger
from kedrec.llm.language_model import Keep
from kedrec.llm.requests import REFUSED, Answer, Message, Prices, Request
from kedrec.sources.weights import BUNDLED_BASE, base_folder, base_identity, load_tokenizer
from kedrec.storage.artifact_store import Store

if TYPE_CHECKING:
    from kedrec.llm.generation import Generation, Prompt

_DTYPES = {"bf16": "bfloat16", "32": "float32"}
Answered = tuple[int, list[int], str]


class LocalModel:
    """Answers requests in batches, in Lightning's predict loop.

    Each of several devices has a process, a copy of the model and a share of the batches. The answer to a request does
    not depend on the rest of the batch, up to rounding on a GPU, which orders sums by the size of the batch.

    Args:
        model: ``smollm2`` (bundled), a folder, or a hub name; no code from the hub is run.
        batch_size: requests in a batch of one device.
        precision: of the weights: ``bf16``, or ``32`` for exact repetition.
        accelerator: as Lightning's Trainer takes it: ``auto``, ``gpu``, ``cpu``.
        devices: number of devices; ``None`` takes every GPU, or one process on a CPU.
        store: folder of the artifact store with the bundled model's weights; ``None`` takes the default store.

    Raises:
        KedrecError: a setting has no valid value.
    """

    def __init__(
        self,
        model: str = BUNDLED_BASE,
        batch_size: int = 8,
        precision: Literal["bf16", "32"] = "bf16",
        accelerator: str = "auto",
        devices: int | None = None,
        store: str | Path | None = None,
    ) -> None:
        for name, number in (("batch_size", batch_size), ("devices", devices)):
            if number is not None and number < 1:
                raise KedrecError(f"{name}: {number}; expected 1 or more")
        if precision not in _DTYPES:
            raise KedrecError(f"precision: {precision!r}; expected one of {', '.join(_DTYPES)}")
        self.model = model
        self.batch_size = batch_size
        self.precision = precision
        self.accelerator = accelerator
        self.devices = devices
        self.store = Store(store)
        self._module: Generation | None = None

    @cached_property
    def name(self) -> str:
        """The model with the hash of its weights, or its hub name."""
        identity = base_identity(self.model, self.store)
        return identity if identity == self.model else f"{Path(self.model).name}@{identity}"

    @property
    def local(self) -> bool:
        """True: the model runs on this machine."""
        return True

    @property
    def prices(self) -> Prices | None:
        """``None``: the model is free."""
        return None

    def ask(self, requests: Sequence[Request], ledger: Ledger, keep: Keep) -> None:
        """Answer the requests; see `kedrec.llm.language_model.Ask.ask`.

        Raises:
            KedrecError: the model is missing, cannot be loaded or is no chat model, or a batch exceeds the memory.
        """
        from kedrec.llm.generation import text_of

        prompts: dict[int, Prompt] = {}
        for index, request in enumerate(requests):
            prompt = self._prompt(index, request)
            if len(prompt.tokens) + prompt.max_tokens > self._context:
                needed = f"{len(prompt.tokens)} tokens and an answer of {prompt.max_tokens}"
                keep(index, Answer(f"the model's context is {self._context} tokens, not {needed}", 0, 0, REFUSED))
            else:
                prompts[index] = prompt

        def give(answered: Answered) -> None:
            answer = text_of(answered, prompts[answered[0]], self._tokenizer)
            keep(answered[0], answer)
            ledger.count(self.name, answer)

        if prompts:
            self._predict(list(prompts.values()), give)

    def _predict(self, prompts: "Sequence[Prompt]", give: Callable[[Answered], None]) -> None:
        """Run the predict loop; on several devices processes send their answers through a queue."""
        import torch
        from torch.multiprocessing.spawn import ProcessRaisedException

        count = self.devices or (torch.cuda.device_count() if self.accelerator != "cpu" else 0) or 1
        try:
            if count == 1:
                self._run(prompts, 1, "auto", give)
                return
            self._module = None  # each process loads its own
            pipe = torch.multiprocessing.get_context("spawn").SimpleQueue()
            with _drained(pipe, give):
                self._run(prompts, count, "ddp_spawn", pipe.put)
        except torch.OutOfMemoryError as fault:
            raise self._too_large() from fault
        except ProcessRaisedException as fault:  # the trace of another process, as text
            last = str(fault).strip().rpartition("\n")[2]
            if last.startswith("torch.OutOfMemoryError"):
                raise self._too_large() from fault
            if last.startswith("kedrec.errors.KedrecError: "):
                raise KedrecError(last.partition(": ")[2]) from fault
            raise

    def _too_large(self) -> KedrecError:
        return KedrecError(
            f"the teacher {self.model!r} exceeds the GPU's memory with batches of {self.batch_size}; set a smaller "
            "batch_size: the answers so far are stored"
        )

    def _run(self, prompts: "Sequence[Prompt]", devices: int, strategy: str, give: Callable[[Answered], None]) -> None:
        from lightning import Trainer
        from lightning.fabric.plugins.environments.lightning import LightningEnvironment

        from kedrec.llm.generation import Deliver, batches

        trainer = Trainer(
            accelerator=self.accelerator,
            devices=devices,
            strategy=strategy,
            plugins=[LightningEnvironment()],  # Lightning starts the processes, not the scheduler of this one
            callbacks=[Deliver(give)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        port = os.environ.get("MASTER_PORT")
        try:
            trainer.predict(self._generation(), batches(prompts, self.batch_size), return_predictions=False)
        finally:
            if port is None:  # the next processes need another port
                os.environ.pop("MASTER_PORT", None)

    def _generation(self) -> "Generation":
        from kedrec.llm.generation import Generation

        if self._module is None:
            end, pad = self._end, self._tokenizer.pad_token_id
            self._module = Generation(self._folder, _DTYPES[self.precision], end, end[0] if pad is None else pad)
        return self._module

    def _prompt(self, index: int, request: Request) -> "Prompt":
        from kedrec.llm.generation import Prompt

        temperature = 1.0 if request.temperature is None else request.temperature
        return Prompt(index, self._tokens(request.messages), request.max_tokens, temperature, request.seed)

    def _tokens(self, messages: Sequence[Message]) -> tuple[int, ...]:
        from jinja2 import TemplateError

        chat = [dict(message) for message in messages]
        try:
            encoded: Any = self._tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)
        except TemplateError:  # the template has no system role, such as Gemma's
            first, second, *rest = chat
            merged = {"role": second["role"], "content": f"{first['content']}\n\n{second['content']}"}
            encoded = self._tokenizer.apply_chat_template([merged, *rest], add_generation_prompt=True, return_dict=True)
        return tuple(encoded["input_ids"])

    @cached_property
    def _folder(self) -> str:
        return base_folder(self.model, self.store)

    @cached_property
    def _tokenizer(self) -> Any:
        tokenizer = load_tokenizer(self._folder)
        if not tokenizer.chat_template:
            raise KedrecError(
                f"the teacher {self.model!r} has no chat template: it is not tuned for instructions; use its instruct "
                "or chat version"
            )
        return tokenizer

    @cached_property
    def _config(self) -> Any:
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(self._folder, trust_remote_code=False)

    @property
    def _context(self) -> int:
        positions = getattr(self._config, "max_position_embeddings", None)
        return int(positions or self._tokenizer.model_max_length)

    @cached_property
    def _end(self) -> list[int]:
        """Ids of all tokens that end an answer, of the tokenizer and of the model's generation config."""
        from transformers import GenerationConfig

        try:
            declared = GenerationConfig.from_pretrained(self._folder).eos_token_id
        except OSError:
            declared = getattr(self._config, "eos_token_id", None)
        tokens = [self._tokenizer.eos_token_id, *(declared if isinstance(declared, list) else [declared])]
        end = sorted({token for token in tokens if token is not None})
        if not end:
            raise KedrecError(f"the teacher {self.model!r} has no end-of-sequence token; its answers would never end")
        return end


class _drained:  # noqa: N801  (a context manager)
    """Within the block a thread passes on the answers that the processes put into the pipe.

    An error in ``give``, such as a full disk, ends the processes and is raised at the end of the block.
    """

    def __init__(self, pipe: Any, give: Callable[[Answered], None]) -> None:
        self.pipe = pipe
        self.give = give
        self.fault: Exception | None = None
        self.thread = threading.Thread(target=self._drain, daemon=True)

    def __enter__(self) -> None:
        self.others = set(multiprocessing.active_children())
        self.thread.start()

    def __exit__(self, kind: object, fault: object, trace: object) -> None:
        self.pipe.put(None)
        self.thread.join()
        if self.fault:
            raise self.fault

    def _drain(self) -> None:
        while (answered := self.pipe.get()) is not None:
            if self.fault is None:
                try:
                    self.give(answered)
                except Exception as fault:  # raised by the thread that waits for the processes
                    self.fault = fault
                    for process in set(multiprocessing.active_children()) - self.others:
                        process.terminate()
