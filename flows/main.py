"""The command line: `./fettle COMMAND`.

Exit codes: 0 done; 1 a stage failed; 2 the command line was not
understood; 3 the data, params.yaml or dvc.yaml must be changed; 4 a lock, a disk or a server
stands in the way; 5 data have drifted; 130 interrupted.
"""

import argparse
import logging
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import terminal
from pipeline.errors import ExitCode, FettleError, InputError, as_fault, shown

if TYPE_CHECKING:
    from pipeline.params_file import Params
    from pipeline.project import Project

TASKS = ("classification", "multilabel", "regression")
"""As `dataset.target.Task` has them, which is not imported for every command."""
RUNNERS = ("local", "processes", "dask", "ray")
"""As `pipeline.run_params.Runner` has them, likewise."""
MOST_MINUTES = 100_000
"""Of `init --minutes`: about ten weeks."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. User mistakes come out as messages on stderr."""
    options = _parser().parse_args(arguments)
    _log_to_terminal()
    try:
        return int(options.command(options) or ExitCode.OK)
    except FettleError as error:
        return _say(error)
    except KeyboardInterrupt:
        print("fettle: interrupted. Finished stages are kept; run again to go on.", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has gone, as `| head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except Exception as error:
        fault = as_fault(error)
        if fault is None:
            raise
        return _say(fault)


def _say(error: FettleError) -> int:
    print(f"fettle: {error}", file=sys.stderr)
    return error.exit_code


def _log_to_terminal() -> None:
    """Send the pipeline's own log lines, and no library's, to stderr."""
    log = logging.getLogger("fettle")
    terminal.show(log)
    log.propagate = False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fettle",
        description="Takes a data set to a tuned, regularised, transfer-learned, distilled and "
        "honestly tested Keras model, reproducibly.",
        epilog=(__doc__ or "").split("\n\n")[1],
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: object, help: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help[:1].upper() + help[1:] + ".")
        added.set_defaults(command=function)
        return added

    _init_options(command("init", _init, "point the project at your own data"))
    data = command("data", _data, "show what the data look like")
    data.add_argument(
        "path",
        metavar="PATH",
        nargs="?",
        help="a file or folder of any kind that init takes (default: the data in params.yaml)",
    )
    command("plan", _plan, "say which stages would run, and why")
    _runner_option(command("run", _run, "run what has to run, as a Prefect flow"))
    command("status", _status, "show what is in place, what it took and where the results are")
    predict = command("predict", _predict, "write the chosen model's predictions for new rows")
    predict.add_argument(
        "path", metavar="FILE", help="new rows, in a file of any kind that init takes"
    )
    predict.add_argument(
        "--out", metavar="CSV", help="where to write them (default: standard output)"
    )
    predict.add_argument(
        "--log", metavar="CSV", help="a table to append inputs and predictions to, for drift"
    )
    predict.add_argument(
        "--champion", action="store_true", help="ask the champion, not the last run's chosen model"
    )
    _champion_options(command("champion", _champion, "the model in use, and whether a new one is"))
    drift = command("drift", _drift, "hold logged predictions against the training data")
    drift.add_argument(
        "path", metavar="LOG", help="what predict --log wrote, or any table with the same columns"
    )
    drift.add_argument("--json", metavar="FILE", help="where to write the findings as well")
    drift.add_argument(
        "--last", type=_whole(10**9), metavar="N", help="only the last N rows (default: all)"
    )
    _study_options(command("study", _study, "measure what a choice costs and gives on these data"))
    stage = command("stage", _stage, "run one stage's body; what dvc.yaml calls")
    stage.add_argument("name", metavar="NAME", help="the stage")
    _runner_option(stage)
    render = command("render", _render, "write dvc.yaml and docs/dag.svg from flows/training.py")
    render.add_argument("--check", action="store_true", help="only compare; exit 3 if they differ")
    server = command("server", _server, "the project's own Prefect server")
    server.add_argument("action", choices=["start", "stop", "status"])
    _place_options(server)
    track = command("track", _track, "hand on what trackers were not told while a run lasted")
    track.add_argument(
        "run", metavar="RUN", nargs="?", help="as its lines name it (default: all that are left)"
    )
    command("nightly", _nightly, "do once, now, what is done every night on the schedule")
    _place_options(
        command("ui", _ui, "Prefect's UI, and the flow served on its schedule, until Ctrl-C")
    )
    command("engine", _engine, "run the flow run that a Prefect worker hands on")
    return parser


def _place_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host",
        metavar="ADDRESS",
        help="that the server listens on (default: 127.0.0.1); another needs a password, see "
        "docs/nightly.md",
    )
    parser.add_argument(
        "--port", type=_whole(65_535), metavar="N", help="of the server (default: a free one)"
    )


def _runner_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runner",
        choices=RUNNERS,
        help="what runs trials, folds and seeds; the results are the same (default: run.runner)",
    )


def _init_options(init: argparse.ArgumentParser) -> None:
    def several(flag: str, help: str, metavar: str = "COLUMN") -> None:
        init.add_argument(
            flag,
            action="append",
            default=[],
            metavar=metavar,
            help=f"{help}; may be given again",
        )

    init.add_argument(
        "path",
        metavar="PATH",
        help="the data: a table (CSV, JSON lines, Parquet, Feather), a folder of Parquet parts, of "
        "files named train and test or of pictures, a list of pictures, an .npz file; or, with "
        "--query, a database's URL",
    )
    several("--target", "the column to predict (default: asks)")
    init.add_argument("--task", choices=TASKS, help="what to learn (default: guessed)")
    several("--ignore", "a column that is no feature, an id for instance")
    init.add_argument(
        "--group", metavar="COLUMN", help="rows with one value of it stay on one side: a patient"
    )
    parting = init.add_mutually_exclusive_group()
    parting.add_argument(
        "--time",
        action="append",
        default=[],
        metavar="COLUMN",
        help="the past trains, the future tests; again for finer columns; stays a feature",
    )
    parting.add_argument(
        "--part", metavar="COLUMN", help="it says train, validation or test for every row"
    )
    parting.add_argument("--test", metavar="FILE", help="the test set, where it is a file apart")
    init.add_argument("--validation", metavar="FILE", help="the same of the validation set")
    init.add_argument("--query", metavar="SQL", help="the rows to take from a database")
    init.add_argument("--weight", metavar="COLUMN", help="it says how much a row counts")
    several("--missing", "a value that means that nothing is known", "COLUMN=VALUE")
    several("--allow", "a finding that is not to stop the run", "NAME")
    init.add_argument(
        "--size",
        nargs=2,
        type=_pixels,
        metavar=("H", "W"),
        help="height and width of pictures (default: their own, 64 at most where they differ)",
    )
    init.add_argument(
        "--minutes",
        type=_minutes,
        metavar="N",
        help="how long a run may take, about: as many epochs, trials and seeds as fit into it "
        "(default: what gives a first look at such data)",
    )
    several(
        "--pretrained",
        "what to transfer from: weights of a network of keras.applications, a model of an earlier "
        "run (.keras) or another data set",
        "FILE",
    )
    init.add_argument(
        "--teacher", metavar="FILE", help="a model of your own to distil from (.keras or .h5)"
    )
    init.add_argument(
        "--unlabelled", metavar="PATH", help="examples without targets, for distillation"
    )
    init.add_argument(
        "--yes",
        action="store_true",
        help="never ask: take the likeliest target, read zeros that are none as missing, leave "
        "out columns that leak the target",
    )


def _champion_options(champion: argparse.ArgumentParser) -> None:
    doing = champion.add_mutually_exclusive_group()
    doing.add_argument(
        "--challenge",
        action="store_true",
        help="compare the last run's chosen model with the champion, and promote it or not",
    )
    doing.add_argument(
        "--appoint", action="store_true", help="make it champion without a comparison"
    )
    doing.add_argument(
        "--rollback",
        nargs="?",
        const=0,
        type=_whole(9_999),
        metavar="N",
        help="put an earlier champion back (default: the one before)",
    )
    champion.add_argument(
        "--commit",
        action="store_true",
        help="commit the decision and what made the model, and tag a new champion",
    )


def _study_options(study: argparse.ArgumentParser) -> None:
    study.add_argument(
        "what",
        choices=["batch-size", "depth"],
        help="how fast batches of each size train and what they need, learning rates for one size, "
        "and how well small and large ones learn; or deeper and deeper networks, as long as "
        "validation gains",
    )
    study.add_argument(
        "--sizes",
        nargs="+",
        type=_whole(65_536),
        metavar="N",
        help="batch sizes to time (default: 16, 32, … up to 4096 or the training examples)",
    )
    study.add_argument(
        "--retune",
        type=_whole(65_536),
        metavar="N",
        help="the batch size to try learning rates for (default: recipe.batch_size)",
    )
    study.add_argument(
        "--epochs", type=_whole(10_000), metavar="N", help="of every fit (default: recipe.epochs)"
    )
    study.add_argument(
        "--seeds",
        nargs="+",
        type=_whole(2**31 - 1),
        default=[1, 2],
        metavar="N",
        help="of every fit, at least two (default: 1 2)",
    )


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= MOST_MINUTES:
        raise argparse.ArgumentTypeError(
            f"{text[:80]!r} is no number of minutes above 0, and {MOST_MINUTES:,} at the most"
        )
    return value


def _whole(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:20]) <= most:
            raise argparse.ArgumentTypeError(f"{text[:80]!r} is no whole number from 1 to {most}")
        return int(text)

    return read


def _pixels(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 4096:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of pixels (1 to 4096)")
    return int(text)


def _where_user_stands(path: str) -> Path:
    return Path(os.environ.get("FETTLE_CWD", os.getcwd())) / path


def _params(project: "Project") -> "Params":
    """params.yaml, with what its sections have to say to each other; raises InputError."""
    from pipeline.params_file import load_some, read_raw

    if "champion" in read_raw():
        # No stage depends on it, so no stage would say what is wrong with it.
        from models.judging.promotion import ChampionParams

        load_some({"champion": ChampionParams})
    params = project.params()
    if "objective" in params:
        # Else it would be said after the first stages have trained.
        from dataset.ingest_settings import IngestParams
        from metrics.objective import Objective

        objective, ingest = params["objective"], params["ingest"]
        if isinstance(objective, Objective) and isinstance(ingest, IngestParams):
            objective.require_task(ingest.task)
    return params


def _plan(options: argparse.Namespace) -> None:
    from pipeline.memory import Memory
    from pipeline.plan import lines, plan
    from pipeline.project import open_project

    project = open_project()
    params = _params(project)
    project.require_rendered()
    for line in lines(plan(project.nodes, params, Memory(project.root))):
        print(line)


def _run(options: argparse.Namespace) -> int:
    from pipeline.project import open_project

    # What is wrong with the project is said before a server is started for it.
    project = open_project()
    _params(project)
    project.require_rendered()
    from flows.run import run

    return run(project, options.runner)


def _status(options: argparse.Namespace) -> None:
    from flows.status import show

    show()


def _stage(options: argparse.Namespace) -> None:
    from flows.turns import at_work
    from pipeline.dvc_door import run_stage
    from pipeline.project import open_project
    from tracking.keeping import kept

    project = open_project()
    project.require_rendered()
    params = project.params()
    with at_work(project.root), kept(project.root, params, "stage") as keeper:
        keeper.follow()
        run_stage(project.nodes, options.name, params, project.code, project.root, options.runner)


def _render(options: argparse.Namespace) -> None:
    from flows.render import check, write
    from pipeline.project import open_project

    project = open_project()
    if options.check:
        check(project)
    else:
        write(project)


def _init(options: argparse.Namespace) -> None:
    from flows.init import init
    from flows.wishes import Wishes

    missing = [text.rpartition("=") for text in options.missing]
    for text, (column, _, _) in zip(options.missing, missing, strict=True):
        if not column:
            raise InputError(f"--missing {text!r}: give COLUMN=VALUE, such as glucose=0.")
    wishes = Wishes(
        path=options.path,
        target=tuple(options.target),
        task=options.task,
        ignore=tuple(options.ignore),
        group=options.group,
        time=tuple(options.time),
        part=options.part,
        test=options.test,
        validation=options.validation,
        query=options.query,
        weight=options.weight,
        missing=tuple((column, value) for column, _, value in missing),
        allow=tuple(options.allow),
        size=None if options.size is None else tuple(options.size),
        minutes=options.minutes,
        pretrained=tuple(options.pretrained),
        teacher=options.teacher,
        unlabelled=options.unlabelled,
        yes=options.yes,
    )
    init(wishes, _where_user_stands(""))


def _data(options: argparse.Namespace) -> None:
    from flows.data import show

    show(None if options.path is None else _where_user_stands(options.path))


def _predict(options: argparse.Namespace) -> None:
    from flows.predict import predict

    out = _where_user_stands(options.out) if options.out else None
    log = _where_user_stands(options.log) if options.log else None
    predict(_where_user_stands(options.path), out, log=log, champion=options.champion)


def _champion(options: argparse.Namespace) -> None:
    from flows import champion

    root = Path.cwd()
    if options.challenge:
        decision = champion.challenge(root)
    elif options.appoint:
        decision = champion.appoint(root)
    elif options.rollback is not None:
        decision = champion.roll_back(root, options.rollback or None)
    elif options.commit:
        raise InputError("--commit is for a decision: --challenge, --appoint or --rollback.")
    else:
        champion.show(root)
        return
    print(shown(decision.line()))
    for note in decision.notes:
        print(shown(note))
    for line in champion.commit_decision(root, decision) if options.commit else ():
        print(shown(line))


def _drift(options: argparse.Namespace) -> int:
    from flows.drift import drift

    out = _where_user_stands(options.json) if options.json else None
    return drift(_where_user_stands(options.path), out, options.last)


def _study(options: argparse.Namespace) -> None:
    from flows.study import SEEDS, Wish, study_batch_size
    from flows.study_depth import study_depth

    seeds = tuple(dict.fromkeys(options.seeds))
    if len(seeds) < SEEDS:
        raise InputError(
            f"--seeds: {' '.join(map(str, options.seeds))} was given; a spread needs at least "
            f"{SEEDS} different ones."
        )
    if options.what == "depth":
        for flag, value in (("--sizes", options.sizes), ("--retune", options.retune)):
            if value is not None:
                raise InputError(f"{flag} is of batch sizes, and study depth has none.")
        study_depth(options.epochs, seeds)
        return
    sizes = None if options.sizes is None else tuple(options.sizes)
    study_batch_size(Wish(sizes, options.retune, options.epochs, seeds))


def _track(options: argparse.Namespace) -> None:
    from flows.track import track

    track(options.run, Path.cwd())


def _server(options: argparse.Namespace) -> int:
    from pipeline import server

    root = Path.cwd()
    if options.action == "start":
        print(f"Prefect server: {server.start(root, *_place(options)).ui_url}")
    elif options.action == "stop":
        print("Stopped." if server.stop(root) else "It was not running.")
    else:
        running = server.find(root)
        if running is None:
            print("The project's Prefect server is not running.")
            return ExitCode.FAILED
        word = "answers" if server.answers(running.api_url) else "does not answer"
        print(f"The project's Prefect server {word} at {running.ui_url} (pid {running.pid}).")
    return ExitCode.OK


def _place(options: argparse.Namespace) -> tuple[str | None, int | None]:
    from pipeline.server_access import read_host

    return None if options.host is None else read_host(options.host), options.port


def _ui(options: argparse.Namespace) -> None:
    from flows.serve import serve

    serve(*_place(options))


def _nightly(options: argparse.Namespace) -> int:
    from flows.run import nightly
    from pipeline.project import open_project

    project = open_project()
    _params(project)
    project.require_rendered()
    return nightly(project)


def _engine(options: argparse.Namespace) -> None:
    # Through the launcher, a worker's runs get the same arithmetic as everyone else's.
    from pipeline.server import QUIET

    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    sys.argv = [sys.argv[0]]
    runpy.run_module("prefect.engine", run_name="__main__")


if __name__ == "__main__":
    sys.exit(main())
