"""Whether a text entails a sentence, by any NLI model for sequence classification, from a folder or the hub."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedrec.errors import KedrecError
from kedrec.runtime.distributed import local_number

_MOST_TOKENS = 512  # of a pair: what models of this kind are trained on
_BATCH = 32  # pairs


class Entailment:
    """Scores pairs of a text, the premise, and a sentence, the hypothesis.

    Args:
        model: a folder or a hub name of a sequence classifier, weights as safetensors, trained on natural language
            inference; its ``config.json`` names the label, in ``id2label``: one that begins with "entail".
        trust_remote_code: whether to run Python code of the model; only for models whose code you have read.

    Raises:
        KedrecError: the model is missing or damaged, has no classifier, or no label for entailment.
    """

    def __init__(self, model: str, trust_remote_code: bool = False) -> None:
        import torch

        if Path(model).is_dir() and not (Path(model) / "config.json").is_file():
            raise KedrecError(f"entailment {model}: not a model folder: it has no config.json")
        self.name = model
        self._tokenizer, self._model = _load(model, trust_remote_code)
        self._row = _entailment_row(model, self._model.config.id2label)
        positions = int(getattr(self._model.config, "max_position_embeddings", _MOST_TOKENS))
        self._most = min(_MOST_TOKENS, int(self._tokenizer.model_max_length), positions)
        cuda = torch.cuda.is_available()
        # Each process of a node uses another GPU, whether it sees only that one or all of them.
        self._device = torch.device("cuda", local_number() % torch.cuda.device_count()) if cuda else torch.device("cpu")
        self._model.eval().to(self._device)

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """Return the probability that each premise entails its hypothesis, ``(pairs,)``.

        A premise is truncated to fit the model's context beside the hypothesis. A hypothesis is never truncated: if it
        leaves no room, the probability is 0.

        Args:
            pairs: premise and hypothesis of each.
        """
        found = np.zeros(len(pairs), dtype=np.float32)
        room = self._most - self._tokenizer.num_special_tokens_to_add(pair=True)
        lengths = [self._length(hypothesis) for _, hypothesis in pairs]
        readable = [row for row, length in enumerate(lengths) if length < room]
        readable.sort(key=lambda row: -len(pairs[row][0]) - len(pairs[row][1]))
        for start in range(0, len(readable), _BATCH):
            rows = readable[start : start + _BATCH]
            found[rows] = self._forward([pairs[row] for row in rows])
        return found

    def _length(self, text: str) -> int:
        return len(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _forward(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """Return the probabilities of one batch, ``(batch,)``."""
        import torch

        premises, hypotheses = (list(texts) for texts in zip(*pairs, strict=True))
        options = {"truncation": "only_first", "max_length": self._most, "padding": True, "return_tensors": "pt"}
        with torch.inference_mode():
            read = self._tokenizer(premises, hypotheses, **options).to(self._device)
            logits = self._model(**read).logits.float()
            probabilities: NDArray[np.float32] = logits.softmax(-1)[:, self._row].cpu().numpy()
            return probabilities


def _load(model: str, trust_remote_code: bool) -> tuple[Any, Any]:
    """Return tokenizer and model."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=trust_remote_code)
        classifier, report = AutoModelForSequenceClassification.from_pretrained(
            model,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
    except (ImportError, OSError, ValueError, RuntimeError, SafetensorError) as fault:
        reason = str(fault).strip().splitlines()[0]
        raise KedrecError(
            f"entailment {model!r}: it cannot be loaded ({reason}); expected a folder or a hub name of a sequence "
            "classifier with safetensors"
        ) from fault
    if missing := sorted(report["missing_keys"]):
        raise KedrecError(f"entailment {model!r}: its weights lack {missing[0]!r}, the classifier; name an NLI model")
    if tokenizer.pad_token is None:
        raise KedrecError(f"entailment {model!r}: its tokenizer has no padding token; name an NLI model that has one")
    return tokenizer, classifier


def _entailment_row(model: str, labels: dict[int, str]) -> int:
    rows = [row for row, label in labels.items() if label.lower().startswith("entail")]
    if len(rows) != 1:
        raise KedrecError(
            f"entailment {model!r}: labels {list(labels.values())}; expected one that begins with 'entail'; "
            "name an NLI model, or name its labels in id2label of its config.json"
        )
    return rows[0]
