"""Train with DGL-KE 0.1.2: its sampler, chunked negatives, scores, loss and row-sparse Adagrad, in its own order.

    python benchmarks/peers/run_dglke.py --data DIR --scorer transe_l1 --dim 1024 --batch 512 --negatives 128

As `dglke_train --num_proc THREADS --num_thread 1 -adv -rc 0 --neg_sample_size NEGATIVES` (`-de` for RotatE): processes
of one thread train one shared model without locks, which is how DGL-KE uses cores. Heads and tails are corrupted in
turns; the triples of a chunk share their negatives. A step is one process's; the speeds of the processes are added.
"""

import dgl
import torch.multiprocessing as mp
from measure import Clock, peak_memory, read_options, report

if hasattr(dgl, "_deprecate"):  # from 0.5 on the graph that DGL-KE's sampler takes lives here
    from dgl._deprecate.graph import DGLGraph

    dgl.DGLGraph = DGLGraph

from dglke.dataloader import NewBidirectionalOneShotIterator, TrainDataset, get_dataset
from dglke.models.pytorch.tensor_models import thread_wrapped_func
from dglke.train import ArgParser
from dglke.train_pytorch import load_model
from torch import set_num_threads

NAMES = {"transe_l1": "TransE_l1", "transe_l2": "TransE_l2", "distmult": "DistMult", "rotate": "RotatE"}
SAMPLER_WORKERS = 8  # as dglke_train fixes it


def parse(options):
    """Return DGL-KE's own arguments, and those that its main function adds."""
    sizes = {"hidden_dim": options.dim, "batch_size": options.batch, "neg_sample_size": options.negatives}
    words = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    words += ["--model_name", NAMES[options.scorer], "--num_proc", str(options.threads), "-adv", "-rc", "0"]
    args = ArgParser().parse_args(words + ["-de"] * (options.scorer == "rotate"))
    args.soft_rel_part = args.strict_rel_part = False
    return args


def samplers(args, dataset):
    """Return the endless iterator of each process over (positive graph, negative graph)."""
    data = TrainDataset(dataset, args, ranks=args.num_proc)
    size = args.neg_sample_size

    def sampler(mode, rank):
        return data.create_sampler(
            args.batch_size, size, size, mode=mode, num_workers=SAMPLER_WORKERS, shuffle=True, rank=rank
        )

    return [
        NewBidirectionalOneShotIterator(
            sampler("head", rank), sampler("tail", rank), size, size, True, dataset.n_entities
        )
        for rank in range(args.num_proc)
    ]


@thread_wrapped_func
def train(model, sampler, seconds, barrier, results):
    """Train in one process; wait until the parent has read the memory."""
    set_num_threads(1)

    def step():
        loss, _ = model.forward(*next(sampler))
        loss.backward()
        model.update()

    clock = Clock(seconds)
    clock.run(step)
    results.put((clock.steps, clock.passed))
    barrier.wait()


def main():
    """Start the processes, add their speeds, print the line."""
    options = read_options(__doc__)
    args = parse(options)
    files = ["entities.tsv", "relations.tsv", "train.tsv"]
    dataset = get_dataset(str(options.data), "made", "udd_hrt", "\t", files)
    iterators = samplers(args, dataset)
    model = load_model(args, dataset.n_entities, dataset.n_relations)
    model.share_memory()
    del dataset
    barrier, results = mp.Barrier(args.num_proc + 1), mp.Queue()
    processes = [
        mp.Process(target=train, args=(model, iterator, options.seconds, barrier, results)) for iterator in iterators
    ]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    peak = peak_memory()
    barrier.wait()
    for process in processes:
        process.join()
    report(
        "DGL-KE",
        triples_per_second=sum(steps * options.batch / passed for steps, passed in found),
        steps=sum(steps for steps, _ in found),
        peak_memory_bytes=peak,
        settings=f"{args.num_proc} processes of 1 thread, chunked negatives, self-adversarial, Adagrad",
    )


if __name__ == "__main__":
    main()
