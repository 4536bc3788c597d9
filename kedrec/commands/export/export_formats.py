"""The formats of an export: a PEFT folder, merged weights in safetensors, and GGUF by llama.cpp's converter."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from kedrec.commands.export.gguf_converter import OUTTYPES, convert
from kedrec.errors import KedrecError
from kedrec.kedrec_lm.student import Student
from kedrec.sources.weights import BUNDLED_BASE, base_folder
from kedrec.storage.artifact_store import Store

Form = Literal["adapter", "merged", "gguf"]
_HUB_NAMES = {BUNDLED_BASE: "HuggingFaceTB/SmolLM2-135M-Instruct"}

Weights = dict[str, Tensor]


def hub_name(base: str) -> str | None:
    """Return the name of a base on the hub; ``None`` for a local folder."""
    return _HUB_NAMES.get(base, None if Path(base).is_dir() else base)


def write_adapter(student: Student, folder: Path) -> Weights:
    """Write the adapter and the tokenizer; return the adapter's weights."""
    from peft import get_peft_model_state_dict

    student.net.save_pretrained(folder)
    student.tokenizer.save_pretrained(folder)
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    # For the bundled base it names a folder in the store of this machine.
    settings["base_model_name_or_path"] = hub_name(student.base) or student.base
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return _copied(get_peft_model_state_dict(student.net, save_embedding_layers=False))


def write_merged(student: Student, dtype: str, folder: Path) -> Weights:
    """Merge the adapter into the base, in float32, and write all weights and the tokenizer; return the weights.

    The student stays merged.
    """
    student.net.float()
    if student.lora is not None:
        student.net = student.net.merge_and_unload(safe_merge=True)
    student.net.to(getattr(torch, dtype))
    student.net.save_pretrained(folder)
    student.tokenizer.save_pretrained(folder)
    return _copied(student.net.state_dict())


def write_gguf(student: Student, dtype: str, converter: Path, name: str, folder: Path) -> Weights:
    """Write one GGUF file, and Ollama's ``Modelfile`` beside it; return the weights that were converted.

    Raises:
        KedrecError: the converter fails, or leaves no file.
    """
    merged, path = folder / "merged", folder / f"{name}-{OUTTYPES[dtype]}.gguf"
    weights = write_merged(student, "float32" if dtype == "q8_0" else dtype, merged)
    convert(converter, merged, path, OUTTYPES[dtype])
    shutil.rmtree(merged)
    (folder / "Modelfile").write_text(f"FROM ./{path.name}\nPARAMETER temperature 0\n", encoding="utf-8")
    return weights


def read_back(form: Form, folder: Path, student: Student) -> Any:
    """Load an export from disk with the libraries that others use; return the net in eval mode.

    Raises:
        KedrecError: the export cannot be read.
    """
    from peft import PeftModel
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    options: dict[str, Any] = {"use_safetensors": True, "trust_remote_code": student.trust_remote_code}
    try:
        if form == "adapter":
            base = base_folder(student.base, Store())
            dtype = getattr(torch, student.dtype_name)
            net: Any = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, **options)
            net = PeftModel.from_pretrained(net, folder)
        elif form == "merged":
            net = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", **options)
        else:
            (file,) = folder.glob("*.gguf")
            net = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file.name, dtype=torch.float32)
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, NotImplementedError) as fault:
        reason = " ".join(str(fault).split()) or type(fault).__name__
        raise KedrecError(f"the export cannot be read back: {reason[:300]}") from fault
    return net.eval()


def weights_of(form: Form, net: Any) -> Weights:
    """Return the weights of a loaded export, under the names that its writer returned."""
    from peft import get_peft_model_state_dict

    if form == "adapter":
        return dict(get_peft_model_state_dict(net, save_embedding_layers=False))  # "auto" asks the hub for the base
    return dict(net.state_dict())


def tokenizer_fault(form: Form, folder: Path, tokenizer: Any, prompts: Sequence[Sequence[int]]) -> str | None:
    """Return in words how the exported tokenizer differs from the run's; ``None`` if it does not.

    Args:
        form: of the export.
        folder: of the export.
        tokenizer: of the run.
        prompts: token ids whose texts must give the same tokens again.
    """
    if form == "gguf":
        (file,) = folder.glob("*.gguf")
        return _gguf_fault(file, tokenizer)
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(folder)
    texts = [tokenizer.decode(prompt) for prompt in prompts]
    told = [one(texts, add_special_tokens=False)["input_ids"] for one in (tokenizer, found)]
    if told[0] != told[1] or found.eos_token_id != tokenizer.eos_token_id:
        return "its tokenizer differs from the run's"
    return None if found.chat_template == tokenizer.chat_template else "its chat template differs from the run's"


def _gguf_fault(path: Path, tokenizer: Any) -> str | None:
    """The same for a GGUF file, which has the tokens, but names the pre-tokenizer only."""
    from gguf import GGUFReader

    fields = GGUFReader(path).fields

    def held(name: str) -> Any:
        return fields[name].contents() if name in fields else None

    tokens = held("tokenizer.ggml.tokens") or []
    if tokens[: len(tokenizer)] != tokenizer.convert_ids_to_tokens(range(len(tokenizer))):
        return "its tokens differ from the run's"
    if held("tokenizer.ggml.eos_token_id") != tokenizer.eos_token_id:
        return "its end-of-sequence token differs from the run's"
    return (
        None
        if held("tokenizer.chat_template") == tokenizer.chat_template
        else "its chat template differs from the run's"
    )


def _copied(state: Weights) -> Weights:
    return {name: value.detach().cpu().clone() for name, value in state.items()}
