"""Pairs drawn from an experiment's graph, and the split that they are drawn in; both kept in the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kedrec.graph.disease_hierarchy import load_kin
from kedrec.graph.trained_embeddings import Exported
from kedrec.kedrec_lm.evidence import Library
from kedrec.kedrec_lm.pair_sampling import Negatives, sample_pairs
from kedrec.splits.pairs import Pair, load_pairs, save_pairs
from kedrec.splits.split_creation import SplitBy, split_treatments
from kedrec.splits.treatment_split import FILE, TreatmentSplit
from kedrec.storage.artifact_store import Store
from kedrec.storage.hashing import file_hash

_SAMPLING = 3  # raise when pairs are sampled differently: those kept in stores are then made anew


@dataclass(frozen=True, eq=False)
class Drawing:
    """How pairs are drawn.

    Attributes:
        relations, negatives, hardness, balanced, hierarchy, limits, mentioned, seed: as in `InstructionData`.
        embeddings: say which drugs are similar; ``None`` for the neighbours that they share.
        split: what is split, with the shares of validation and test; or the manifest that is obeyed.
    """

    relations: Sequence[str]
    negatives: Negatives
    embeddings: Exported | None
    hardness: tuple[int, int]
    balanced: bool
    hierarchy: str | None
    limits: Mapping[str, int] | None
    mentioned: bool
    seed: int
    split: tuple[SplitBy, float, float] | TreatmentSplit

    def pairs(self, library: Library, store: Store) -> tuple[list[Pair], TreatmentSplit]:
        """Return the pairs, and the manifest of their split.

        Raises:
            KedrecError: as ``split_treatments`` and ``sample_pairs``.
        """
        settings = {
            "sampling": _SAMPLING,
            "relations": self.relations,
            "negatives": self.negatives,
            "embeddings": None if self.embeddings is None else self.embeddings.identity,
            "hardness": self.hardness,
            "balanced": self.balanced,
            "hierarchy": None if self.hierarchy is None else file_hash(Path(self.hierarchy)),
            "limits": self.limits,
            "mentioned": self.mentioned,
            "seed": self.seed,
            # Which names stand in one passage depends on where passages are cut, and that on the tokenizer.
            "tokenizer": None if library.retriever is None else library.retriever.encoder.tokenizer_identity,
            "split": self.split.identity if isinstance(self.split, TreatmentSplit) else self.split,
        }
        place = store.get("pairs", {**settings, **library.identity}, lambda folder: self._draw(library, folder))
        return load_pairs(place / "pairs.parquet"), TreatmentSplit.load(place / FILE)

    def _draw(self, library: Library, folder: Path) -> None:
        graph = library.named.merged
        # An irrelevant drug without a passage would be known by its silence.
        drugs = library.mentioned() if self.mentioned else None
        eligible = library.mentioned_together if self.mentioned else None
        if isinstance(self.split, TreatmentSplit):
            manifest = self.split
        else:
            split_by, validation, test = self.split
            manifest = split_treatments(
                graph,
                split_by=split_by,
                validation=validation,
                test=test,
                seed=self.seed,
                relations=self.relations,
                eligible=eligible,
                drugs=drugs,
                dated=library.comentions.date if library.passages else None,
            )
            texts = library.identity["texts"] if manifest.dates else None
            manifest = replace(manifest, names=library.named.names_hash, texts=None if texts is None else str(texts))
        compounds = [graph.entities[row] for row in graph.of_type("Compound").tolist()]
        pairs = sample_pairs(
            graph,
            manifest,
            relations=self.relations,
            negatives=self.negatives,
            embedding=None if self.embeddings is None else self.embeddings.rows(compounds),
            hardness=self.hardness,
            balanced=self.balanced,
            seed=self.seed,
            limit=self.limits,
            drugs=drugs,
            eligible=eligible,
            kin=None if self.hierarchy is None else load_kin(self.hierarchy, library.named.canonical_id),
        )
        manifest.save(folder / FILE)
        save_pairs(pairs, folder / "pairs.parquet")
