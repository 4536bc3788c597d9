"""Parameters sharded over processes (ZeRO stage 3, FSDP): gathering them, and distributing them again."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor import DTensor


def is_sharded(module: nn.Module) -> bool:
    """Whether parameters are sharded, so that each forward pass needs every process."""
    return any(hasattr(parameter, "ds_id") or _is_distributed(parameter) for parameter in module.parameters())


def whole_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the complete state on the CPU; of a module with shards, the trained parameters alone.

    With shards each process must call it; one parameter after another is gathered.
    """
    if not is_sharded(module):
        return {name: value.detach().cpu() for name, value in module.state_dict().items()}
    return {
        name: _whole(parameter).cpu().clone()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }


@torch.no_grad()
def load_whole(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state of `whole_state`, or a part of one; each process must call it with the same state.

    Raises:
        KeyError: the module has no parameter of a name.
    """
    if not is_sharded(module):
        unknown = module.load_state_dict(state, strict=False).unexpected_keys
        if unknown:
            raise KeyError(unknown[0])
        return
    parameters = dict(module.named_parameters())
    for name, value in state.items():
        _fill(parameters[name], value)


def _is_distributed(parameter: Tensor) -> bool:
    from torch.distributed.tensor import DTensor

    return isinstance(parameter, DTensor)


def _whole(parameter: Tensor) -> Tensor:
    if _is_distributed(parameter):
        return cast("DTensor", parameter).full_tensor().detach()
    if not hasattr(parameter, "ds_id"):
        return parameter.detach()
    from deepspeed.runtime.zero.partition_parameters import GatheredParameters

    with GatheredParameters([parameter]):
        return parameter.detach().clone()


def _fill(parameter: Tensor, value: Tensor) -> None:
    if _is_distributed(parameter):
        from torch.distributed.tensor import distribute_tensor

        parts = cast("DTensor", parameter)
        own = value.to(parts.device, parts.dtype)
        parts.copy_(distribute_tensor(own, parts.device_mesh, parts.placements))
    elif hasattr(parameter, "ds_id"):
        from deepspeed.runtime.zero.partition_parameters import GatheredParameters

        with GatheredParameters([parameter], modifier_rank=0):
            parameter.copy_(value)
    else:
        parameter.copy_(value)


def shard_layers(model: Any, mesh: "DeviceMesh") -> None:
    """Shard a causal LM over processes with PyTorch's FSDP2, layer by layer; the rest is one shard group.

    Args:
        model: a transformers model, or a PEFT model around one.
        mesh: (nodes, processes of a node): shards are within a node, and each node has all of them.
    """
    from torch.distributed.fsdp import fully_shard

    within = mesh if mesh.size(0) > 1 else mesh[mesh.mesh_dim_names[-1]]  # type: ignore[index]
    for layers in (one for one in model.modules() if isinstance(one, nn.ModuleList)):
        for layer in layers:
            fully_shard(layer, mesh=within)
    fully_shard(model, mesh=within)


@contextmanager
def loaded_in_parts(config: dict[str, Any] | None) -> Iterator[None]:
    """Within the block transformers shards a pretrained model as it loads it; nothing happens without a config."""
    if config is None:
        yield
        return
    from transformers.integrations.deepspeed import HfDeepSpeedConfig

    active = HfDeepSpeedConfig(config)  # type: ignore[no-untyped-call]  # transformers finds it as long as it lives
    yield
    del active


@contextmanager
def made_whole(config: dict[str, Any] | None) -> Iterator[None]:
    """Within the block DeepSpeed shards no new parameters, so that their initialisation sees complete tensors."""
    if config is None:
        yield
        return
    from deepspeed.runtime.zero.partition_parameters import restore_init_context, shutdown_init_context

    shutdown_init_context()
    try:
        yield
    finally:
        restore_init_context()


def adamw(trained: list[nn.Parameter], learning_rate: float, decay: float, *, offloaded: bool) -> torch.optim.Optimizer:
    """Return AdamW; if states are offloaded to the host, DeepSpeed's for the CPU, compiled at first use."""
    if not offloaded:
        return torch.optim.AdamW(trained, lr=learning_rate, weight_decay=decay)
    from deepspeed.ops.adam import DeepSpeedCPUAdam

    return cast(torch.optim.Optimizer, DeepSpeedCPUAdam(trained, lr=learning_rate, weight_decay=decay, adamw_mode=True))
