"""Descriptions of a graph's entities by a model, kept in the store: what LLaDR anchors entities in."""

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
    """Who describes entities, and which.

    Attributes:
        model: the teacher.
        settings: prompt and temperature.
        types: of the entities that are described, such as ``[Compound, Disease]``; ``null`` for all.
        max_cost: bound of what all answers of this model may cost together, US dollars.
    """

    model: EndpointModel | LocalModel
    settings: DescriptionSettings = field(default_factory=DescriptionSettings)
    types: list[str] | None = None
    max_cost: float | None = None

    def stage(self, names: Mapping[str, str], store: Store) -> Stage:
        """Return what is to be asked; writes nothing."""
        requests = list(description_requests(self._wanted(names), self.settings).values())
        wanted = plan(self.model, requests, known(answers_path(self.model.name, store)))
        return wanted.stage(f"descriptions by {self.model.name}")

    def prepare(self, names: Mapping[str, str], store: Store) -> tuple[Path, dict[str, Any]]:
        """Return the file of descriptions, which `kedrec.lladr.entity_texts` reads, and what became of the entities.

        Args:
            names: the preferred name by entity, as the graph orders them; without a name it is not described.
            store: keeps the file, and each answer as it comes.

        Raises:
            KedrecError: no entity is of the types, the model cannot be reached, or the budget is spent.
        """
        wanted = self._wanted(names)
        asked = {"names": key_hash(wanted), "settings": asdict(self.settings), "model": self.model.name}

        def build(folder: Path) -> None:
            with open_log(answers_path(self.model.name, store), self.max_cost) as log:
                report = write_descriptions(self.model, wanted, folder / _FILE, log, self.settings)
            write_atomic(folder / _REPORT, json.dumps({"described": report.described, **report.reasons}))

        place = store.get("descriptions", asked, build)
        return place / _FILE, {"teacher": self.model.name, **json.loads((place / _REPORT).read_text(encoding="utf-8"))}

    def _wanted(self, names: Mapping[str, str]) -> dict[str, str]:
        kept = {e: name for e, name in names.items() if self.types is None or entity_type(e) in self.types}
        if not any(kept.values()):
            kinds = sorted({entity_type(entity) for entity in names})
            raise KedrecError(f"data.init_args.describe.types: {self.types}: no entity with a name is of them; {kinds}")
        return kept
