"""Recommend drugs for a disease: ``python -m kedrec.recommend RUN [DISEASE] [options] [graph=PATH]``.

RUN is the folder of a finished run of a KGE or GNN, which ranks the drugs. DISEASE is a name, a synonym, or an id
(``"Alzheimer's disease"``, ``MESH:D000544``, ``DOID:10652``). Without it the disease is ``case.disease`` of the run's
experiment.

    --diseases[=WORD] list the diseases that drugs can be ranked for, or those with this word in a name or id
    --student=RUN     folder of a finished student, which explains; default: the bundled model without training
    --texts=PATH      passages that the student reads, instead of those of its run
    --top=N           number of drugs, or of diseases, to list; default 10
    --explain=N       number of listed drugs to explain, known treatments skipped; default 3; 0 only ranks
    --known=drop      leave known treatments out; by default they are marked
    --metapath=TYPES  only paths through entities of these types: Compound-Gene-Disease
    --json[=FILE]     write the answer as JSON, into a file or instead of the table
    --html=FILE       write the answer as a self-contained page
    graph=PATH        where the run's graph lies now

Research use, not medical advice.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kedrec.errors import KedrecError
from kedrec.runtime.command_line import Arguments, run_command
from kedrec.runtime.printable import printable
from kedrec.runtime.progress import shown_as_bars
from kedrec.storage.artifact_store import Store
from kedrec.storage.atomic_files import check_named, write_named
from kedrec.training.loaded_run import FinishedRun, open_run

if TYPE_CHECKING:
    from kedrec.commands.recommend.recommendation import Answer

_STARTED = time.monotonic()
_PRINTED = "-"  # value of --json without a file
_ALL = "*"  # value of --diseases without a word


@dataclass(frozen=True)
class Options:
    """The checked command line.

    Attributes:
        run: folder.
        disease: as written; ``None`` for ``case.disease`` of the run's experiment.
        diseases: text that the names of the listed diseases contain, empty for all; ``None`` ranks drugs instead.
        graph: where the run's graph lies now.
        student: folder.
        texts: file or folder.
        top: number of drugs, or of diseases, to list.
        explain: number of drugs to explain.
        drop_known: leave known treatments out.
        metapath: entity types of the paths to show.
        json: file; ``-`` prints.
        html: file.
    """

    run: str
    disease: str | None
    diseases: str | None
    graph: str | None
    student: str | None
    texts: str | None
    top: int
    explain: int
    drop_known: bool
    metapath: str | None
    json: str | None
    html: str | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return run_command(__doc__, arguments, lambda given: _recommend(read_options(given)))


def read_options(arguments: Sequence[str]) -> Options:
    """Return the options of a command line.

    Raises:
        KedrecError: an option is unknown, or its value is not valid.
    """
    parser = Arguments("python -m kedrec.recommend")
    parser.add_argument("run")
    parser.add_argument("words", nargs="*")
    for name in ("student", "texts", "metapath", "json", "html"):
        parser.add_argument(f"--{name}", type=_something)
    parser.add_argument("--diseases", type=_something)
    parser.add_argument("--top", type=int, default=10)
    parser.add_argument("--explain", type=int, default=3)
    parser.add_argument("--known", choices=("mark", "drop"), default="mark")
    # Without "=" the next argument would be taken for the option's value.
    bare = {"--json": f"--json={_PRINTED}", "--diseases": f"--diseases={_ALL}"}
    given = parser.parse_intermixed_args([bare.get(one, one) for one in arguments])
    graphs = [_something(word.removeprefix("graph=")) for word in given.words if word.startswith("graph=")]
    diseases = [word for word in given.words if not word.startswith("graph=")]
    if len(diseases) > 1 or len(graphs) > 1:
        extra = (diseases if len(diseases) > 1 else graphs)[1]
        raise KedrecError(f"command line: {extra!r}: expected one disease, in quotes, and one graph=PATH")
    if given.diseases and diseases:
        raise KedrecError(
            f"command line: {diseases[0]!r} and --diseases were given together; --diseases only lists the diseases; "
            "leave out one of them"
        )
    if given.top < 1 or given.explain < 0:
        raise KedrecError("command line: expected --top=N with N of 1 or more, --explain=N with N of 0 or more")
    return Options(
        run=given.run,
        disease=diseases[0] if diseases else None,
        diseases="" if given.diseases == _ALL else given.diseases,
        graph=graphs[0] if graphs else None,
        student=given.student,
        texts=given.texts,
        top=given.top,
        explain=min(given.explain, given.top),
        drop_known=given.known == "drop",
        metapath=given.metapath,
        json=given.json,
        html=given.html,
    )


def _something(value: str) -> str:
    """Return an option's value; refuse an empty one, which comes from an unset variable of the shell."""
    if not value:
        raise KedrecError("command line: an option without a value; expected --NAME=VALUE or graph=PATH")
    return value


def _recommend(options: Options) -> int:
    run = open_run(options.run)
    disease = _disease(options, run)
    _check_run(run, options.graph)
    if disease is None:
        return _list_diseases(options, run)
    student = open_run(options.student) if options.student else None
    if student is not None and not _holds_student(student):
        raise KedrecError(
            f"command line: --student: {student.path}: neither adapter/ nor model/ is there; expected a student's run"
        )
    for file in (options.json, options.html):
        if file is not None:
            check_named(Path(file))  # before the student generates
    if options.texts and not Path(options.texts).exists():
        raise KedrecError(f"command line: --texts: {options.texts}: no such file or folder")
    with shown_as_bars():
        answer, seconds = _answered(options, run, student, disease)
    _write(answer, options)
    if options.json != _PRINTED:
        from kedrec.commands.recommend.recommendation_table import show

        show(answer)
        if options.explain and answer.student is None:
            print("No listed drug is new and has a name: nothing was explained; --known=drop lists new drugs.")
        print(f"ranked after {seconds:.1f} s, answered after {time.monotonic() - _STARTED:.1f} s")
    return 0


def _list_diseases(options: Options, run: FinishedRun) -> int:
    """Print the diseases that drugs can be ranked for.

    Raises:
        KedrecError: a disease was expected, and none is named; the message lists the first ones.
    """
    from kedrec.commands.recommend.disease_list import HOW_TO_LIST, disease_lines
    from kedrec.commands.recommend.recommender import Recommender

    word = options.diseases or ""
    lines = disease_lines(Recommender(run, options.graph, Store()).diseases(word), options.top, word)
    if options.diseases is None:
        need = f"{run.path}: its experiment names no case.disease; name a disease, in quotes, after the run"
        raise KedrecError("\n".join([need, *lines, HOW_TO_LIST]))
    print(printable("\n".join(lines)))
    return 0


def _answered(options: Options, run: FinishedRun, student: FinishedRun | None, disease: str) -> tuple["Answer", float]:
    """Return the answer, and the seconds from the start to the ranking."""
    from kedrec.commands.recommend.recommender import Recommender, Wanted

    store = Store()
    recommender = Recommender(run, options.graph, store)
    if options.metapath:
        recommender.check_metapath(options.metapath)
    ranked = recommender.rank(disease)
    wanted = Wanted(options.top, options.explain, options.drop_known, options.metapath)
    seconds = time.monotonic() - _STARTED
    if not recommender.to_explain(ranked, wanted):
        return recommender.answer(ranked, wanted), seconds
    from kedrec.runtime.environment import prepare_environment

    prepare_environment()  # imports lightning, which ranking does without
    from kedrec.commands.recommend.explainer import open_explainer
    from kedrec.commands.recommend.investigator import Investigator

    explainer = open_explainer(student, recommender.graph_path, options.texts, store)
    return recommender.answer(ranked, wanted, Investigator(explainer, recommender.therapeutic)), seconds


def _disease(options: Options, run: FinishedRun) -> str | None:
    """Return the disease of the command line or of the run's case; ``None`` to list diseases.

    Raises:
        KedrecError: the case of the run's experiment is malformed.
    """
    case = run.experiment.tree.get("case") or {}
    published = (case.get("published") or {}) if isinstance(case, dict) else None
    if not isinstance(published, dict) or not all(isinstance(one, str) for pair in published.items() for one in pair):
        raise KedrecError(
            f"{run.path / 'config.yaml'}: case: expected a disease, and under `published` drug names with DrugBank ids"
        )
    if options.disease is not None:
        return options.disease
    if options.diseases is not None or not case.get("disease"):
        return None
    return str(case["disease"])


def _check_run(run: FinishedRun, graph: str | None) -> None:
    place = run.path / "embeddings"
    if place.is_dir():
        if not (place / "held_out.tsv").is_file():  # without it held-out treatments would count as training ones
            raise KedrecError(f"{place / 'held_out.tsv'}: no such file; restore it from a copy, or train the run again")
        graph = graph or run.experiment.tree["data"]["init_args"].get("graph")
        if graph is not None and not Path(graph).exists():
            raise KedrecError(f"{graph}: no such file or folder; name the graph's present place with graph=PATH")
        return
    if _holds_student(run):
        raise KedrecError(
            f"{run.path}: this is a student's run, which does not rank drugs; name a run of a KGE or GNN, and this "
            f"one with --student={run.path}"
        )
    raise KedrecError(f"{run.path / 'embeddings'}: no such folder; expected a finished run of a KGE or GNN")


def _holds_student(run: FinishedRun) -> bool:
    return any((run.path / name).is_dir() for name in ("adapter", "model"))


def _write(answer: "Answer", options: Options) -> None:
    text = printable(json.dumps(answer.json(), indent=1, ensure_ascii=False)) + "\n"
    if options.json == _PRINTED:
        print(text, end="")
    elif options.json:
        write_named(Path(options.json), text)
    if options.html:
        from kedrec.commands.recommend.recommendation_page import page

        write_named(Path(options.html), page(answer))


if __name__ == "__main__":
    sys.exit(main())
