"""Time the training of knowledge graph embeddings: kedrec and other trainers on one made-up graph of DRKG's size.

    python benchmarks/kge.py --environments peers.yaml --out rows.jsonl [--rounds 3] [--seconds 20] [--only SETTING]

The trainers take turns, round by round, each run in a process and an environment of its own, through its adapter in
`benchmarks/peers/`; every run trains untimed first. A trainer that fails or lacks a setting is not asked again for it.
A broken-off run goes on with ``--resume``. ``dim`` counts complex numbers for RotatE (an entity is 2 * dim floats).
``--quality`` takes rows of `benchmarks/kge_quality.py`: the filtered MRR that a scorer, an optimizer, its negatives and
chunks reach on a real graph, at that benchmark's dim and steps, stands beside their speed.

``peers.yaml`` lists the trainers; ``adapter`` is NAME of ``peers/run_NAME.py``; ``source``, ``env`` and ``options``, a
list of further words for the adapter, may be left out, and an adapter may stand there twice. DGL-KE, PyKEEN and LLaDR's
authors' code do, with ``MALLOC_MMAP_MAX_: 0`` and ``MALLOC_TRIM_THRESHOLD_: 20000000000``: without, glibc hands large
tensors back to the system at every step.

    - {name: kedrec, adapter: kedrec, python: .venv/bin/python}
    - {name: PyKEEN, adapter: pykeen, python: peers/pykeen/bin/python}
    - {name: "LLaDR's authors", adapter: lladr, python: peers/authors/bin/python, source: LLaDR/train}

Each environment is a venv; what is installed in it by pip (for DGL-KE Python 3.9, for the others 3.11):

    dglke     torch==1.12.1 dgl==0.9.1 dglke==0.1.2 "numpy<2" ogb
    pykeen    torch==2.13.0 pykeen==1.11.1
    rotate    torch==2.13.0 numpy==1.26.4 scikit-learn tqdm    source: DeepGraphLearning/KnowledgeGraphEmbedding, codes
    lladr     the same                                         source: xiaomingaaa/LLaDR, train
    torchkge  torch==2.13.0 torchkge==0.17.7
    pyg       torch==2.13.0 torch_geometric==2.8.1
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

HERE = Path(__file__).resolve().parent
THREADS = 2
LIMIT_S = 1800  # of one run; the RotatE code alone needs minutes to index the graph
SETTINGS = {
    f"{scorer}-{dim}": {"scorer": scorer, "dim": dim, "batch": batch, "negatives": negatives}
    for scorer, dim, batch, negatives in (
        ("transe_l1", 1024, 512, 128),
        ("distmult", 1024, 512, 128),
        ("rotate", 1024, 512, 128),
        ("transe_l1", 400, 2048, 256),
        ("transe_l2", 400, 2048, 256),
    )
}
Row = dict[str, Any]


def run_adapter(peer: Row, setting: str, data: Path, seconds: float) -> Row:
    """Run one adapter in a process of its own; return what it printed, or its error's last line."""
    command = [peer["python"], str(HERE / "peers" / f"run_{peer['adapter']}.py"), "--data", str(data)]
    asked = {**SETTINGS[setting], "seconds": seconds, "threads": THREADS, "source": peer.get("source")}
    for name, value in asked.items():
        command += [f"--{name}", str(value)] if value is not None else []
    command += [str(option) for option in peer.get("options", [])]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(THREADS))
    quiet = {"GOMP_SPINCOUNT": "30000", "CUDA_VISIBLE_DEVICES": ""}  # barriers that spin briefly, then sleep
    own = {name: str(value) for name, value in peer.get("env", {}).items()}
    environment = {**os.environ, **threads, **quiet, **own}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {LIMIT_S} s"}
    except FileNotFoundError as error:
        return {"error": str(error)}
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"peer"')]
    if done.returncode == 0 and lines:
        return json.loads(lines[-1])
    if done.returncode < 0:
        return {"error": f"ended by signal {-done.returncode}"}
    said = done.stderr.strip() or done.stdout.strip() or "nothing printed"
    return {"error": said.splitlines()[-1]}


