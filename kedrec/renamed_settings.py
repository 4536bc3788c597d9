"""Class paths, keys and values of settings that have other names now.

The settings of an old run folder are translated when they are read. In an experiment, in a sweep or on the command line
an old name is an error that says the new one.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kedrec.errors import KedrecError
from kedrec.evaluation.renamed_results import RENAMED_AUDITS

MOVED_CLASSES = {
    "kedrec.callbacks.KeepLast": "kedrec.training.checkpoints.KeepLast",
    "kedrec.data.exprxrec.ExpRxRec": "kedrec.kedrec_lm.exprxrec.ExpRxRec",
    "kedrec.data.instructions.InstructionData": "kedrec.kedrec_lm.instruction_data.InstructionData",
    "kedrec.data.mimic.MimicPairwise": "kedrec.mimic.pairwise_data.MimicPairwise",
    "kedrec.data.triples.TripleData": "kedrec.lladr.triple_data.TripleData",
    "kedrec.data.visits.VisitData": "kedrec.mimic.visit_data.VisitData",
    "kedrec.data.web_texts.WebTexts": "kedrec.kedrec_lm.web_texts.WebTexts",
    "kedrec.models.csprom.CSProm": "kedrec.baselines.csprom.CSProm",
    "kedrec.models.gnn.GNN": "kedrec.baselines.gnn.GNN",
    "kedrec.models.kge.KGE": "kedrec.lladr.kge.KGE",
    "kedrec.models.kgt5.KGT5": "kedrec.baselines.kgt5.KGT5",
    "kedrec.models.safedrug.SafeDrug": "kedrec.mimic.safedrug.SafeDrug",
    "kedrec.models.student.Student": "kedrec.kedrec_lm.student.Student",
    "kedrec.nn.token_teacher.Distillation": "kedrec.kedrec_lm.token_teacher.Distillation",
    "kedrec.teacher.described.DescribedBy": "kedrec.lladr.description_source.DescribedBy",
    "kedrec.teacher.endpoint.EndpointModel": "kedrec.llm.endpoint_model.EndpointModel",
    "kedrec.teacher.local.LocalModel": "kedrec.llm.local_model.LocalModel",
}
"""Old class path -> present class path, of every class that settings can name."""

_QUESTION_KEYS = {
    **{key: f"pairs.{key}" for key in ("relations", "negatives", "balanced", "hardness", "embeddings", "hierarchy")},
    **{key: f"pairs.{key}" for key in ("indications", "limits", "mentioned")},
    **{key: f"retrieval.{key}" for key in ("sources", "encoder", "passages_per_drug", "chunk_tokens", "before")},
    **{key: f"prompt.{key}" for key in ("passage_words", "passage_order", "max_tokens")},
    **{key: f"evaluation.{key}" for key in ("audits", "entailment")},
    **{key: f"loader.{key}" for key in ("batch_size", "test_batch_size", "both_orders", "distill")},
    "pairs": "pairs.file",
    "split": "split.file",
    "split_by": "split.by",
    "validation": "split.validation",
    "test": "split.test",
}
_WARM_UP = {"learning_rate": "optimizer.learning_rate", "warmup_steps": "optimizer.warmup_steps"}
RENAMED_KEYS: dict[str, dict[str, str]] = {
    "kedrec.baselines.csprom.CSProm": {**_WARM_UP, "weight_decay": "optimizer.weight_decay"},
    "kedrec.baselines.gnn.GNN": {
        "layer": "encoder.layer",
        "width": "encoder.width",
        "layers": "encoder.layers",
        "bases": "encoder.bases",
        "heads": "encoder.heads",
        "dropout": "encoder.dropout",
        "fanouts": "encoder.fanouts",
        "learning_rate": "optimizer.learning_rate",
        "weight_decay": "optimizer.weight_decay",
    },
    "kedrec.baselines.kgt5.KGT5": _WARM_UP,
    "kedrec.lladr.kge.KGE": {
        "anchor": "anchor.distance",
        "rho": "anchor.rho",
        "zeta_anchor": "anchor.zeta",
        "projection": "anchor.projection",
        "optimizer": "optimizer.name",
        "learning_rate": "optimizer.learning_rate",
        "drop_after": "optimizer.drop_after",
    },
    "kedrec.lladr.triple_data.TripleData": {
        "validation": "split.validation",
        "test": "split.test",
        "unseen_diseases": "split.unseen_diseases",
        "split": "split.file",
        "pairs": "pairs.file",
        "negatives": "negatives.count",
        "chunks": "negatives.chunks",
        "typed": "negatives.typed",
        "filtered": "negatives.filtered",
        "anchors": "anchors.sources",
        "encoder": "anchors.encoder",
        "descriptions": "anchors.descriptions",
        "describe": "anchors.describe",
        "masked": "anchors.masked",
        "delete": "noise.delete",
        "add": "noise.add",
        "batch_size": "loader.batch_size",
        "ranking_memory": "loader.ranking_memory",
    },
    "kedrec.kedrec_lm.instruction_data.InstructionData": _QUESTION_KEYS,
    "kedrec.kedrec_lm.exprxrec.ExpRxRec": {
        **_QUESTION_KEYS,
        "rationales": "rationales.file",
        "teacher": "rationales.teacher",
        "asking": "rationales.settings",
        "max_cost": "rationales.max_cost",
        "drkg": "download.drkg",
        "web": "download.web",
    },
    "kedrec.mimic.pairwise_data.MimicPairwise": {
        **_QUESTION_KEYS,
        **{key: f"admissions.{key}" for key in ("mimic", "mappings", "per_admission", "usual")},
    },
    "kedrec.kedrec_lm.student.Student": {
        **{key: f"optimizer.{key}" for key in ("learning_rate", "weight_decay", "warmup_steps")},
        "answer_weight": "loss.answer",
        "choice_weight": "loss.choice",
    },
}
"""Present class path -> (old key of its ``init_args`` -> present key, dotted where it is nested).

