"""Batched generation as a Lightning module, for `Trainer.predict` on one device or several."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from safetensors import SafetensorError
from torch import Tensor
from torch.utils.data import DataLoader

from kedrec.errors import KedrecError
from kedrec.llm.requests import CUT, Answer


@dataclass(frozen=True)
class Prompt:
    """A tokenized request.

    Attributes:
        place: index of the request.
        tokens: ids of the prompt.
        max_tokens: bound of the answer, tokens.
        temperature: 0 for greedy decoding.
        seed: of the sampling; seed and tokens decide the draws, independent of the rest of the batch.
    """

    place: int
    tokens: tuple[int, ...]
    max_tokens: int
    temperature: float
    seed: int


class Generation(LightningModule):
    """A causal language model that answers batches of prompts.

    Args:
        folder: of the model, or its hub name.
        dtype: of the weights, a name that torch knows.
        end: ids of the tokens that end an answer.
        pad: id of the padding token; padding is on the left.
    """

    def __init__(self, folder: str, dtype: str, end: Sequence[int], pad: int) -> None:
        super().__init__()
        self.folder = folder
        self.dtype_name = dtype
        self.end = tuple(end)
        self.pad = pad
        self.net: Any = None

    def configure_model(self) -> None:
        """Load the weights, in each process a copy."""
        if self.net is not None:
            return
        from transformers import AutoModelForCausalLM, GenerationConfig

        try:
            net: Any = AutoModelForCausalLM.from_pretrained(
                self.folder, dtype=getattr(torch, self.dtype_name), use_safetensors=True, trust_remote_code=False
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as fault:
            reason = str(fault).partition("\n")[0]
            raise KedrecError(f"the teacher {self.folder} cannot be loaded ({reason}); download it again") from fault
        # The generation config of the model could set a repetition penalty or sampling.
        config: Any = GenerationConfig
        net.generation_config = config(
            do_sample=False, eos_token_id=list(self.end), pad_token_id=self.pad, use_cache=True
        )
        self.net = net.eval()

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave the prompts on the CPU: `predict_step` moves the padded tensors."""
        return batch

    def predict_step(self, batch: Sequence[Prompt], batch_idx: int) -> list[tuple[int, list[int], str]]:
        """Return (index of the request, ids of the answer without its end, reason to finish) of each prompt."""
        from transformers import LogitsProcessorList

        ids, mask = padded([prompt.tokens for prompt in batch], self.pad)
        draws = LogitsProcessorList([GumbelDraws(batch, self.device)])
        sampled = any(prompt.temperature > 0 for prompt in batch)
        with torch.inference_mode():
            made: Tensor = self.net.generate(
                input_ids=ids.to(self.device),
                attention_mask=mask.to(self.device),
                max_new_tokens=max(prompt.max_tokens for prompt in batch),
                logits_processor=draws if sampled else LogitsProcessorList(),
            )
        rows = made[:, ids.shape[1] :].tolist()
        return [(prompt.place, *self._ended(row, prompt.max_tokens)) for prompt, row in zip(batch, rows, strict=True)]

    def _ended(self, row: list[int], bound: int) -> tuple[list[int], str]:
        stop = next((at for at, token in enumerate(row[:bound]) if token in self.end), None)
        return (row[:bound], CUT) if stop is None else (row[:stop], "stop")


class GumbelDraws:
    """Makes the likeliest token a draw: logits over the temperature plus Gumbel noise, each row from its own seed.

    The largest of logits with Gumbel noise is distributed as the softmax says, so a row's draws depend on its seed and
    its prompt alone, not on what shares its batch.

    Args:
        prompts: of the batch; a row of temperature 0 is left as it is.
        device: where the noise is drawn.
    """

    def __init__(self, prompts: Sequence[Prompt], device: torch.device) -> None:
        self.temperatures = [prompt.temperature for prompt in prompts]
        self.generators = [torch.Generator(device).manual_seed(_draw_seed(prompt)) for prompt in prompts]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the scores, (batch, vocabulary), of which the largest is the draw."""
        scores = scores.float()
        for row, (temperature, generator) in enumerate(zip(self.temperatures, self.generators, strict=True)):
            if temperature > 0:
                uniform = torch.rand(scores.shape[1], generator=generator, device=scores.device)
                noise = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
                scores[row] = scores[row] / temperature + noise
        return scores


class Deliver(Callback):
    """Passes on the answers of each batch as soon as they are generated.

    Args:
        give: takes (index of the request, ids of the answer, reason to finish).
    """

    def __init__(self, give: Callable[[tuple[int, list[int], str]], None]) -> None:
        self.give = give

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Pass on the answers of the batch."""
        for answered in outputs:
            self.give(answered)


def batches(prompts: Sequence[Prompt], batch_size: int) -> "DataLoader[Prompt]":
    """Return the prompts in batches of similar lengths, the longest first, so that a lack of memory shows early."""
    ordered: Any = sorted(prompts, key=lambda prompt: (-len(prompt.tokens), prompt.place))
    return DataLoader(ordered, batch_size=batch_size, shuffle=False, collate_fn=list)


def padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Return ids and attention mask, ``(batch, time)`` each, padded on the left."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros_like(ids)
    for row, known in enumerate(rows):
        ids[row, width - len(known) :] = torch.tensor(known)
        mask[row, width - len(known) :] = 1
    return ids, mask


def text_of(answered: tuple[int, list[int], str], prompt: Prompt, tokenizer: Any) -> Answer:
    """Return the decoded answer with its counts of tokens, the final end token included."""
    _, tokens, finish = answered
    text = tokenizer.decode(tokens, skip_special_tokens=True)
    return Answer(text, len(prompt.tokens), len(tokens) + (finish != CUT), finish)


def _draw_seed(prompt: Prompt) -> int:
    content = repr((prompt.seed, prompt.tokens)).encode()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest()) >> 1
