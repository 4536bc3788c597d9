"""Descriptions of a graph's entities by a language model, which LLaDR anchors entities in; the store holds them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kedrec.errors import KedrecError
from kedrec.lladr.description_writing import DescriptionSettings, description_requests, write_descriptions
from kedrec.llm.answer_cache import answers_path, known, open_log
from kedrec.llm.batch_runner import plan
from kedrec.llm.endpoint_model import EndpointModel
from kedrec.llm.local_model import LocalModel
from kedrec.runtime.preparation_plan import Stage
from kedrec.sources.graph.entity_ids import entity_type
from kedrec.storage.artifact_store import Store
from kedrec.storage.atomic_files import write_atomic
from kedrec.storage.hashing import key_hash

_FILE, _REPORT = "descriptions.jsonl", "report.json"


@dataclass(frozen=True)
class DescribedBy:
    """The model that describes entities, and the entities that it describes.

    Attributes:
        model: the teacher.
        settings: prompt and temperature.
        types: of the entities that are described, such as ``[Compound, Disease]``; ``null`` for all.
        max_cost: bound of the cost of all answers of this model together, US dollars.
    """

    model: EndpointModel | LocalModel
    settings: DescriptionSettings = field(default_factory=DescriptionSettings)
    types: list[str] | None = None
    max_cost: float | None = None

    def stage(self, names: Mapping[str, str], store: Store) -> Stage:
        """Return the stage of asking the model; writes nothing."""
        requests = list(description_requests(self._chosen(names), self.settings).values())
        planned = plan(self.model, requests, known(answers_path(self.model.name, store)))
        return planned.stage(f"descriptions by {self.model.name}")

    def prepare(self, names: Mapping[str, str], store: Store) -> tuple[Path, dict[str, Any]]:
        """Return the file of descriptions, which `kedrec.lladr.entity_texts` reads, and the counts of outcomes.

        Args:
            names: the preferred name by entity, as the graph orders them; an entity without a name is not described.
            store: holds the file, and each answer as soon as it arrives.

        Raises:
            KedrecError: no entity is of the types, the model cannot be reached, or the budget is spent.
        """
        chosen = self._chosen(names)
        key = {"names": key_hash(chosen), "settings": asdict(self.settings), "model": self.model.name}

        def build(folder: Path) -> None:
            with open_log(answers_path(self.model.name, store), self.max_cost) as log:
                report = write_descriptions(self.model, chosen, folder / _FILE, log, self.settings)
            write_atomic(folder / _REPORT, json.dumps({"described": report.described, **report.reasons}))

        stored = store.get("descriptions", key, build)
        return stored / _FILE, {
            "teacher": self.model.name,
            **json.loads((stored / _REPORT).read_text(encoding="utf-8")),
        }

    def _chosen(self, names: Mapping[str, str]) -> dict[str, str]:
        chosen = {e: name for e, name in names.items() if self.types is None or entity_type(e) in self.types}
        if not any(chosen.values()):
            types = ", ".join(sorted({entity_type(entity) for entity in names}))
            raise KedrecError(
                f"data.init_args.anchors.describe.types: {self.types}: no entity of these types has a name; the "
                f"graph's types are {types}"
            )
        return chosen
