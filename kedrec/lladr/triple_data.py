"""The data module of link prediction: corrupted triples for training, ranking queries for tests, entities' anchors."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from kedrec.errors import check_least
from kedrec.evaluation.ranking_batch import RankingBatch
from kedrec.graph.entity_types import type_codes
from kedrec.graph.knowledge_graph import load_graph
from kedrec.graph.therapeutic import THERAPEUTIC
from kedrec.graph.vocabulary import Vocabulary
from kedrec.lladr.anchor_sources import anchor_modalities
from kedrec.lladr.entity_texts import EntityTexts, entity_texts, load_descriptions, name_each_other
from kedrec.lladr.negative_sampling import TripleBatches, TrueTriples, subsampling_weights
from kedrec.lladr.partitioned_graph import PartitionedGraph, load_partitioned_graph
from kedrec.lladr.ranking_queries import (
    KnownAnswers,
    Triples,
    choice_batch,
    ranking_batches,
    repurposing_batches,
    therapeutic_sides,
)
from kedrec.lladr.triple_batches import ChoiceBatch, RepurposingBatch
from kedrec.lladr.triple_noise import with_noise
from kedrec.lladr.triple_settings import (
    AnchorSettings,
    LoaderSettings,
    NegativeSettings,
    NoiseSettings,
    PairSettings,
    SplitSettings,
)
from kedrec.runtime.batch_shares import place_among_processes, taking_turns
from kedrec.runtime.preparation_plan import Stage
from kedrec.sources.graph.entity_names import EntityInfo, find_entities_file, load_entity_info
from kedrec.splits.leakage_filter import LeakageFilter
from kedrec.splits.triple_partition import TriplePartition
from kedrec.storage.artifact_store import Store
from kedrec.training.resumable_data import ResumingData

_BYTES_A_SCORE = 16  # a float32 score and what ranking makes of it
_NO_INFO = EntityInfo("", (), "")


class TripleData(ResumingData):
    """Link prediction on a knowledge graph.

    Args:
        graph: triples TSV (plain, gz, zst) or a folder that holds one; or a folder with train.txt, valid.txt and
            test.txt, whose split is kept. Names, descriptions and SMILES lie beside it.
        relations: therapeutic relations, whole or by their first two parts; with none of them, which needs a graph that
            is split already, compounds are not ranked for diseases.
        split: which treatments are held out. With a split's file, or with pairs, every sentence of a description that
            leaks a held-out treatment is removed.
        pairs: of a student.
        negatives: how true triples are corrupted.
        anchors: the vectors that entities are anchored in.
        noise: in the training triples.
        loader: sizes of batches.
        subsampling: give a triple less weight the more often its two queries occur.
        seed: of split, noise, masking, order and corruptions.
    """

    many_processes = True

    def __init__(
        self,
        graph: str,
        relations: list[str] = list(THERAPEUTIC),  # noqa: B006  (a schema's default, never changed)
        split: SplitSettings = SplitSettings(),  # noqa: B008  (frozen, as the next ones are)
        pairs: PairSettings = PairSettings(),  # noqa: B008
        negatives: NegativeSettings = NegativeSettings(),  # noqa: B008
        anchors: AnchorSettings = AnchorSettings(),  # noqa: B008
        noise: NoiseSettings = NoiseSettings(),  # noqa: B008
        loader: LoaderSettings = LoaderSettings(),  # noqa: B008
        subsampling: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_least("data", 1, **{"loader.batch_size": loader.batch_size})
        negatives.check(loader.batch_size)
        anchors.check()
        self.graph_path = graph
        self.relations = relations
        self.split = split
        self.pairs = pairs
        self.negatives = negatives
        self.anchors = anchors
        self.noise = noise
        self.loader = loader
        self.subsampling = subsampling
        self.seed = seed
        self.vocabulary: Vocabulary
        self.facts: dict[str, Any] = {}
        self._graph: PartitionedGraph | None = None
        self._therapeutic: list[str]
        self._known: KnownAnswers
        self._types: NDArray[np.int64]
        self._train: Triples
        self._further_tests: dict[str, Triples]

    @property
    def partition(self) -> TriplePartition:
        """The triples for training, without noise, for validation, and for the test sets."""
        return self._prepared.triples

    def prepare_data(self) -> None:
        """Build what the store lacks (graph, vectors of texts), in one process."""
        self.setup("fit")

    def setup(self, stage: str) -> None:
        """Read, split and anchor, once."""
        if self._graph is None:
            self._prepare(Store())

    def plan(self, store: Store) -> list[Stage]:
        """Return the stages of the preparation."""
        graph = load_graph(self.graph_path, store)
        stages = [Stage("graph", True, note=f"{len(graph.triples):,} triples")]
        if self.anchors.describe is None:
            return stages
        file = find_entities_file(self.graph_path)
        infos = load_entity_info(file) if file else {}
        names = {entity: infos.get(entity, _NO_INFO).name for entity in graph.entities}
        return [*stages, self.anchors.describe.stage(names, store)]

    @property
    def training_triples(self) -> Triples:
        """The triples that are trained on, noise included: ``(n, 3)`` rows of head, relation, tail."""
        return self._train

    def train_dataloader(self) -> Any:
        """Return batches of corrupted triples, which continue where a checkpoint was written."""
        graph = self._prepared.graph
        entities, relations = len(graph.entities), len(graph.relations)
        triples = torch.from_numpy(self._train)
        weights = (
            subsampling_weights(self._train, relations)
            if self.subsampling
            else np.ones(len(self._train), dtype=np.float32)
        )
        batches = TripleBatches(
            triples,
            torch.from_numpy(weights),
            torch.from_numpy(self._types) if self.negatives.typed else None,
            entities,
            self.negatives,
            self.loader.batch_size,
            TrueTriples(triples, entities, relations) if self.negatives.filtered else None,
            self.seed,
            *place_among_processes(self.trainer),
        )
        return self.resumed(batches)

    def val_dataloader(self) -> Any:
        """Return the validation triples as queries."""
        return self._one_by_one(list(self._queries({"validation": self.partition.validation})))

    def test_dataloader(self) -> Any:
        """Return each test set as queries, the choices between two drugs, and the compounds to rank for diseases."""
        graph = self._prepared.graph
        batches: list[RankingBatch | RepurposingBatch | ChoiceBatch] = []
        batches += self._queries(self.partition.tests | self._further_tests)
        relations = therapeutic_sides(graph, self._therapeutic)
        if self._prepared.choices:
            batches.append(choice_batch(self._prepared.choices, graph.entity_rows, relations))
        bytes_a_disease = _BYTES_A_SCORE * len(graph.of_type("Compound")) * max(1, len(relations))
        diseases = max(1, self.loader.ranking_memory // max(1, bytes_a_disease))
        batches += repurposing_batches(graph, self.partition, relations, diseases)
        return self._one_by_one(batches)

    def _one_by_one(self, batches: "list[Any]") -> "DataLoader[Any]":
        """Return this process's share of the batches; what two processes answer counts once."""
        shares = taking_turns(batches, *place_among_processes(self.trainer))
        return DataLoader([batch for batch, _ in shares], batch_size=None)  # type: ignore[arg-type]

    @property
    def _prepared(self) -> PartitionedGraph:
        assert self._graph is not None
        return self._graph

    def _prepare(self, store: Store) -> None:
        settings = (self.relations, self.split, self.pairs, self.seed)
        self._graph = load_partitioned_graph(self.graph_path, *settings, store)
        self.manifest = self._graph.split
        named, graph, partition = self._graph.named, self._graph.graph, self._graph.triples
        self._therapeutic = graph.match_relations(self.relations, THERAPEUTIC) if self.relations else []
        self._known = KnownAnswers(graph.triples, len(graph.relations))
        self._types = type_codes(graph.entities)[1]
        self._train = with_noise(partition.train, named, self._graph.split, self.noise, self.seed)
        self.facts = {
            "graph": f"{self.graph_path}, SHA-256 {graph.source_hash}",
            "split": str(partition),
            "noise": f"{asdict(self.noise)}; {len(self._train)} triples are trained on",
        }
        if self.manifest is not None:
            self.facts["manifest"] = self.manifest.facts
        infos = [named.infos.get(entity, _NO_INFO) for entity in graph.entities]
        names = [info.name for info in infos]
        descriptions_file = self._described(dict(zip(graph.entities, names, strict=True)), store)
        self._further_tests = self._text_free_tests(infos, descriptions_file)
        texts: EntityTexts | None = None
        if "text" in self.anchors.sources:
            files = (self._graph.entities_file, descriptions_file)
            texts = entity_texts(graph.entities, *files, self.anchors.masked, self.seed)
            texts = replace(texts, descriptions=self._leak_free(texts.descriptions))
        modalities, facts = anchor_modalities(self.anchors, self.graph_path, graph.entities, texts, store)
        self.facts |= facts
        self.vocabulary = Vocabulary(
            graph.entities,
            graph.relations,
            [name or entity for name, entity in zip(names, graph.entities, strict=True)],
            modalities,
            partition.held_out,
            texts.descriptions if texts else self._leak_free([info.description for info in infos]),
        )

    def _described(self, names: dict[str, str], store: Store) -> Path | None:
        """Return the file of further descriptions, written by a model where the settings name one."""
        if self.anchors.describe is not None:
            file, self.facts["descriptions"] = self.anchors.describe.prepare(names, store)
            return file
        return Path(self.anchors.descriptions) if self.anchors.descriptions else None

    def _leak_free(self, descriptions: list[str]) -> list[str]:
        """Return the descriptions; where a split or pairs are given, without the sentences that leak them."""
        if (self.split.file is None and self.pairs.file is None) or self.manifest is None:
            return descriptions
        clean = LeakageFilter(self._prepared.named, self.manifest).clean_descriptions(descriptions)
        shortened = sum(old != new for old, new in zip(descriptions, clean, strict=True))
        self.facts["descriptions shortened by the leakage filter"] = shortened
        return clean

    def _text_free_tests(self, infos: Sequence[EntityInfo], descriptions_file: Path | None) -> dict[str, Triples]:
        """Return of each test set the triples whose two ends' descriptions do not name each other.

        Anchors may give the answer of the other triples away. Models without anchors are tested on the same sets, to
        be compared with.
        """
        graph, tests = self._prepared.graph, self.partition.tests
        added = load_descriptions(descriptions_file) if descriptions_file else {}
        pairs = zip(graph.entities, infos, strict=True)
        texts = self._leak_free([added.get(entity) or info.description for entity, info in pairs])
        if not any(texts):
            return {}
        names = [info.name for info in infos]
        given = {name: name_each_other(triples[:, ::2].tolist(), names, texts) for name, triples in tests.items()}
        counts = ", ".join(f"{of.sum()} of {len(of)} {name}" for name, of in given.items())
        self.facts["test triples whose descriptions name each other"] = counts
        return {f"{name}_leak_free": tests[name][~of] for name, of in given.items() if 0 < of.sum() < len(of)}

    def _queries(self, sets: dict[str, Triples]) -> Iterator[RankingBatch]:
        graph = self._prepared.graph
        degrees = np.bincount(self._train[:, ::2].ravel(), minlength=len(graph.entities))
        queries = max(1, self.loader.ranking_memory // (_BYTES_A_SCORE * len(graph.entities)))
        for name, triples in sets.items():
            yield from ranking_batches(name, triples, self._types, degrees, self._known, queries)
