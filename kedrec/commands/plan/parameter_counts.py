"""Counts of a model's parameters, on torch's `meta` device, where tensors have shapes but no memory."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from peft import get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from kedrec.commands.plan.decoder_costs import Attention, Decoder, Layer, Matrix
from kedrec.errors import KedrecError
from kedrec.kedrec_lm.student import Student
from kedrec.sources.weights import base_folder, bundled_gguf
from kedrec.storage.artifact_store import Store
from kedrec.storage.hashing import Key, key_hash


class _NotPreparedError(Exception):
    """An artefact is not in the store."""


class _Prepared(Store):
    """A store that builds nothing."""

    def get(self, kind: str, key: Key, build: Callable[[Path], None], *, resumable: bool = False) -> Path:
        """Return the artefact's folder, if it is there."""
        if not self.holds(kind, key):
            raise _NotPreparedError
        return self.root / kind / key_hash(key)


def base_config(base: str, trust_remote_code: bool = False) -> Any:
    """Return the configuration of a base, as `Student` names it; of the bundled one, if need be, by its GGUF file.

    Raises:
        KedrecError: there is none.
    """
    try:
        folder = base_folder(base, _Prepared())
    except _NotPreparedError:
        gguf = bundled_gguf()
        return AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name)
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as fault:  # no JSON, or of a kind that transformers does not know
        raise KedrecError(f"{Path(base) / 'config.json'}: {str(fault).strip().splitlines()[0]}") from fault


def decoder_of(student: Student, gpu: bool = False) -> Decoder:
    """Return what a student would train: its base by the configuration alone, with PEFT's adapters on it.

    Args:
        student: as its experiment makes it.
        gpu: whether on a GPU, or on this machine's CPU: in what numbers its weights are then.

    Raises:
        KedrecError: the base has no configuration, or is no decoder of layers; or LoRA does not fit it.
    """
    config = base_config(student.base, student.trust_remote_code)
    dtype = getattr(torch, student.dtype_on(gpu))
    with torch.device("meta"):
        build: Any = AutoModelForCausalLM
        net = build.from_config(config, dtype=dtype, trust_remote_code=student.trust_remote_code)
        if student.lora is not None:
            try:
                net = get_peft_model(net, student.lora)
            except ValueError as fault:
                raise KedrecError(f"model.init_args.lora: {fault}") from fault
    shape = config.get_text_config()
    stacks = [part for part in net.modules() if isinstance(part, nn.ModuleList) and len(part)]
    layers = next((part for part in stacks if len(part) == shape.num_hidden_layers), None)
    if layers is None:
        raise KedrecError(f"model.init_args.base: {student.base} is no stack of layers that --plan could count")
    matrices = tuple(tuple(_matrices(layer)) for layer in layers)
    parameters = list(net.parameters())
    trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    heads = shape.num_attention_heads
    names = {matrix.name for matrix in matrices[0]}
    return Decoder(
        hidden=shape.hidden_size,
        attention=Attention(
            heads,
            getattr(shape, "num_key_value_heads", None) or heads,
            getattr(shape, "head_dim", None) or shape.hidden_size // heads,
        ),
        feed_forward=getattr(shape, "intermediate_size", None) or 4 * shape.hidden_size,
        vocabulary=shape.vocab_size,
        gated=not names.isdisjoint(("gate_proj", "gate_up_proj")),
        rms=any("RMSNorm" in type(part).__name__ for part in layers.modules()),
        layers=tuple(Layer(of, _norms_trained(layer)) for of, layer in zip(matrices, layers, strict=True)),
        frozen=sum(parameter.numel() for parameter in parameters) - trained,
        trained=trained,
        head_trained=net.get_output_embeddings().weight.requires_grad,
        embedding_trained=net.get_input_embeddings().weight.requires_grad,
    )


def parameters_of(model: LightningModule) -> tuple[int, int] | None:
    """Return the numbers of all and of trained parameters of a model; ``None`` if they depend on its data."""
    try:
        with torch.device("meta"):
            model.configure_model()
    except RuntimeError:  # Lightning's, where a model asks for its trainer; transformers', where it loads weights
        return None
    parameters = list(model.parameters())
    if not parameters:
        return None
    trained = (parameter.numel() for parameter in parameters if parameter.requires_grad)
    return sum(parameter.numel() for parameter in parameters), sum(trained)


def _matrices(layer: nn.Module) -> Iterator[Matrix]:
    """Yield a layer's matrices, those with an adapter once."""
    inside: tuple[str, ...] = ()
    for path, part in layer.named_modules():
        if path.startswith(inside):
            continue
        rank = 0
        trained = part
        if isinstance(part, LoraLayer):
            inside += (f"{path}.",)
            rank, trained = sum(part.r.values()), part.get_base_layer()
        if isinstance(trained, nn.Linear | Conv1D):
            weight = trained.weight
            outputs, inputs = reversed(weight.shape) if isinstance(trained, Conv1D) else weight.shape
            yield Matrix(path.rpartition(".")[2], inputs, outputs, weight.requires_grad, rank)


def _norms_trained(layer: nn.Module) -> bool:
    norms = (part for part in layer.modules() if "Norm" in type(part).__name__)
    return any(parameter.requires_grad for norm in norms for parameter in norm.parameters())
