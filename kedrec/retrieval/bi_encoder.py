"""The bi-encoder: texts to vectors, with any sentence-transformers folder or hub name, loaded by transformers."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kedrec.errors import KedrecError
from kedrec.runtime.distributed import local_number
from kedrec.runtime.environment import quickest_dtype
from kedrec.sources.weights import BUNDLED_ENCODER, encoder_folder
from kedrec.storage.hashing import file_hash

Vectors = NDArray[np.float32]

_BLOCK = 4096  # texts tokenized and sorted together: bounds the memory, and padding is already near none
_POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}


def _settings(folder: Path, file: str) -> Any:
    path = folder / file
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise KedrecError(f"{path}: not JSON ({fault}); fetch the model again") from fault


class Encoder:
    """Embeds passages and queries; equal inputs give equal vectors.

    Pooling, normalisation, prompts and the length limit are as the model's own files declare
    (``modules.json``, ``1_Pooling/config.json``, ``config_sentence_transformers.json``, ``sentence_bert_config.json``);
    without them mean pooling and normalisation, as sentence-transformers does.

    Args:
        model: ``minilm`` (all-MiniLM-L6-v2, bundled), a folder, or a hub name. No code from the hub is run.
        query_model: a second model for queries, as MedCPT has; ``None`` embeds both with ``model``.
        pooling: ``mean`` or ``cls``; ``None`` takes the model's own.
        normalize: scale vectors to length 1; ``None`` does so unless the model declares the dot product.
        max_length: tokens of a text that are read, the special ones included; ``None`` takes the model's own.
        batch_tokens: padded tokens in a batch; a CPU is fastest at about 2,000, a GPU wants tens of thousands.
        dtype: ``bfloat16``, ``float32``, or ``auto``: bfloat16 on a GPU and on CPUs with bf16 instructions, where it
            is 2 to 3 times as fast at a cosine of 0.9999 to float32.
        device: ``cpu``, ``cuda``, or ``auto``.

    Raises:
        KedrecError: the model is not there, is damaged, or needs a pooling other than mean and cls.
    """

    def __init__(
        self,
        model: str = BUNDLED_ENCODER,
        *,
        query_model: str | None = None,
        pooling: Literal["mean", "cls"] | None = None,
        normalize: bool | None = None,
        max_length: int | None = None,
        batch_tokens: int = 2048,
        dtype: Literal["auto", "bfloat16", "float32"] = "auto",
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> None:
        self.batch_tokens = batch_tokens
        settings: dict[str, Any] = {
            "pooling": pooling,
            "normalize": normalize,
            "max_length": max_length,
            "dtype": dtype,
            "device": device,
        }
        self._passages = _Tower(encoder_folder(model), **settings)
        self._queries = self._passages if query_model is None else _Tower(encoder_folder(query_model), **settings)
        self.dimension = self._passages.dimension
        if self._queries.dimension != self.dimension:
            raise KedrecError(
                f"encoder: {model} has {self.dimension} dimensions and {query_model} {self._queries.dimension}; "
                "they must be the two halves of one bi-encoder"
            )

    @cached_property
    def identity(self) -> str:
        """32 hex digits that change with the weights, the tokenizer, or a setting that changes vectors."""
        parts = [tower.identity for tower in (self._passages, self._queries)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def tokenizer_identity(self) -> str:
        """The hash of the passages' tokenizer, on which the cutting of documents depends."""
        return self._passages.tokenizer_identity

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, special ones not counted."""
        return self._passages.count(texts)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of passages, ``(texts, dim)``, in their order; a text is cut to the length limit."""
        return self._passages.encode(texts, ("passage", "document"), self.batch_tokens)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of queries, ``(texts, dim)``, in their order, with the query model and prompt if any."""
        return self._queries.encode(texts, ("query",), self.batch_tokens)


class _Tower:
    """One transformer with its pooling: the passages' half of a bi-encoder, or the queries'."""

    def __init__(
        self,
        folder: Path,
        *,
        pooling: str | None,
        normalize: bool | None,
        max_length: int | None,
        dtype: str,
        device: str,
    ) -> None:
        import torch

        cuda = device != "cpu" and torch.cuda.is_available()
        if device == "cuda" and not cuda:
            raise KedrecError("encoder: device is cuda, and there is no GPU; set it to auto or cpu")
        self.folder = folder
        # Each process of a node has a GPU of its own, whether it sees that one alone or all of them.
        self.device = torch.device("cuda", local_number() % torch.cuda.device_count()) if cuda else torch.device("cpu")
        self.dtype = quickest_dtype(cuda) if dtype == "auto" else dtype
        self.pooling = pooling or _declared_pooling(folder)
        declared = _settings(folder, "config_sentence_transformers.json")
        self.normalize = declared.get("similarity_fn_name") != "dot" if normalize is None else normalize
        self.prompts: dict[str, str] = declared.get("prompts") or {}
        self._model = self._load()
        self.dimension = int(self._model.config.hidden_size)
        self.max_length = self._limit(max_length)

    def _load(self) -> Any:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        messages: Any = logging  # untyped
        noise, bar = messages.get_verbosity(), messages.is_progress_bar_enabled()
        messages.set_verbosity_error()
        messages.disable_progress_bar()
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
            model, report = AutoModel.from_pretrained(
                self.folder,
                dtype=getattr(torch, self.dtype),
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as fault:
            raise KedrecError(f"encoder {self.folder}: it cannot be loaded ({fault}); fetch the model again") from fault
        finally:
            messages.set_verbosity(noise)
            if bar:
                messages.enable_progress_bar()
        if missing := [name for name in sorted(report["missing_keys"]) if not name.startswith("pooler.")]:
            raise KedrecError(f"encoder {self.folder}: its weights lack {len(missing)} tensors, e.g. {missing[0]}")
        self._pad = tokenizer.pad_token_id or 0
        self._tokenizer = tokenizer.backend_tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._declared_length = int(tokenizer.model_max_length)
        return model.eval().to(self.device)

    def _limit(self, length: int | None) -> int:
        positions = int(getattr(self._model.config, "max_position_embeddings", self._declared_length))
        most = min(self._declared_length, positions)
        if length is not None and not 3 <= length <= most:
            raise KedrecError(f"encoder {self.folder}: max_length must be from 3 to {most} tokens, not {length}")
        declared = _settings(self.folder, "sentence_bert_config.json").get("max_seq_length") or most
        return length or min(int(declared), most)

    @cached_property
    def tokenizer_identity(self) -> str:
        self._tokenizer.no_truncation()
        return hashlib.sha256(self._tokenizer.to_str().encode()).hexdigest()

    @property
    def identity(self) -> dict[str, Any]:
        return {
            "weights": [file_hash(file) for file in sorted(self.folder.glob("model*.safetensors"))],
            "config": file_hash(self.folder / "config.json"),
            "tokenizer": self.tokenizer_identity,
            "settings": [self.pooling, self.normalize, self.max_length, self.dtype],
            "prompts": self.prompts,
        }

    def count(self, texts: Sequence[str]) -> list[int]:
        self._tokenizer.no_truncation()
        return [len(text.ids) for text in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def encode(self, texts: Sequence[str], kinds: Sequence[str], batch_tokens: int) -> Vectors:
        prompt = next((self.prompts[kind] for kind in kinds if kind in self.prompts), "")
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for start in range(0, len(texts), _BLOCK):
            self._tokenizer.enable_truncation(self.max_length)
            block = self._tokenizer.encode_batch_fast([prompt + text for text in texts[start : start + _BLOCK]])
            tokens = [encoded.ids for encoded in block]
            for rows in _batches([len(ids) for ids in tokens], batch_tokens):
                vectors[[start + row for row in rows]] = self._forward([tokens[row] for row in rows])
        return vectors

    def _forward(self, tokens: list[list[int]]) -> Vectors:
        """Return the pooled vectors of one batch, ``(batch, dim)``; ``tokens`` come longest first."""
        import torch

        with torch.inference_mode():
            ids = torch.full((len(tokens), len(tokens[0])), self._pad)
            mask = torch.zeros_like(ids)
            for row, known in enumerate(tokens):
                ids[row, : len(known)] = torch.tensor(known)
                mask[row, : len(known)] = 1
            ids, mask = ids.to(self.device), mask.to(self.device)
            states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            if self.pooling == "cls":
                pooled = states[:, 0]
            else:
                weights = mask.unsqueeze(-1).float()
                pooled = (states * weights).sum(1) / weights.sum(1)
            if self.normalize:
                pooled = torch.nn.functional.normalize(pooled, dim=-1)
            vectors: Vectors = pooled.cpu().numpy()
            return vectors


def _declared_pooling(folder: Path) -> str:
    steps = _settings(folder, "modules.json") or []
    path = next((step["path"] for step in steps if step["type"].endswith("Pooling")), "1_Pooling")
    declared = _settings(folder, f"{path}/config.json")
    flags = [_POOLINGS.get(name, name) for name, on in declared.items() if name.startswith("pooling_mode_") and on]
    modes = declared.get("pooling_mode", flags or "mean")  # newer sentence-transformers write one key, older ones flags
    mode = modes[0] if isinstance(modes, list) and len(modes) == 1 else modes
    if mode not in ("mean", "cls"):
        raise KedrecError(f"{folder / path / 'config.json'}: expected mean or cls pooling; found {modes}")
    return str(mode)


def _batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Yield rows longest first, in batches of at most ``budget`` padded tokens."""
    rows: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if rows and (len(rows) + 1) * lengths[rows[0]] > budget:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows
