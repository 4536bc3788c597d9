"""The groups of settings of `kedrec.lladr.triple_data.TripleData`."""

from dataclasses import dataclass, field

from kedrec.errors import KedrecError, check_least
from kedrec.lladr.description_source import DescribedBy


@dataclass(frozen=True)
class SplitSettings:
    """Which treatments are held out for validation and test, on a graph that its authors have not split.

    Attributes:
        file: the ``split.tsv`` of another run: what it holds out is held out here, in place of the shares.
        validation: share of the therapeutic pairs.
        test: share of the therapeutic pairs.
        unseen_diseases: number of diseases that have all their therapeutic triples in a second test set.
    """

    file: str | None = None
    validation: float = 0.02
    test: float = 0.05
    unseen_diseases: int = 40


@dataclass(frozen=True)
class PairSettings:
    """Pairs of a student.

    Attributes:
        file: Parquet of pairs: the treatments that its validation and test pairs ask about are held out, in place of
            the shares, and the choice between the two drugs of each test pair is scored too.
    """

    file: str | None = None


@dataclass(frozen=True)
class NegativeSettings:
    """How true triples are corrupted.

    Attributes:
        count: corruptions per triple.
        chunks: runs of a batch whose triples share their corruptions; as many as triples make them independent.
        typed: replace an entity by one of its own type.
        filtered: leave true triples of training out of the corruptions.
    """

    count: int = 128
    chunks: int = 8
    typed: bool = False
    filtered: bool = False

    def check(self, batch_size: int) -> None:
        """Raise a KedrecError where a number is below 1, or the chunks do not divide a batch."""
        check_least("data", 1, **{"negatives.count": self.count, "negatives.chunks": self.chunks})
        if batch_size % self.chunks:
            raise KedrecError(
                f"data.init_args.negatives.chunks: {self.chunks} chunks do not divide a batch of {batch_size} triples"
            )


@dataclass(frozen=True)
class AnchorSettings:
    """The vectors that entities are anchored in.

    Attributes:
        sources: ``text``, ``fingerprint``, or paths of safetensors matrices; none for a model of the graph alone.
        encoder: of ``text``: ``minilm`` (bundled), a folder, a hub name of a bi-encoder, or a server's address.
        descriptions: TSV or JSONL of descriptions that take precedence over those beside the graph.
        describe: a model that writes the descriptions, by ``kedrec.prepare``; in place of ``descriptions``.
        masked: share of the described entities whose description is left out, LLaDR's ablation.
    """

    sources: list[str] = field(default_factory=list)
    encoder: str = "minilm"
    descriptions: str | None = None
    describe: DescribedBy | None = None
    masked: float = 0.0

    def check(self) -> None:
        """Raise a KedrecError where settings of the texts are given without ``text``, or two sources of them."""
        if (self.descriptions or self.describe or self.masked) and "text" not in self.sources:
            raise KedrecError(
                "data.init_args.anchors.sources: descriptions, describe and masked need `text` among the sources"
            )
        if self.descriptions and self.describe:
            raise KedrecError("data.init_args.anchors.describe: descriptions are given too; leave one of the two out")


@dataclass(frozen=True)
class NoiseSettings:
    """Noise in the training triples, LLaDR's robustness test.

    Attributes:
        delete: share of the training triples that is deleted.
        add: random triples that are added, as a share of those that remain.
    """

    delete: float = 0.0
    add: float = 0.0


@dataclass(frozen=True)
class LoaderSettings:
    """Sizes of batches.

    Attributes:
        batch_size: training triples per batch and process.
        ranking_memory: bytes that a batch of ranking queries may take.
    """

    batch_size: int = 512
    ranking_memory: int = 512 * 2**20
