"""Export a student for servers: ``python -m kedrec.export RUN --to adapter|merged|gguf DIR``.

    --dtype NAME       data type of the weights: float32, bfloat16, float16, for gguf q8_0; default: that of the
                       student on this machine
    --converter FILE   llama.cpp's convert_hf_to_gguf.py; default: in $LLAMA_CPP or on the PATH
    --private          export a run that was trained on patient data; DIR must be a place for such data
    --force            replace the export in DIR

The export is read back from disk and compared with the run. If its answers differ, it is not written to DIR.
"""

import argparse
import gc
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedrec.commands.export.gguf_converter import OUTTYPES, find_converter
from kedrec.errors import KedrecError
from kedrec.runtime.command_line import Arguments, run_command
from kedrec.storage.atomic_folder import appearing_whole
from kedrec.storage.hashing import file_hash
from kedrec.training.experiment_objects import build
from kedrec.training.loaded_run import FinishedRun, load_best, make_ready, open_run

if TYPE_CHECKING:
    from kedrec.commands.export.export_fidelity import Choices, Logits
    from kedrec.commands.export.export_formats import Form
    from kedrec.kedrec_lm.student import Student

_RECORD = "export.json"
_FORMS = ("adapter", "merged", "gguf")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return run_command(__doc__, arguments, _run, "nothing was written")


def _run(arguments: list[str]) -> None:
    options = _options(arguments)
    run = open_run(options.run)
    _check(run, options)
    export(run, options)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Arguments("python -m kedrec.export")
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--to", choices=_FORMS, required=True)
    parser.add_argument("--dtype", choices=OUTTYPES)
    parser.add_argument("--converter")
    parser.add_argument("--private", action="store_true")
    parser.add_argument("--force", action="store_true")
    return parser.parse_args(arguments)


def _check(run: FinishedRun, options: argparse.Namespace) -> None:
    """Check the options before anything is loaded."""
    folder: Path = options.folder
    if folder.exists() and not folder.is_dir():
        raise KedrecError(f"{folder}: a file; expected an empty or new folder")
    if folder.is_dir() and any(folder.iterdir()):
        if not options.force:
            raise KedrecError(f"{folder}: not empty; name another folder, or replace the export in it with --force")
        if not (folder / _RECORD).is_file():
            raise KedrecError(f"{folder}: holds no export of kedrec; --force replaces only such a folder")
    if (run.path / "embeddings").is_dir():
        raise KedrecError(f"{run.path}: the run of a graph model; its export is {run.path / 'embeddings'}")
    whole = run.original.tree["model"].get("init_args", {}).get("lora") is None
    if options.to == "adapter" and whole:
        raise KedrecError("--to adapter: this run trained every weight and has no adapter; use --to merged")
    if options.to == "adapter" and options.dtype:
        raise KedrecError("--dtype: an adapter keeps its data type; leave the option out")
    if options.to == "merged" and options.dtype == "q8_0":
        raise KedrecError("--dtype: q8_0 needs --to gguf; expected float32, bfloat16 or float16")
    if options.to == "gguf":
        options.converter = find_converter(options.converter)


@dataclass(frozen=True)
class _Job:
    """An export: the student of a run, and its format."""

    run: FinishedRun
    student: "Student"
    data: Any
    form: "Form"
    dtype: str
    converter: Path | None


def export(run: FinishedRun, options: argparse.Namespace) -> None:
    """Write the export, compare it with the run, and publish it if it answers alike.

    Raises:
        KedrecError: it answers differently, or the run cannot be exported in this form.
    """
    from kedrec.runtime.environment import prepare_environment

    prepare_environment()
    from kedrec.commands.export.export_card import told
    from kedrec.kedrec_lm.student import Student

    built = build(run.experiment)
    student = built.model
    if not isinstance(student, Student):
        raise KedrecError(
            f"{run.path}: the run of a {type(student).__name__}; only a Student can be exported for servers"
        )
    if built.data.private and not options.private:
        raise KedrecError(
            f"{run.path}: trained on patient data, which its weights may reveal; --private exports it all the same"
        )
    make_ready(built.data)
    student.configure_model()
    load_best(run, student)
    job = _Job(run, student, built.data, options.to, options.dtype or student.dtype_name, options.converter)
    with appearing_whole(options.folder) as folder:
        try:
            found = _write(job, folder)
        except KedrecError as fault:
            raise KedrecError(f"{options.folder}: nothing was written: {fault}") from fault
        _describe(job, folder, found)
    print("\n".join(told(*found)))
    print(f"export: {options.folder}")


