"""A student's exported weights read back: an adapter in PEFT's layout, or a whole model."""

from pathlib import Path
from typing import TYPE_CHECKING

from kedrec.errors import KedrecError
from kedrec.training.weight_names import check_weight_names

if TYPE_CHECKING:
    from kedrec.kedrec_lm.student import Student


def load_adapter(student: "Student", folder: Path) -> None:
    """Load ``adapter/`` of a run folder; KedrecError where it is damaged or of another model."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / "adapter_model.safetensors"
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as fault:
        raise KedrecError(f"{path}: cannot be read ({fault}); train the run again") from fault
    check_weight_names(path, set(get_peft_model_state_dict(student.net)), set(state))
    set_peft_model_state_dict(student.net, state)


def load_whole_model(student: "Student", folder: Path) -> None:
    """Load ``model/`` of a run folder; KedrecError where it is damaged."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    dtype = getattr(torch, student.dtype_name)
    options = {"use_safetensors": True, "trust_remote_code": student.trust_remote_code}
    try:
        read = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **options)
    except (OSError, SafetensorError) as fault:
        reason = str(fault).strip().splitlines()[0]
        raise KedrecError(f"{folder}: cannot be read ({reason}); train the run again") from fault
    student.net.load_state_dict(read.state_dict())
