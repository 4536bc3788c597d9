"""The model card of an export, and an example request."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedrec.commands.export.export_fidelity import Choices, Logits
from kedrec.commands.export.export_formats import Form, hub_name
from kedrec.kedrec_lm.chat_encoding import SYSTEM
from kedrec.kedrec_lm.student import Student
from kedrec.sources.weights import BUNDLED_BASE
from kedrec.training.loaded_run import FinishedRun
from kedrec.training.run_card import markdown, tables

_PURPOSE = (
    "**Research use, not medical advice.** A language model that compares two drugs for a disease, chooses the one "
    "that treats it, and explains why, citing passages of its prompt. Trained by kedrec as KEDRec-LM's student (arXiv "
    "2502.20350)."
)
_PATIENTS = (
    "**Trained on patient data.** The weights may have memorised them: share them only with people who may see the "
    "data themselves."
)
_LIMITS = (
    "Small test sets; the answers depend on the passages, and a fluent rationale is no evidence. An answer that agrees "
    "with a graph or a trial is no finding about a patient. This model must not be used to treat anybody."
)
_LIBRARIES = {"adapter": "peft", "merged": "transformers", "gguf": "llama.cpp"}
_REPORTED = {"test/accuracy": "accuracy", "test/f1": "f1", "test/rougeL": "rouge"}  # ours -> the hub's


def model_card(
    run: FinishedRun, student: Student, form: Form, dtype: str, found: tuple[Logits, Choices], private: bool
) -> str:
    """Return the card in Markdown, with the YAML header of the Hugging Face hub."""
    base = hub_name(student.base)
    lines = [
        "---",
        _head(run, student, form).rstrip(),
        "---",
        "",
        f"# {run.original.name}",
        "",
        _PURPOSE,
        "",
        f"* base: {base or Path(student.base).name}"
        + (" (kedrec's copy, restored from 4 bits: not the hub's own weights)" if student.base == BUNDLED_BASE else ""),
        f"* form: {form}" + ("" if form == "adapter" else f", {dtype}"),
        f"* run: {run.original.name} {run.original.run_id}, commit {run.provenance().get('commit') or 'unknown'}",
        "",
        *([_PATIENTS, ""] if private else []),
        "## Serving",
        "",
        *_commands(form, student),
        "",
        *_asking(private),
        "## Numbers of the test set",
        "",
        *(line for table in tables(run.metrics) for line in (*markdown(table), "")),
        student.reading,
        "",
        "## Checked against the run",
        "",
        *(f"* {line}" for line in told(*found)[: 2 if private else None]),
        "",
        "## Limits",
        "",
        _LIMITS,
        "",
        *_data(run, private),
    ]
    return "\n".join(lines)


def told(logits: Logits, choices: Choices) -> list[str]:
    """Return the comparison with the run in words."""
    lines = [
        f"logits at {logits.positions} positions, in float32: largest difference {logits.largest:.3g} (allowed "
        f"{logits.allowed[0]:.3g}), mean {logits.mean:.3g} (allowed {logits.allowed[1]:.3g}), the same likeliest token "
        f"at {logits.agreement:.2%}",
        f"choices: {choices.questions - len(choices.other)} of {choices.questions} test questions answered as by the "
        f"run; scores differ by {choices.largest:.3g} nats at most",
    ]
    return lines + [
        f"another choice: {disease}: {first} or {second} (the run preferred its own by {surplus:.3g} nats)"
        for disease, first, second, surplus in choices.other
    ]


def example_request(tokenizer: Any, prompt: list[int]) -> dict[str, Any] | None:
    """Return a test question as the body of a chat completion; ``None`` if a server would build another prompt.

    Args:
        tokenizer: of the student, with its chat template.
        prompt: token ids of the question.
    """
    if tokenizer.chat_template is None:
        return None
    system, mark = {"role": "system", "content": SYSTEM}, "\N{OBJECT REPLACEMENT CHARACTER}"
    frame = tokenizer.apply_chat_template(
        [system, {"role": "user", "content": mark}], tokenize=False, add_generation_prompt=True
    )
    before, _, after = frame.partition(mark)
    text = tokenizer.decode(prompt)
    messages = [system, {"role": "user", "content": text[len(before) : len(text) - len(after)]}]
    again = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    return {"messages": messages, "temperature": 0, "max_tokens": 96} if list(again) == prompt else None


def _head(run: FinishedRun, student: Student, form: Form) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type="kedrec",
            dataset_name=f"{run.original.name}, test pairs",
            metric_type=kind,
            metric_name=name.removeprefix("test/"),
            metric_value=round(run.metrics[name], 5),
        )
        for name, kind in _REPORTED.items()
        if name in run.metrics
    ]
    settings: Mapping[str, Any] = run.original.tree["data"]["init_args"]
    head = ModelCardData(
        base_model=hub_name(student.base),
        datasets=settings["retrieval"].get("sources") or None,
        language="en",
        library_name=_LIBRARIES[form],
        license=_licence(student.base),
        license_name=None if _licence(student.base) != "other" else "that-of-the-base-model",
        pipeline_tag="text-generation",
        tags=["kedrec", "drug-recommendation", "drug-repurposing", *(["lora"] if form == "adapter" else [])],
        model_name=run.original.name,
        eval_results=results or None,
    )
    return str(head.to_yaml())


def _licence(base: str) -> str:
    """Return the licence in the card of a base; "other" if it is not known here."""
    import yaml

    if base == BUNDLED_BASE:
        return "apache-2.0"
    card = Path(base) / "README.md"
    if card.is_file():
        text = card.read_text(encoding="utf-8", errors="replace")
        if text.startswith("---\n") and "\n---\n" in text[4:]:
            try:
                head = yaml.safe_load(text[4:].partition("\n---\n")[0])
            except yaml.YAMLError:
                return "other"
            if isinstance(head, dict) and isinstance(head.get("license"), str):
                return str(head["license"])
    return "other"


def _commands(form: Form, student: Student) -> list[str]:
    if form == "gguf":
        return [
            "```sh",
            "llama-server --jinja --port 8000 -m *.gguf   # llama.cpp",
            "ollama create kedrec -f Modelfile            # Ollama",
            "```",
        ]
    if form == "merged":
        return ["```sh", "transformers serve .   # pip install 'transformers[serving]'", "vllm serve .", "```"]
    rank = getattr(student.lora, "r", 16)
    base = hub_name(student.base) or student.base
    return [
        "```sh",
        f"vllm serve {base} --enable-lora --max-lora-rank {rank} --lora-modules kedrec=.",
        "```",
        "",
        "```python",
        "from peft import AutoPeftModelForCausalLM",
        'model = AutoPeftModelForCausalLM.from_pretrained(".")',
        "```",
    ]


def _asking(private: bool) -> list[str]:
    if private:
        return []
    return [
        "`example.json` is a question of the test set, as the body of a request:",
        "",
        "```sh",
        "curl http://localhost:8000/v1/chat/completions -H 'content-type: application/json' -d @example.json",
        "```",
        "",
    ]


def _data(run: FinishedRun, private: bool) -> list[str]:
    facts = run.provenance().get("data") or {}
    if private or not facts:
        return []
    listed = {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}
    return ["## Data", "", *(f"* {name.replace('_', ' ')}: {value}" for name, value in listed.items()), ""]
