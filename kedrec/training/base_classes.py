"""The two base classes of what kedrec trains: models and data modules.

Their attributes and methods state what a class can do, with defaults that say "nothing of the kind". A command looks at
them; it never asks for the class.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from lightning import LightningDataModule, LightningModule

from kedrec.evaluation.added_metrics import Metric, added_metrics
from kedrec.training.run_card import metric_names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kedrec.graph.vocabulary import Vocabulary
    from kedrec.runtime.preparation_plan import Stage
    from kedrec.splits.treatment_split import TreatmentSplit
    from kedrec.storage.artifact_store import Store

Rows = dict[str, list[dict[str, Any]]]
"""Rows of a test, by the stem of the JSONL file that they are written to."""


class TrainableModule(LightningModule):
    """A model that the commands train, test, export and read back.

    Attributes:
        task: what the model predicts, for reports: ``choice`` between two drugs, ``link_prediction``, ``drug_sets``.
        title: what reports call the model; empty where they call it by its scorer or its class.
        monitor: metric of the validation, and whether its least or its greatest value is the best checkpoint.
        reading: how the metrics are to be read, in words, for the run's card.
        many_processes: whether several processes can train the model together.
        has_baseline: whether the model can answer a test untrained; `untrained`, `untrained_key` and `test_metrics`
            are then defined.
        keeps_base: whether the model can answer untrained after training too.
        predictions: rows of the last test, one an example; written to ``predictions.jsonl``.
        records: further rows of the last test.
        metrics: metrics from outside the package, computed from ``predictions``.
        added_metrics: names of the metrics that ``metrics`` computed in the last test.
    """

    task: ClassVar[str] = "other"
    title: ClassVar[str] = ""
    monitor: ClassVar[tuple[str, Literal["min", "max"]]] = ("validation/loss", "min")
    reading: ClassVar[str] = ""
    many_processes: ClassVar[bool] = False
    has_baseline: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.predictions: list[dict[str, Any]] = []
        self.records: Rows = {}
        self.metrics: Sequence[Metric] = ()
        self.added_metrics: list[str] = []

    @property
    def answers(self) -> Rows:
        """The rows of the last test: predictions and records."""
        return {"predictions": self.predictions, **self.records}

    @property
    def keeps_base(self) -> bool:
        """Whether the model can answer untrained after training too."""
        return False

    def untrained(self) -> AbstractContextManager[None]:
        """Return a context in which the model answers as it was before training."""
        return nullcontext()

    def untrained_key(self) -> dict[str, Any]:
        """Return everything that the untrained answers depend on beside the test's questions, as JSON values."""
        return {}

    def test_metrics(self, answers: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, float]:
        """Return the metrics of a test, name -> number, from its rows.

        Args:
            answers: as `answers` has them.
        """
        return {}

    def closing_metrics(self, metrics: Mapping[str, float]) -> Sequence[str]:
        """Return the names, without ``base/`` and ``test/``, of the metrics in the table that closes a run.

        By default all. The others are in the run's card and in ``metrics.json``.

        Args:
            metrics: of the run, ``base/NAME`` and ``test/NAME`` -> number.
        """
        return metric_names(metrics)

    def with_added_metrics(
        self, own: Mapping[str, float], predictions: Sequence[Mapping[str, Any]]
    ) -> dict[str, float]:
        """Return the model's own metrics of a test, and those of `metrics`.

        Args:
            own: name -> number.
            predictions: rows of the test.

        Raises:
            KedrecError: two metrics have one name.
        """
        added = added_metrics(self.metrics, predictions, own.keys())
        self.added_metrics = list(added)
        return {**own, **added}

    def export(self, folder: Path) -> None:
        """Write what others load, such as an adapter or embeddings, each into a folder of its own.

        Args:
            folder: holds those folders. Of several processes the first exports.
        """

    def join_export(self) -> None:
        """Contribute this process's shards of the weights to the `export` of the first process."""

    def load_export(self, run_folder: Path) -> Path | None:
        """Load the weights that the model exported into its run folder.

        Args:
            run_folder: the folder of a finished run.

        Returns:
            The folder that the weights are from; ``None`` where there is none.

        Raises:
            KedrecError: the folder is damaged, or holds the weights of another model.
        """
        return None


class ExperimentData(LightningDataModule):
    """A data module that the commands prepare, train on and test with.

    Attributes:
        private: whether these are patient data: nothing derived from them leaves the run folder.
        many_processes: whether several processes can share the data.
        writes_dataset: whether `write_dataset` is defined.
        collection: what reports call the data; empty where they are called by their graph.
        facts: what the data are, for the run's card and provenance; complete after ``setup``.
        manifest: the train, validation and test treatments; ``None`` before ``setup``, and where there is no split.
        vocabulary: entities and relations of the graph's tables; ``None`` where batches hold none.
        citation_encoder: name of the bi-encoder that scores the citations of a test; ``None`` where nothing is cited.
        entailment: name of the NLI model that scores them too; ``None`` for none.
    """

    private: ClassVar[bool] = False
    many_processes: ClassVar[bool] = False
    writes_dataset: ClassVar[bool] = False
    collection: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        self.facts: dict[str, Any] = {}
        self.manifest: TreatmentSplit | None = None
        self.vocabulary: Vocabulary | None = None
        self.citation_encoder: str | None = None
        self.entailment: str | None = None

    @property
    def training_triples(self) -> "NDArray[np.int32] | None":
        """``(n, 3)`` rows of head, relation, tail that are trained on; ``None`` where there is no graph."""
        return None

    def test_identity(self) -> str:
        """Return a hash of everything that the test asks; empty where no other run's test can be the same."""
        return ""

    def plan(self, store: "Store") -> "list[Stage] | None":
        """Return the stages of the preparation, building nothing that stays; ``None`` where they are unknown."""
        return None

    def write_dataset(self, folder: Path, name: str) -> None:
        """Write the data as a data set for others, whole or not at all.

        Args:
            folder: of the data set.
            name: of the data set.
        """
        raise NotImplementedError
