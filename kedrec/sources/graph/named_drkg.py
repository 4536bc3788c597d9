"""Prepares DRKG together with the names of its entities, as one graph folder."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kedrec.runtime.preparation_plan import Stage
from kedrec.runtime.progress import tell
from kedrec.sources.graph.drkg import BYTES, drkg_facts, drkg_key, drkg_triples
from kedrec.sources.graph.drkg import KIND as DRKG
from kedrec.sources.graph.open_vocabularies import VOCABULARIES
from kedrec.sources.graph.vocabularies import KIND as VOCABULARY
from kedrec.sources.graph.vocabularies import build_entities, vocabulary_file, vocabulary_key
from kedrec.storage.artifact_store import Store
from kedrec.storage.atomic_files import write_atomic
from kedrec.storage.compressed_text import text_lines
from kedrec.storage.hashing import file_hash

_NAMING = 1  # raise when the way entities get their names changes
_FETCHED = {name: None for name, vocabulary in VOCABULARIES.items() if vocabulary.url}


@dataclass(frozen=True)
class Drkg:
    """Where DRKG and its names come from.

    Attributes:
        source: address of a mirror, or a local ``drkg.tar.gz`` or ``drkg.tsv``; ``null`` for the official archive.
        sha256: expected SHA-256 of that file.
        vocabularies: vocabulary to the address of a mirror, a local file, or ``null`` for the official address. By
            default all that may be downloaded; DrugBank's has to be downloaded in a browser.
    """

    source: str | None = None
    sha256: str | None = None
    vocabularies: Mapping[str, str | None] = field(default_factory=lambda: dict(_FETCHED))

    def stages(self, store: Store) -> list[Stage]:
        """Return the downloads, and which of them are already in the store."""
        stored = store.holds(DRKG, drkg_key(self.source, self.sha256))
        stages = [Stage("DRKG", stored, {"bytes to download, about": BYTES})]
        for name, source in self.vocabularies.items():
            if source is None or source.startswith(("https://", "http://")):
                stored = store.holds(VOCABULARY, vocabulary_key(name, source))
                stages.append(Stage(f"names: {VOCABULARIES[name].title}", stored, {"files to download": 1}))
        return stages

    def prepare(self, store: Store) -> Path:
        """Return the folder with ``triples.tsv.zst``, ``entities.tsv`` and ``unmapped.tsv``.

        Raises:
            KedrecError: a download fails, or a file is damaged.
        """
        triples = drkg_triples(store, self.source, self.sha256, lambda done, total: tell("DRKG, bytes", done, total))
        files = {
            name: vocabulary_file(name, store, source, progress=lambda done, total, name=name: tell(name, done, total))  # type: ignore[misc]
            for name, source in self.vocabularies.items()
        }
        key = {"triples": file_hash(triples), "names": {n: file_hash(f) for n, f in files.items()}, "naming": _NAMING}

        def build(folder: Path) -> None:
            entities = {entity for _, line in text_lines(triples) if line for entity in line.split("\t")[::2]}
            facts = build_entities(sorted(entities), files, folder / "entities.tsv")
            write_atomic(folder / "facts.json", json.dumps({**drkg_facts(triples), "names": facts}, default=str))
            try:
                os.link(triples, folder / "triples.tsv.zst")
            except OSError:  # another file system, or one without hard links
                shutil.copy(triples, folder / "triples.tsv.zst")

        return store.get("named-drkg", key, build)

    @staticmethod
    def facts(folder: Path) -> dict[str, Any]:
        """Return facts about a folder that `prepare` returned: sources, counts, names."""
        facts: dict[str, Any] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        return facts