An old key may be the name of the present group, ``{"split": "split.file"}``: it is the old key where its value is no
mapping.
"""

RENAMED_VALUES: dict[str, dict[str, dict[str, str]]] = {
    class_path: {"evaluation.audits": RENAMED_AUDITS}
    for class_path in (
        "kedrec.kedrec_lm.instruction_data.InstructionData",
        "kedrec.kedrec_lm.exprxrec.ExpRxRec",
        "kedrec.mimic.pairwise_data.MimicPairwise",
    )
}
"""Present class path -> (present key of a list in its ``init_args`` -> (old entry -> present entry))."""


def translated(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run folder with present names; settings without old names as they are."""
    found: dict[str, Any] = _translated(settings)
    return found


def check_names(settings: Mapping[str, Any], origin: Callable[[str], str]) -> None:
    """Refuse old class paths, keys and values.

    Args:
        settings: composed and resolved.
        origin: returns the file, or "command line", that set a dotted key.

    Raises:
        KedrecError: names the place of the first old name, and the present name.
    """
    for path, node in _objects(settings, ""):
        class_path = str(node["class_path"])
        if class_path in MOVED_CLASSES:
            key = f"{path}.class_path"
            raise KedrecError(f"{origin(key)}: {key}: {class_path} has moved; write {MOVED_CLASSES[class_path]}")
        for old, new in _old_keys(class_path, node.get("init_args")).items():
            key = f"{path}.init_args.{old}"
            raise KedrecError(f"{origin(key)}: {key}: this key has a new name; write {path}.init_args.{new}")
        for setting, table in RENAMED_VALUES.get(class_path, {}).items():
            key = f"{path}.init_args.{setting}"
            for old in _entries(node.get("init_args"), setting):
                if old in table:
                    raise KedrecError(f"{origin(key)}: {key}: {old} has a new name; write {table[old]}")


def _objects(node: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (dotted key, node) of everything that has a ``class_path``."""
    if isinstance(node, Mapping):
        if "class_path" in node:
            yield path, node
        for name, value in node.items():
            yield from _objects(value, f"{path}.{name}" if path else str(name))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _objects(value, f"{path}.{number}")


def _old_keys(class_path: str, arguments: Any) -> dict[str, str]:
    """Return (old key -> present key) of the old keys among the arguments of a class."""
    if not isinstance(arguments, Mapping):
        return {}
    table = RENAMED_KEYS.get(class_path, {})
    return {
        old: new
        for old, new in table.items()
        if old in arguments and not (new.startswith(f"{old}.") and isinstance(arguments[old], Mapping))
    }


def _entries(arguments: Any, key: str) -> list[Any]:
    """Return the list at a dotted key; nothing where there is no list."""
    node = arguments
    for name in key.split("."):
        node = node.get(name) if isinstance(node, Mapping) else None
    return list(node) if isinstance(node, list) else []


def _translated(node: Any) -> Any:
    if isinstance(node, list):
        return [_translated(value) for value in node]
    if not isinstance(node, Mapping):
        return node
    content = {name: _translated(value) for name, value in node.items()}
    if "class_path" in content:
        content["class_path"] = MOVED_CLASSES.get(content["class_path"], content["class_path"])
        renamed = _old_keys(content["class_path"], content.get("init_args"))
        values = {new: content["init_args"].pop(old) for old, new in renamed.items()}
        for key, value in values.items():
            _set(content["init_args"], key.split("."), value)
        for key, table in RENAMED_VALUES.get(content["class_path"], {}).items():
            if entries := _entries(content.get("init_args"), key):
                _set(content["init_args"], key.split("."), [table.get(entry, entry) for entry in entries])
    return content


def _set(node: dict[str, Any], path: list[str], value: Any) -> None:
    *groups, name = path
    for group in groups:
        node = node.setdefault(group, {})
    node[name] = value
