"""A graph's triples as Lightning batches: corrupted ones for training, queries for ranking; and entities' anchors."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from kedrec.errors import KedrecError, check_least
from kedrec.evaluation.ranking_batch import RankingBatch
from kedrec.graph.entity_types import type_codes
from kedrec.graph.knowledge_graph import KnowledgeGraph, load_graph
from kedrec.graph.named_graph import NamedGraph
from kedrec.graph.therapeutic import THERAPEUTIC
from kedrec.graph.vocabulary import Modality, Side, Vocabulary
from kedrec.lladr.description_source import DescribedBy
from kedrec.lladr.entity_texts import EntityTexts, entity_texts, load_descriptions, tell_each_other
from kedrec.lladr.negative_sampling import TripleBatches, TrueTriples, subsampling_weights
from kedrec.lladr.ranking_queries import SIDES, KnownAnswers, Triples, choice_batch, ranking_batches, repurposing_batch
from kedrec.lladr.structure_anchors import fingerprint_modality, matrix_modality
from kedrec.lladr.text_anchors import text_modalities
from kedrec.lladr.triple_batches import ChoiceBatch, RepurposingBatch
from kedrec.lladr.triple_noise import with_noise
from kedrec.runtime.batch_shares import place_among_processes, taking_turns
from kedrec.runtime.preparation_plan import Stage
from kedrec.sources.graph.entity_names import EntityInfo, find_entities_file, load_entity_info
from kedrec.sources.graph.molecules import find_smiles_file
from kedrec.splits.leakage_filter import LeakageFilter
from kedrec.splits.pairs import Pair, load_pairs
from kedrec.splits.split_consistency import by_canonical_ids, check_pairs
from kedrec.splits.split_creation import split_by_shares, split_from_file, split_from_pairs
from kedrec.splits.split_folder import is_split_folder, load_split
from kedrec.splits.treatment_split import TreatmentSplit
from kedrec.splits.triple_partition import TriplePartition, partition_triples
from kedrec.storage.artifact_store import Store
from kedrec.storage.hashing import file_hash
from kedrec.training.resumable_data import ResumingData

_BYTES_A_SCORE = 16  # a float32 score and what ranking makes of it


class TripleData(ResumingData):
    """Link prediction on a knowledge graph.

    Args:
        graph: triples TSV (plain, gz, zst) or a folder that holds one; or a folder with train.txt, valid.txt and
            test.txt, whose split is taken as it is. Names, descriptions and SMILES lie beside it.
        relations: therapeutic relations, whole or by their first two parts; with none of them, which needs a graph that
            is split already, compounds are not ranked for diseases.
        validation: share of the therapeutic pairs; this and the next two are for a graph that is not split yet.
        test: share of the therapeutic pairs.
        unseen_diseases: diseases that are left out of training with all their therapeutic triples, as a second test.
        pairs: Parquet of a student's pairs: what they ask in validation and test is held out, in place of those three
            shares, and the choice between the two drugs of each test pair is scored too.
        split: a ``split.tsv`` that a run has written: what it keeps for validation and test is held out, in place of
            the shares. By this or ``pairs`` no sentence of a description is read that tells of such a treatment: that
            names the other side of it, or, in the description of a third entity, both.
        delete: share of the training triples that is deleted, LLaDR's noise.
        add: random triples that are added to training, as a share of it, LLaDR's other noise.
        batch_size: triples a batch and process.
        negatives: corruptions a triple.
        chunks: runs of a batch whose triples share their corruptions; as many as triples make them independent.
        typed: corrupt an entity by one of its own type.
        filtered: leave true triples of training out of the corruptions.
        subsampling: weigh triples down whose questions are asked often.
        anchors: what entities are anchored in: ``text``, ``fingerprint``, or the path of a safetensors matrix.
        encoder: ``minilm`` (bundled), a folder, or a hub name of a bi-encoder, for ``text``.
        descriptions: TSV or JSONL of descriptions that win over those beside the graph.
        describe: a model that writes the descriptions, by ``kedrec.prepare``; in place of ``descriptions``.
        masked: share of the described entities whose description is withheld, LLaDR's ablation.
        ranking_memory: bytes that a batch of queries may take.
        seed: of split, noise, masking, order and corruptions.
    """

    many_processes = True

    def __init__(
        self,
        graph: str,
        relations: list[str] = list(THERAPEUTIC),  # noqa: B006  (a schema's default, never changed)
        validation: float = 0.02,
        test: float = 0.05,
        unseen_diseases: int = 40,
        pairs: str | None = None,
        split: str | None = None,
        delete: float = 0.0,
        add: float = 0.0,
        batch_size: int = 512,
        negatives: int = 128,
        chunks: int = 8,
        typed: bool = False,
        filtered: bool = False,
        subsampling: bool = True,
        anchors: list[str] = [],  # noqa: B006
        encoder: str = "minilm",
        descriptions: str | None = None,
        describe: DescribedBy | None = None,
        masked: float = 0.0,
        ranking_memory: int = 512 * 2**20,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_least("data", 1, batch_size=batch_size, negatives=negatives, chunks=chunks)
        if batch_size % chunks:
            raise KedrecError(f"data.init_args.chunks: {chunks} chunks do not divide a batch of {batch_size} triples")
        if (descriptions or describe or masked) and "text" not in anchors:
            raise KedrecError("data.init_args.anchors: descriptions and masked need `text` among the anchors")
        if descriptions and describe:
            raise KedrecError("data.init_args.describe: descriptions are given; leave one of the two out")
        self.graph_path = graph
        self.relations = relations
        self.validation = validation
        self.test = test
        self.unseen_diseases = unseen_diseases
        self.pairs = pairs
        self.split = split
        self.noise = {"delete": delete, "add": add}
        self.batch_size = batch_size
        self.negatives = negatives
        self.chunks = chunks
        self.typed = typed
        self.filtered = filtered
        self.subsampling = subsampling
        self.anchors = anchors
        self.encoder_name = encoder
        self.descriptions = descriptions
        self.describe = describe
        self.masked = masked
        self.ranking_memory = ranking_memory
        self.seed = seed
        self.vocabulary: Vocabulary
        self.facts: dict[str, Any] = {}
        self.manifest: TreatmentSplit | None = None
        self._graph: KnowledgeGraph | None = None
        self._named: NamedGraph
        self._choices: list[Pair] = []
        self._split: TriplePartition
        self._further_tests: dict[str, Triples]
        self._known: KnownAnswers
        self._therapeutic: list[int]
        self._train: Triples
        self._types: NDArray[np.int64]

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
        if self.describe is None:
            return stages
        file = find_entities_file(self.graph_path)
        infos = load_entity_info(file) if file else {}
        names = {entity: infos[entity].name if entity in infos else "" for entity in graph.entities}
        return [*stages, self.describe.stage(names, store)]

    @property
    def training_triples(self) -> Triples:
        """What is trained on, noise included: ``(n, 3)`` rows of head, relation, tail."""
        return self._train

    def train_dataloader(self) -> Any:
        """Return batches of corrupted triples, from the place that a checkpoint told."""
        assert self._graph is not None
        entities, relations = len(self._graph.entities), len(self._graph.relations)
        triples = torch.from_numpy(self._train)
        weights = (
            subsampling_weights(self._train, relations)
            if self.subsampling
            else np.ones(len(self._train), dtype=np.float32)
        )
        batches = TripleBatches(
            triples,
            torch.from_numpy(weights),
            torch.from_numpy(self._types) if self.typed else None,
            entities,
            self.batch_size,
            self.negatives,
            self.chunks,
            TrueTriples(triples, entities, relations) if self.filtered else None,
            self.seed,
            *place_among_processes(self.trainer),
        )
        return self.resumed(batches)

    def val_dataloader(self) -> Any:
        """Return the validation triples as queries."""
        return self._one_by_one(list(self._queries("validation", self._split.validation)))

    def test_dataloader(self) -> Any:
        """Return each test set as queries, and then the question which compounds treat the diseases of the tests."""
        assert self._graph is not None
        batches: list[RankingBatch | RepurposingBatch | ChoiceBatch] = []
        for name, triples in (self._split.tests | self._further_tests).items():
            batches += self._queries(name, triples)
        if self._choices:
            batches.append(choice_batch(self._choices, self._graph.entity_rows, self._therapeutic_sides()))
        return self._one_by_one([*batches, *self._repurposing()])

    def _one_by_one(self, batches: "list[Any]") -> "DataLoader[Any]":
        """Return this process's share of the batches; what two processes answer counts once."""
        shares = taking_turns(batches, *place_among_processes(self.trainer))
        return DataLoader([batch for batch, _ in shares], batch_size=None)  # type: ignore[arg-type]

    def _prepare(self, store: Store) -> None:
        entities_file = find_entities_file(self.graph_path)
        infos = load_entity_info(entities_file) if entities_file else {}
        names_hash = file_hash(entities_file) if entities_file else None
        if is_split_folder(self.graph_path):
            for key, given in {"pairs": self.pairs, "split": self.split}.items():
                if given is not None:
                    raise KedrecError(f"data.init_args.{key}: {self.graph_path} is split already; leave `{key}` out")
            self._graph, split = load_split(self.graph_path, store)
            self._split = replace(split, tests={"pairs": split.tests["test"]})
            self._named = NamedGraph(self._graph, infos, names_hash)
        else:
            self._graph = load_graph(self.graph_path, store)
            self._named = NamedGraph(self._graph, infos, names_hash)
            self.manifest = self._treatment_split(self._named)
            self._split = partition_triples(self._graph, self.relations, self.manifest, self._named.canonical_rows)
        names = self._graph.match_relations(self.relations, optional=THERAPEUTIC) if self.relations else []
        self._therapeutic = [self._graph.relation_rows[name] for name in names]
        self._known = KnownAnswers(self._graph.triples, len(self._graph.relations))
        self._train = with_noise(self._split.train, self._named, self.manifest, seed=self.seed, **self.noise)
        _, self._types = type_codes(self._graph.entities)
        names = [infos[entity].name if entity in infos else "" for entity in self._graph.entities]
        self.facts = {
            "graph": f"{self.graph_path}, SHA-256 {self._graph.source_hash}",
            "split": str(self._split),
            "noise": f"{self.noise}; {len(self._train)} triples are trained on",
        }
        if self.manifest is not None:
            self.facts["manifest"] = self.manifest.facts
        if self.describe is not None:
            named = dict(zip(self._graph.entities, names, strict=True))
            file, self.facts["descriptions"] = self.describe.prepare(named, store)
            self.descriptions = str(file)
        self._further_tests = self._untold(names, infos)
        texts = self._texts(entities_file) if "text" in self.anchors else None
        if texts is not None:
            texts = replace(texts, descriptions=self._leak_free(texts.descriptions))
        nothing = EntityInfo("", (), "")
        plain = [infos.get(entity, nothing).description for entity in self._graph.entities]
        self.vocabulary = Vocabulary(
            self._graph.entities,
            self._graph.relations,
            [name or entity for name, entity in zip(names, self._graph.entities, strict=True)],
            self._modalities(texts, store),
            np.concatenate([self._split.validation, *self._split.tests.values()]),
            texts.descriptions if texts else self._leak_free(plain),
        )

    def _treatment_split(self, named: NamedGraph) -> TreatmentSplit:
        """Return the split of a file, else the split that pairs imply, else one by shares."""
        pairs = load_pairs(self.pairs) if self.pairs else []
        self._choices = [pair for pair in pairs if pair.split == "test"]
        canonical = by_canonical_ids(pairs, named.canonical_id)
        if self.split is not None:
            split = split_from_file(self.split, named, self.relations)
            check_pairs(canonical, split, str(self.pairs))
            return split
        if pairs:
            return split_from_pairs(named, self.relations, canonical)
        return split_by_shares(
            named,
            self.relations,
            validation=self.validation,
            test=self.test,
            unseen_diseases=self.unseen_diseases,
            seed=self.seed,
        )

    def _texts(self, entities_file: Path | None) -> EntityTexts:
        assert self._graph is not None
        descriptions = Path(self.descriptions) if self.descriptions else None
        return entity_texts(self._graph.entities, entities_file, descriptions, self.masked, self.seed)

    def _leak_free(self, descriptions: list[str]) -> list[str]:
        """Return the descriptions; where a split or pairs are given, without the sentences that leak them."""
        if (self.split is None and self.pairs is None) or self.manifest is None:
            return descriptions
        clean = LeakageFilter(self._named, self.manifest).clean_descriptions(descriptions)
        shortened = sum(old != new for old, new in zip(descriptions, clean, strict=True))
        self.facts["descriptions without what told of the split"] = shortened
        return clean

    def _modalities(self, texts: EntityTexts | None, store: Store) -> list[Modality]:
        assert self._graph is not None
        found: list[Modality] = []
        for anchor in self.anchors:
            if texts and anchor == "text":
                found += text_modalities(texts, self.encoder_name, store)
                self.facts["texts"] = f"{texts.counts}, encoder {self.encoder_name}"
            elif anchor == "fingerprint":
                smiles = find_smiles_file(self.graph_path)
                if smiles is None:
                    raise KedrecError(f"{self.graph_path}: no compound_smiles.tsv beside it; leave `fingerprint` out")
                found.append(fingerprint_modality(self._graph.entities, smiles))
            else:
                found.append(matrix_modality(anchor, self._graph.entities))
        for modality in found:
            self.facts[f"anchor {modality.name}"] = f"{modality.known.sum()} entities, {modality.vectors.shape[1]} dims"
        return found

    def _untold(self, names: list[str], infos: Mapping[str, EntityInfo]) -> dict[str, Triples]:
        """Return of each test set the triples whose two sides' descriptions do not name each other: anchors may tell.

        Models without anchors are asked the same, to be compared with.
        """
        assert self._graph is not None
        added = load_descriptions(self.descriptions) if self.descriptions else {}
        nothing = EntityInfo("", (), "")
        texts = [added.get(entity) or infos.get(entity, nothing).description for entity in self._graph.entities]
        texts = self._leak_free(texts)
        if not any(texts):
            return {}
        told = {
            name: tell_each_other(triples[:, ::2].tolist(), names, texts) for name, triples in self._split.tests.items()
        }
        self.facts["told by texts"] = ", ".join(f"{of.sum()} of {len(of)} {name}" for name, of in told.items())
        return {f"{name}_untold": self._split.tests[name][~of] for name, of in told.items() if 0 < of.sum() < len(of)}

    def _queries(self, name: str, triples: Triples) -> Iterable[RankingBatch]:
        assert self._graph is not None
        degrees = np.bincount(self._train[:, ::2].ravel(), minlength=len(self._graph.entities))
        queries = max(1, self.ranking_memory // (_BYTES_A_SCORE * len(self._graph.entities)))
        return ranking_batches(name, triples, self._types, degrees, self._known, queries)

    def _therapeutic_sides(self) -> list[tuple[int, Side]]:
        """Return the therapeutic relations, each with the side or sides on which compounds stand."""
        assert self._graph is not None
        compounds = self._graph.of_type("Compound")
        found: list[tuple[int, Side]] = []
        for row in self._therapeutic:
            told = self._graph.triples[self._graph.triples[:, 1] == row]
            for side, ends in zip(SIDES, told[:, ::2].T, strict=True):
                if np.isin(ends, compounds).any():
                    found.append((row, side))
        return found

    def _repurposing(self) -> Iterator[RepurposingBatch]:
        assert self._graph is not None
        graph, compounds = self._graph, self._graph.of_type("Compound")
        relations = self._therapeutic_sides()
        tested = np.concatenate([*self._split.tests.values()])
        diseases = np.intersect1d(graph.of_type("Disease"), tested[:, ::2])
        if not relations:
            return
        # Noise does not change what is known: training triples as they were split.
        splits = (self._split.train, self._split.validation, tested)
        size = max(1, self.ranking_memory // (_BYTES_A_SCORE * len(compounds) * len(relations)))
        for start in range(0, len(diseases), size):
            yield repurposing_batch(diseases[start : start + size], compounds, relations, splits)
