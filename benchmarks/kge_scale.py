"""Whether a training step of embeddings costs the same whatever the number of entities.

    python benchmarks/kge_scale.py --entities 100000 1000000 10000000 --dim 64

Random triples; rounds alternate between the sizes, and medians are printed, with the memory of the tables.
"""

import argparse
import statistics
import time

from kedrec.runtime.environment import prepare_environment


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entities", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--negatives", type=int, default=256)
    parser.add_argument("--scorer", default="transe_l1")
    parser.add_argument("--optimizer", choices=["adagrad", "lazy_adam", "adam"], default="adagrad")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100, help="a round and size")
    options = parser.parse_args()
    prepare_environment()
    runs = {count: Run(count, options) for count in options.entities}
    seconds: dict[int, list[float]] = {count: [] for count in runs}
    for round_ in range(options.rounds + 1):
        for count, run in runs.items():
            passed = run.train(options.steps) / options.steps
            if round_:  # the first warms up
                seconds[count].append(passed)
    print("| entities | ms a step | bytes of tables and state a million entities |\n|---|---|---|")
    for count, run in runs.items():
        middle = statistics.median(seconds[count]) * 1e3
        print(f"| {count:,} | {middle:.2f} | {run.bytes() / count * 1e6:,.0f} |")


class Run:
    """A model with as many entities as wanted, trained without a trainer: what is timed is the step."""

    def __init__(self, entities: int, options: argparse.Namespace) -> None:
        import numpy as np
        import torch

        from kedrec.lladr.kge import KGE
        from kedrec.lladr.kge_settings import OptimizerSettings
        from kedrec.lladr.negative_sampling import TripleBatches
        from kedrec.lladr.triple_settings import NegativeSettings

        draw = np.random.default_rng(0)
        triples = draw.integers(0, [entities, 100, entities], (1_000_000, 3), dtype=np.int32)
        sizes = (NegativeSettings(options.negatives, chunks=8), options.batch)
        loader = TripleBatches(
            torch.from_numpy(triples), torch.ones(len(triples)), None, entities, *sizes, None, seed=0
        )
        self.batches = (batch for _ in iter(int, 1) for batch in loader)
        self.model = KGE(options.scorer, dim=options.dim, optimizer=OptimizerSettings(options.optimizer))
        self.model.make_tables(entities, 100)
        self.optimizer = self.model.make_optimizer()

    def train(self, steps: int) -> float:
        """Return the seconds of some steps."""
        start = time.perf_counter()
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.model.losses(next(self.batches))["link"].backward()
            self.optimizer.step()
        return time.perf_counter() - start

    def bytes(self) -> int:
        """Return what tables and the optimiser's state take."""
        import torch

        state = [value for table in self.optimizer.state.values() for value in table.values()]
        tensors = [*self.model.parameters(), *(value for value in state if isinstance(value, torch.Tensor))]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


if __name__ == "__main__":
    main()
