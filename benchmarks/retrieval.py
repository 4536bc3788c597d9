"""Time the stages from a graph and texts to indexed passages, and measure what the index finds.

    python benchmarks/retrieval.py --graph ../shared/data/graph --texts ../shared/data/text [--store DIR]

1. The stages of `experiments/real_graph.yaml`: graph, documents cut to passages, passages that name a drug, vectors and
   index of each source. With an empty ``--store`` they are built, with a filled one they are read; the table says so.
2. recall@k against exact search, and searches a second in one batch, for queries of real (drug, disease) pairs.
3. The encoder against sentence-transformers (`pip install sentence-transformers`; left out where it is absent), in both
   precisions, on the same passages, drawn by a seed from those that are indexed: one untimed pass each, then turn by
   turn in this one process, each in the batches of its own choice.
"""

import argparse
import importlib.util
import random
import statistics
import time
from collections.abc import Callable

from kedrec.runtime.environment import prepare_environment

SOURCES = ["clinical_trials", "pmc"]


def timed(work: Callable[[], object]) -> tuple[object, float]:
    """Return what ``work`` gives and the seconds it took."""
    start = time.perf_counter()
    given = work()
    return given, time.perf_counter() - start


def compare_encoders(texts: list[str], repeats: int) -> None:
    """Print passages a second of kedrec and of sentence-transformers in both precisions, and kedrec's ratio to each."""
    if importlib.util.find_spec("sentence_transformers") is None:
        print("sentence-transformers is not installed: the encoders are not compared")
        return

    import numpy as np
    import torch
    from sentence_transformers import SentenceTransformer

    from kedrec.retrieval.bi_encoder import Encoder
    from kedrec.sources.weights import BUNDLED_ENCODER, encoder_folder

    folder = str(encoder_folder(BUNDLED_ENCODER))
    peer = {
        dtype: SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": getattr(torch, dtype)})
        for dtype in ("float32", "bfloat16")
    }
    ours = Encoder(BUNDLED_ENCODER, device="cpu")
    tools: dict[str, Callable[[], object]] = {
        "kedrec": lambda: ours.encode(texts),
        "sentence-transformers float32": lambda: peer["float32"].encode(texts, show_progress_bar=False),
        "sentence-transformers bfloat16": lambda: peer["bfloat16"].encode(texts, show_progress_bar=False),
    }
    vectors = {tool: np.asarray(work(), dtype=np.float32) for tool, work in tools.items()}
    speeds: dict[str, list[float]] = {tool: [] for tool in tools}
    for _ in range(repeats):
        for tool, work in tools.items():
            speeds[tool].append(len(texts) / timed(work)[1])
    print(f"encoder, {len(texts)} passages, {repeats} rounds, {torch.get_num_threads()} threads")
    print(f"{'':32} {'passages/s':>10} {'min':>7} {'max':>7} {'kedrec/this':>12} {'least cosine to kedrec':>23}")
    for tool, taken in speeds.items():
        ratio = statistics.median(mine / its for mine, its in zip(speeds["kedrec"], taken, strict=True))
        norms = np.linalg.norm(vectors[tool], axis=1) * np.linalg.norm(vectors["kedrec"], axis=1)
        cosine = float(((vectors[tool] * vectors["kedrec"]).sum(1) / norms).min())
        figures = f"{statistics.median(taken):10.1f} {min(taken):7.1f} {max(taken):7.1f} {ratio:11.2f}x {cosine:23.5f}"
        print(f"{tool:32} {figures}", flush=True)


def main() -> None:
    """Run the stages, then the searches, then the encoders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graph", required=True)
    parser.add_argument("--texts", required=True)
    parser.add_argument("--store", help="folder of prepared artefacts; the usual one where it is not given")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--k", type=int, default=10, help="neighbours whose recall is taken")
    parser.add_argument("--passages", type=int, default=1000, help="of the comparison of encoders; 0 leaves it out")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    prepare_environment()

    from kedrec.graph.knowledge_graph import load_graph
    from kedrec.graph.named_graph import NamedGraph
    from kedrec.kedrec_lm.pair_sampling import sample_pairs
    from kedrec.retrieval.bi_encoder import Encoder
    from kedrec.retrieval.corpus import Corpus
    from kedrec.retrieval.retriever import open_corpus, query_text
    from kedrec.retrieval.vector_index import recall
    from kedrec.splits.split_creation import split_treatments
    from kedrec.storage.artifact_store import Store

    store = Store(options.store)

    def stage(name: str, work: Callable[[], object], size: Callable[[object], str]) -> object:
        held = set(store.root.glob("*/*"))
        given, seconds = timed(work)
        how = "built" if set(store.root.glob("*/*")) - held else "read"
        print(f"{name:44} {seconds:9.2f} s  {how:6} {size(given)}", flush=True)
        return given

    encoder = Encoder("minilm")
    stage("graph", lambda: load_graph(options.graph, store), lambda graph: f"{len(graph.triples):,} triples")
    stage(
        "documents cut to passages",
        lambda: open_corpus(options.texts, encoder, store, 200),
        lambda corpus: f"{sum(len(corpus.passages(source)) for source in corpus.sources):,} passages",
    )
    named = NamedGraph.load(options.graph, store)
    corpus = stage(
        "passages that name a drug (with the above)",
        lambda: Corpus.open(options.texts, named, encoder, store, chunk_tokens=200, naming_drugs=True),
        lambda corpus: f"{len(corpus.passages):,} passages",
    )
    for source in SOURCES:
        stage(
            f"vectors and index of {source}",
            lambda source=source: corpus.retriever.index(source),
            lambda index: f"{len(index):,} passages, {'exact' if index.exact else 'hnswlib'}",
        )
    graph = named.merged
    asked = {"drugs": corpus.mentioned, "eligible": corpus.mentioned_together, "seed": 0}
    pairs = stage(
        "pairs of a train split",
        lambda: sample_pairs(
            graph,
            split_treatments(graph, split_by="disease", validation=0.05, test=0.1, **asked),
            negatives="similar",
            balanced=True,
            limit={"train": options.queries // 2, "validation": 1, "test": 1},
            **asked,
        ),
        lambda pairs: f"{len(pairs):,} pairs",
    )
    queries = [
        query_text(named.names(pair.disease)[0], named.names(drug)[0])
        for pair in pairs
        for drug in (pair.relevant, pair.irrelevant)
    ][: options.queries]
    vectors = encoder.encode_queries(queries)
    for source in SOURCES:
        index = corpus.retriever.index(source)
        found, seconds = timed(lambda index=index: index.search(vectors, options.k))
        rate = len(found[0]) / seconds
        share = recall(index, vectors, options.k)
        print(f"{source:44} recall@{options.k} {share:.4f}, {rate:,.0f} searches/s, {len(queries)} queries", flush=True)
    if options.passages:
        every = [passage.titled_text for source in SOURCES for passage in corpus.retriever.passages(source)]
        compare_encoders(random.Random(0).sample(every, min(options.passages, len(every))), options.repeats)


if __name__ == "__main__":
    main()