def read_rows(path: Path) -> list[Row]:
    """Read JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def take_turns(peers: list[Row], options: argparse.Namespace, data: Path) -> list[Row]:
    """Run all settings, rounds and trainers that the file of rows does not hold yet; return all rows."""
    rows = read_rows(options.out) if options.out.is_file() else []
    held = {(row["setting"], row["round"], row["name"]) for row in rows}
    without = {(row["setting"], row["name"]) for row in rows if "triples_per_second" not in row}
    for setting in options.only or SETTINGS:
        for turn in range(1, options.rounds + 1):
            for peer in peers:
                if (setting, turn, peer["name"]) in held or (setting, peer["name"]) in without:
                    continue
                row = {"setting": setting, "round": turn, "name": peer["name"]}
                row |= run_adapter(peer, setting, data, options.seconds)
                if "triples_per_second" not in row:
                    without.add((setting, peer["name"]))
                rows.append(row)
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), file=sys.stderr, flush=True)
    return rows


def quality_cell(scorer: str, run: Row, quality: list[Row]) -> str:
    """Return the MRR of a run's way of training, mean ± standard deviation over seeds; nothing where not measured."""
    asked = {"scorer": scorer, **run.get("trains_by", {"optimizer": None})}
    for row in quality:
        if all(row[name] == value for name, value in asked.items()):
            spread = f" ± {statistics.stdev(row['mrr']):.4f}" if len(row["mrr"]) > 1 else ""
            return f"{statistics.mean(row['mrr']):.4f}{spread}"
    return ""


def table_lines(setting: str, rows: list[Row], quality: list[Row]) -> list[str]:
    """Return the lines of one setting's table, fastest first; those without a speed last."""
    taken: dict[str, list[Row]] = {row["name"]: [] for row in rows}
    for row in rows:
        taken[row["name"]].append(row)
    speeds = {
        name: [row["triples_per_second"] for row in runs if "triples_per_second" in row] for name, runs in taken.items()
    }
    middles = {name: statistics.median(speed) for name, speed in speeds.items() if speed}
    ours = middles.get("kedrec")
    asked = ", ".join(f"{name} {value}" for name, value in SETTINGS[setting].items())
    lines = [f"\n### {asked}\n", "| trainer | triples/s | min to max | peak GiB | kedrec/this | MRR | settings |"]
    lines.append("|---|---:|---:|---:|---:|---:|---|")
    for name in sorted(taken, key=lambda name: -middles.get(name, 0.0)):
        last = taken[name][-1]
        if name not in middles:
            why = last.get("error") or last["unsupported"]
            lines.append(f"| {name} | | | | | | {why.replace('|', '/')} |")
            continue
        ratio = f"{ours / middles[name]:.2f}" if ours else ""
        peak = max(row["peak_memory_bytes"] for row in taken[name] if "peak_memory_bytes" in row) / 2**30
        spread = f"{min(speeds[name]):,.0f} to {max(speeds[name]):,.0f}"
        cells = [name, f"{middles[name]:,.0f}", spread, f"{peak:.1f}", ratio]
        cells += [quality_cell(SETTINGS[setting]["scorer"], last, quality), last.get("settings", "")]
        lines.append(f"| {' | '.join(cells)} |")
    peers = {name: middle for name, middle in middles.items() if not name.startswith("kedrec")}
    if ours and peers:
        best = max(peers, key=lambda name: peers[name])
        lines.append(f"\nkedrec / fastest other ({best}): {ours / peers[best]:.2f}")
    return lines


def main() -> None:
    """Write the graph, take turns, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, required=True, help="peers.yaml")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, one a run, written as the runs end")
    parser.add_argument("--resume", action="store_true", help="keep the rows of --out and do what is missing")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="timed seconds a run")
    parser.add_argument("--only", action="append", choices=SETTINGS, help="may be given several times")
    parser.add_argument("--quality", type=Path, help="rows of kge_quality.py --out: MRR beside speed")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "kedrec-kge-workload")
    options = parser.parse_args()
    if options.out.exists() and not options.resume:
        parser.error(f"{options.out} exists: go on with it by --resume, or name another file")
    peers: Any = OmegaConf.to_container(OmegaConf.load(options.environments))
    # In a process of its own: a child's peak memory is never counted below its parent's.
    made = [sys.executable, str(HERE / "kge_workload.py"), str(options.data)]
    print(subprocess.run(made, check=True, capture_output=True, text=True).stdout)
    rows = take_turns(peers, options, options.data)
    print(
        f"{os.cpu_count()} cores, {THREADS} threads, {options.seconds:.0f} s a run, median of {options.rounds} rounds"
    )
    quality = read_rows(options.quality) if options.quality else []
    for setting in options.only or SETTINGS:
        print("\n".join(table_lines(setting, [row for row in rows if row["setting"] == setting], quality)))


if __name__ == "__main__":
    main()
