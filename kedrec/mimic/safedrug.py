"""SafeDrug: sets of drugs for a visit that are effective and interact little (Yang et al., IJCAI 2021)."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kedrec.errors import KedrecError, check_above_zero, check_least, check_share
from kedrec.mimic.drug_losses import accuracy_weight, interaction_loss, interaction_rate, set_loss
from kedrec.mimic.drug_set_data import DrugSetData
from kedrec.mimic.drug_set_metrics import DrugSets, drug_set_metrics, heuristic_metrics, prescribed_metrics
from kedrec.mimic.molecule_encoder import BipartiteLinear, MoleculeEncoder, read_molecules
from kedrec.mimic.visit_tensors import DrugVocabulary, VisitBatch
from kedrec.training.base_classes import TrainableModule

_CHOSEN = 0.5  # probability from which a drug is recommended


class SafeDrug(TrainableModule):
    """Dual molecular graph encoders under a patient's history (arXiv 2105.02711).

    A visit's diagnoses and procedures are embedded and summed, a GRU reads each of the two along the visits, and a
    linear layer makes the query of their states. Globally it is compared with each drug's molecules, whose atoms pass
    messages; locally it is mapped to molecular substructures, and these to the drugs that have them. The product of
    both is a drug's logit.

    The authors' published code (github.com/ycq091044/SafeDrug, commits e34bf5b and 3a112b9) is not always their paper:
    for beta it takes ``min(0, 1 - excess / K_p)``, the paper's ``max`` turned round; messages pass once, before
    training, by weights that stay random; atoms are summed; the interaction loss is scaled; each visit is a step of its
    own. Here are the paper's formulas, the code's scale, and batches of patients.

    Args:
        dim: of codes, visits, queries and drugs.
        layers: number of rounds of message passing; the authors' code.
        dropout: share of the embedded codes' coordinates that is dropped in training.
        bce_share: weight of the cross-entropy beside the multi-label margin, alpha.
        acceptance: accepted share of interacting pairs, gamma.
        correction: excess over gamma from which on only the interactions count, K_p.
        interaction_scale: of the interaction loss; the authors' code, where their equation has 1.
        learning_rate: of Adam.
        seed: of the initialisation.
    """

    task = "drug_sets"
    monitor = ("validation/jaccard", "max")
    reading = (
        "Means over each patient's visits, then over patients; `drugs` and `ddi_rate` over all visits. In brackets are "
        "95 % bootstrap intervals over patients, from five of them on. Drugs that training lacks count as missed. "
        "`heuristic_most_frequent` is the Jaccard of the most frequent drugs for everyone, `heuristic_last_visit` that "
        "of the drugs of the visit before, and `jaccard_over_` the model's Jaccard less theirs at the same visits: "
        "where its interval includes 0, nothing is shown. `metrics.json` has the baselines' other metrics. A "
        "`ddi_rate` depends on the list of interactions: compare it with `prescribed_ddi_rate` alone."
    )

    def __init__(
        self,
        dim: int = 64,
        layers: int = 2,
        dropout: float = 0.5,
        bce_share: float = 0.95,
        acceptance: float = 0.06,
        correction: float = 0.05,
        interaction_scale: float = 5e-4,
        learning_rate: float = 5e-4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_least("model", 1, dim=dim, layers=layers)
        check_above_zero(
            "model", correction=correction, interaction_scale=interaction_scale, learning_rate=learning_rate
        )
        check_share("model", dropout=dropout, bce_share=bce_share, acceptance=acceptance)
        self.dim, self.layers, self.dropout = dim, layers, dropout
        self.bce_share, self.acceptance, self.correction = bce_share, acceptance, correction
        self.interaction_scale = interaction_scale
        self.learning_rate = learning_rate
        self.seed = seed
        self.drugs: DrugVocabulary | None = None
        self.predictions: list[dict[str, Any]] = []
        self._seen: list[DrugSets] = []

    def configure_model(self) -> None:
        """Read the molecules and make the layers, once the data have named the drugs."""
        if self.drugs is not None:
            return
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, DrugSetData):
            raise KedrecError(f"data.class_path: {type(data).__name__} has no visits with drugs; use VisitData")
        self.make_layers(data.drugs)

    def make_layers(self, drugs: DrugVocabulary) -> None:
        """Make the learned layers.

        Raises:
            KedrecError: RDKit is not installed, or no drug has a molecule that it can read.
        """
        molecules = read_molecules(drugs.smiles)
        if not molecules.pieces:
            raise KedrecError(
                f"none of {len(drugs.labels)} drug labels has a SMILES that can be read; "
                "put compound_smiles.tsv into the graph's folder"
            )
        self.drugs = drugs
        labels = len(drugs.labels)
        known = drugs.interactions
        interactions = torch.zeros(labels, labels) if known is None else torch.from_numpy(known).float()
        self.register_buffer("interactions", interactions, persistent=False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            sizes = (drugs.diagnoses, drugs.procedures)
            self.codes = nn.ModuleList(nn.Embedding(size, self.dim, padding_idx=0) for size in sizes)
            for table in self.codes:
                nn.init.uniform_(table.weight[1:].detach(), -0.1, 0.1)  # type: ignore[index]
            self.histories = nn.ModuleList(nn.GRU(self.dim, self.dim, batch_first=True) for _ in sizes)
            self.query = nn.Linear(2 * self.dim, self.dim)
            self.molecules = MoleculeEncoder(molecules, self.dim, self.layers)
            self.matched = nn.Linear(labels, labels)
            self.norm = nn.LayerNorm(labels)
            self.pieces = nn.Linear(self.dim, len(molecules.pieces))
            self.bipartite = BipartiteLinear(molecules.holds)

    def forward(self, batch: VisitBatch) -> Tensor:
        """Return the drugs' logits at each visit, from that visit and those before, ``(batch, visits, labels)``."""
        read = []
        for codes, table, history in zip((batch.diagnoses, batch.procedures), self.codes, self.histories, strict=True):
            visits = nn.functional.dropout(table(codes), self.dropout, self.training).sum(2)
            read.append(history(visits)[0])
        query = self.query(torch.cat(read, dim=-1).relu())
        match = (query @ self.molecules().T).sigmoid()
        whole = self.norm(match + self.matched(match))
        logits: Tensor = whole * self.bipartite(self.pieces(query).sigmoid())
        return logits

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)

    def loss(self, batch: VisitBatch) -> tuple[Tensor, Tensor]:
        """Return the loss and beta, the weight of accuracy in it; scalars."""
        logits, drugs = self(batch)[batch.mask], batch.drugs[batch.mask]
        accuracy = set_loss(logits, drugs, self.bce_share)
        interactions: Tensor = self.interactions  # type: ignore[assignment]
        probability = logits.sigmoid()
        rate = interaction_rate((probability.detach() >= _CHOSEN).float(), interactions)
        beta = accuracy_weight(rate, self.acceptance, self.correction)
        risk = self.interaction_scale * interaction_loss(probability, interactions)
        return beta * accuracy + (1 - beta) * risk, beta

    def training_step(self, batch: VisitBatch, _: int) -> Tensor:
        """Return the loss."""
        loss, beta = self.loss(batch)
        figures = {"train/loss": loss.detach(), "train/accuracy_weight": beta}
        self.log_dict(figures, prog_bar=True, batch_size=len(batch.mask))
        return loss

    def on_validation_epoch_start(self) -> None:
        """Clear the sets of the last epoch."""
        self._seen = []

    def validation_step(self, batch: VisitBatch, _: int) -> None:
        """Recommend drugs at each visit."""
        self._recommend(batch)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics; the best checkpoint is that of the highest Jaccard."""
        assert self.drugs is not None
        metrics = drug_set_metrics(_together(self._seen), self.drugs.interactions, intervals=False)
        self.log_dict({f"validation/{name}": value for name, value in metrics.items()})

    def on_test_epoch_start(self) -> None:
        """Clear the sets of the last epoch."""
        self._seen = []
        self.predictions = []

    def test_step(self, batch: VisitBatch, _: int) -> None:
        """Recommend drugs at each visit."""
        self._recommend(batch)

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the model and of the heuristic baselines, and keep the recommended drugs."""
        assert self.drugs is not None
        sets, interactions = _together(self._seen), self.drugs.interactions
        metrics = drug_set_metrics(sets, interactions)
        metrics |= prescribed_metrics(sets, interactions)
        metrics |= heuristic_metrics(sets, self.drugs.share, self.drugs.drugs_a_visit, interactions)
        metrics |= {"visits": float(len(sets.true)), "patients": float(len(np.unique(sets.patient)))}
        self.log_dict({f"test/{name}": value for name, value in metrics.items()})
        self.predictions = self._rows(sets)

    def _recommend(self, batch: VisitBatch) -> None:
        """Keep the sets of a batch's visits."""
        probability = self(batch)[batch.mask].sigmoid().cpu().double().numpy()
        self._seen.append(
            DrugSets(
                batch.patient.unsqueeze(1).expand_as(batch.mask)[batch.mask].cpu().numpy(),
                probability >= _CHOSEN,
                batch.drugs[batch.mask].bool().cpu().numpy(),
                batch.outside[batch.mask].cpu().numpy(),
                probability,
            )
        )

    def _rows(self, sets: DrugSets) -> list[dict[str, Any]]:
        """Return a row for each visit; patients and visits are running numbers."""
        assert self.drugs is not None
        assert sets.scores is not None
        labels = np.array(self.drugs.labels)
        return [
            {
                "visit": visit,
                "patient": int(sets.patient[visit]),
                "predicted": labels[sets.chosen[visit]].tolist(),
                "true": labels[sets.true[visit]].tolist(),
                "unlabelled": int(sets.outside[visit]),
                "scores": dict(zip(self.drugs.labels, sets.scores[visit].round(5).tolist(), strict=True)),
            }
            for visit in range(len(sets.true))
        ]


def _together(parts: list[DrugSets]) -> DrugSets:
    """Return the visits of several batches as one."""
    columns = zip(*((part.patient, part.chosen, part.true, part.outside, part.scores) for part in parts), strict=True)
    return DrugSets(*(np.concatenate(column) for column in columns))
