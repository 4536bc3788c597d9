"""Deep soft prompts for a frozen encoder: rows that each layer reads before those of a text."""

from typing import Any, Self

import torch
from torch import Tensor, nn

from kedrec.errors import KedrecError
from kedrec.sources.weights import encoder_folder


class Prompter(nn.Module):
    """Maps a row of an entity or relation to prompts for each layer by two matrices, as CSProm-KG does.

    Args:
        dim: of rows.
        hidden: width between the two.
        layers: of the encoder.
        length: prompts per row and layer.
        width: of the encoder's hidden rows.
        dropout: of prompts in training.
    """

    def __init__(self, dim: int, hidden: int, layers: int, length: int, width: int, dropout: float) -> None:
        super().__init__()
        self.shape = (layers, length, width)
        self.make = nn.Sequential(
            nn.Linear(dim, hidden, bias=False),
            nn.ReLU(),
            nn.Linear(hidden, layers * length * width, bias=False),
            nn.Dropout(dropout),
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Return ``(n, layers, length, width)`` prompts of ``(n, dim)`` rows."""
        prompts: Tensor = self.make(rows).unflatten(1, self.shape)
        return prompts


class PromptedEncoder(nn.Module):
    """A frozen BERT without dropout whose outputs at the prompts are read.

    Args:
        model: ``minilm`` (bundled), a folder, or a hub name, in safetensors.
        layers: that are used, from the first; ``None`` uses all.

    Raises:
        KedrecError: the encoder is missing, not a BERT, has fewer layers, or cannot be loaded.
    """

    def __init__(self, model: str, layers: int | None) -> None:
        super().__init__()
        self.net, self.tokenizer = _loaded(model)
        if layers is not None and layers > len(self.net.encoder.layer):
            raise KedrecError(
                f"model.init_args.layers: {layers}; the encoder {model} has {len(self.net.encoder.layer)}"
            )
        self.net.encoder.layer = self.net.encoder.layer[:layers]
        self.layers = len(self.net.encoder.layer)
        self.width = int(self.net.config.hidden_size)
        self.requires_grad_(requires_grad=False)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode: a frozen encoder cannot learn to compensate for dropout."""
        return super().train(False)

    def tokenize(self, texts: list[str], others: list[str], tokens: int) -> dict[str, Tensor]:
        """Return ``input_ids``, ``token_type_ids`` and ``attention_mask`` of pairs of texts, ``(n, time)``.

        Args:
            texts: the first of each pair.
            others: the second of each.
            tokens: most tokens of a pair, the special ones included; the longer text is cut off.
        """
        made = self.tokenizer(
            texts,
            others,
            truncation="longest_first",
            max_length=tokens,
            padding=True,
            return_tensors="pt",
            return_token_type_ids=True,
        )
        return {name: made[name] for name in ("input_ids", "token_type_ids", "attention_mask")}

    def forward(self, tokens: dict[str, Tensor], prompts: Tensor) -> Tensor:
        """Return the outputs of the last layer at its prompts, ``(n, length, width)``.

        Args:
            tokens: what `tokenize` returns, on the prompts' device.
            prompts: ``(n, layers, length, width)``; they have no position.
        """
        # Each layer reads prompts of its own instead of the last layer's outputs at the prompts: an encoder of
        # transformers takes no key/value prefixes, and CSProm-KG needs outputs at the prompts, which prefixes lack.
        length = prompts.shape[2]
        hidden: Tensor = self.net.embeddings(input_ids=tokens["input_ids"], token_type_ids=tokens["token_type_ids"])
        padding = torch.nn.functional.pad(tokens["attention_mask"] == 0, (length, 0))
        mask = torch.where(padding, torch.finfo(hidden.dtype).min, 0.0).to(hidden.dtype)[:, None, None]
        read = hidden
        for layer, own in zip(self.net.encoder.layer, prompts.unbind(1), strict=True):
            hidden = layer(torch.cat([own, read], dim=1), mask)
            read = hidden[:, length:]
        return hidden[:, :length]


def _loaded(model: str) -> tuple[Any, Any]:
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoTokenizer, BertModel

    folder = encoder_folder(model)
    try:
        kind = AutoConfig.from_pretrained(folder, trust_remote_code=False).model_type
        if kind != "bert":
            raise KedrecError(f"model.init_args.encoder: {model} is of type {kind!r}; expected a BERT")
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        kind_of_net: Any = BertModel
        net, report = kind_of_net.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            add_pooling_layer=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as fault:
        reason = str(fault).partition("\n")[0]
        raise KedrecError(f"model.init_args.encoder: {model} cannot be loaded ({reason}); fetch it again") from fault
    if missing := sorted(report["missing_keys"]):
        raise KedrecError(f"model.init_args.encoder: {model} lacks {len(missing)} tensors, e.g. {missing[0]}")
    return net, tokenizer
