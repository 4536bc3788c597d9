"""The base class of data whose batches are hospital visits with drugs to predict."""

from kedrec.mimic.visit_tensors import DrugVocabulary
from kedrec.training.resumable_data import ResumingData


class DrugSetData(ResumingData):
    """Data of `VisitBatch` batches.

    Attributes:
        drugs: the drug labels to predict; known after ``setup``.
    """

    private = True

    drugs: DrugVocabulary
