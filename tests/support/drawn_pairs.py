"""Pairs drawn of a split that is made for them, in one call."""

from kedrec.graph.therapeutic import THERAPEUTIC
from kedrec.kedrec_lm.pair_sampling import sample_pairs as _sample_pairs
from kedrec.splits.split_creation import split_treatments


def sample_pairs(graph, *, split_by, validation, test, seed, relations=THERAPEUTIC, eligible=None, drugs=None, **rest):
    """Split the treatments of a graph and draw a pair for each."""
    asked = {"relations": relations, "eligible": eligible, "drugs": drugs, "seed": seed}
    manifest = split_treatments(graph, split_by=split_by, validation=validation, test=test, **asked)
    return _sample_pairs(graph, manifest, **asked, **rest)