def _write(job: _Job, folder: Path) -> "tuple[Logits, Choices]":
    """Write the weights into ``folder``, read them back, and return the comparison with the run's.

    Raises:
        KedrecError: they differ from the run's.
    """
    from kedrec.commands.export import export_fidelity as fidelity
    from kedrec.commands.export import export_formats as formats
    from kedrec.runtime.progress import shown_as_bars

    # The counterfactual questions of the audits would add nothing to the comparison of weights.
    student, batches = job.student, [one for one in job.data.test_dataloader() if not one.questions[0].audit]
    ours = fidelity.last_logits(student.net.eval(), batches)
    if job.form == "adapter":
        written = formats.write_adapter(student, folder)
    elif job.form == "merged":
        written = formats.write_merged(student, job.dtype, folder)
    else:
        assert job.converter is not None
        written = formats.write_gguf(student, job.dtype, job.converter, job.run.original.name, folder)
    student.net = None  # two models at once are enough
    gc.collect()
    net = formats.read_back(job.form, folder, student)
    within = fidelity.ROUNDED if job.dtype == "q8_0" else 0.0
    if name := fidelity.altered_weight(written, formats.weights_of(job.form, net), within):
        raise KedrecError(f"{name}: the weight on the disk differs from the one written")
    prompts = [row.prompt for row in job.data.encoded["test"]]
    if fault := formats.tokenizer_fault(job.form, folder, student.tokenizer, prompts):
        raise KedrecError(fault)
    with shown_as_bars():
        choices = fidelity.compare_choices(net, batches, job.run.predictions(), student.tokenizer.eos_token_id)
    kind = "adapter" if job.form == "adapter" else job.dtype
    logits = fidelity.compare_logits(ours, fidelity.last_logits(net, batches), kind)
    if not logits.close:
        raise KedrecError(
            f"the exported model answers differently from the run: logits differ by {logits.largest:.3g} at most and "
            f"{logits.mean:.3g} on average; allowed are {logits.allowed[0]:.3g} and {logits.allowed[1]:.3g}"
        )
    if not choices.close:
        raise KedrecError(
            f"the exported model chooses differently from the run on {len(choices.other)} of {choices.questions} test "
            "questions, by more than rounding can explain"
        )
    return logits, choices


def _describe(job: _Job, folder: Path, found: "tuple[Logits, Choices]") -> None:
    """Write the card, the example and the record with a checksum for each file."""
    from kedrec.commands.export.export_card import example_request, model_card

    private = job.data.private
    card = model_card(job.run, job.student, job.form, job.dtype, found, private)
    (folder / "README.md").write_text(card, encoding="utf-8")
    request = example_request(job.student.tokenizer, job.data.encoded["test"][0].prompt)
    if request is not None and not private:
        if job.form == "adapter":
            request = {"model": "kedrec", **request}  # else a server that has both would let the base answer
        (folder / "example.json").write_text(json.dumps(request, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    logits, choices = found
    origin = job.run.original
    record = {
        "run": {"name": origin.name, "id": origin.run_id, "commit": job.run.provenance().get("commit")},
        "form": job.form,
        "dtype": job.dtype,
        "logits": vars(logits),
        "choices": {"questions": choices.questions, "other": len(choices.other), "largest": choices.largest},
        "files": {file.name: file_hash(file) for file in sorted(folder.iterdir()) if file.name != ".lock"},
    }
    (folder / _RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
