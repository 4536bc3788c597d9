"""What is kept from training, since it tells of treatments that the split holds out: passages and sentences.

Only training is guarded by name. A validation question teaches nothing but which checkpoint is best and how sure a
student may be, and for that it must show what a test question would: passages on the irrelevant drug, which often name
what that drug is for. Where a date decides, validation too sees no passage of the test's time.
"""

from collections.abc import Mapping

from kedrec.graph.named_graph import NamedGraph
from kedrec.sources.text.dates import surely_before
from kedrec.splits.comentions import Comentions
from kedrec.splits.manifest import Manifest
from kedrec.splits.pairs import Pair
from kedrec.splits.seeded_split import Split
from kedrec.text.sentences import sentences


def hidden_passages(comentions: Comentions, manifest: Manifest) -> dict[Split, set[str]]:
    """Return for each split the ids of the passages that its questions must not show, nor its teacher read.

    Hidden from training are those that name both ends of a treatment that is held out, namesakes included, in title or
    text; where the split is by date, those that are not surely older than its cut from training and validation.
    """
    telling = {passage.id for edge in manifest.of("validation", "test") for passage in comentions.passages(*edge)}
    hidden: dict[Split, set[str]] = {"train": telling}
    for split, day in manifest.cuts.items():
        late = {one.id for one in comentions.all_passages if not surely_before(one.date, day.isoformat())}
        hidden[split] = hidden.get(split, set()) | late
    return hidden


def without_telling(
    rationales: Mapping[Pair, str], named: NamedGraph, manifest: Manifest
) -> tuple[dict[Pair, str], int]:
    """Return the rationales without the sentences in training that tell of a held-out treatment.

    A sentence is about whom it names, and about the drugs and the disease of the question, which it need not name: "it
    is also given in ..." tells too.

    Args:
        rationales: of all splits; a teacher may have written them from what it knows.
        named: has the names.
        manifest: of the split.

    Returns:
        The rationales, and how many sentences were cut.
    """
    trained = {pair: sentences(text) for pair, text in rationales.items() if pair.split == "train"}
    said = [(pair, sentence) for pair, parts in trained.items() for sentence in parts]
    about = [[named.canonical_id(one) for one in (pair.disease, pair.relevant, pair.irrelevant)] for pair, _ in said]
    telling = Comentions(named).texts([sentence for _, sentence in said], manifest.of("validation", "test"), about)
    kept: dict[Pair, list[str]] = {pair: [] for pair in trained}
    for row, (pair, sentence) in enumerate(said):
        if row not in telling:
            kept[pair].append(sentence)
    changed = {pair: " ".join(parts) for pair, parts in kept.items() if len(parts) < len(trained[pair])}
    return {**rationales, **changed}, len(telling)
