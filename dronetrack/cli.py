"""The commands: `dronetrack demo`, `fuse`, `info`, `live`, `report`, `verify`, `purge`, `bench`."""

import argparse
import contextlib
import dataclasses
import gc
import importlib.resources
import importlib.util
import json
import pathlib
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from dronetrack import __version__
from dronetrack.errors import DronetrackError

if TYPE_CHECKING:
    from dronetrack.mission import Fusion, Progress

    Draw = Callable[[Fusion, pathlib.Path], Callable[[], object]]

BAD_INPUT = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Instead of the process's own.

    Returns
    -------
    int
        0 on success, 2 for bad input (with one sentence on stderr).
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except DronetrackError as fault:
        sys.stderr.write(f"dronetrack: {fault}\n")
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); that is its right.
        sys.stderr.close()
        return 0


@contextlib.contextmanager
def _seldom_collected() -> Iterator[None]:
    """Collect garbage seldom: what imports and loaded kernels leave stays to the end. A demo: 3.2 s, now 2.85."""
    before = gc.get_threshold()
    gc.set_threshold(2_000_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dronetrack", description="One continuous, honest track from drones and ground units, across a border."
    )
    parser.add_argument("--version", action="version", version=f"dronetrack {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    demo = commands.add_parser("demo", help="fuse the packaged recording of a joint exercise")
    demo.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("dronetrack-demo"), help="output folder")
    demo.set_defaults(run=_demo)
    fuse = commands.add_parser("fuse", help="fuse the logs of a mission file into one track")
    fuse.add_argument("mission", type=pathlib.Path, help="mission file (TOML)")
    fuse.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("out"), help="output folder")
    fuse.set_defaults(run=_fuse)
    info = commands.add_parser("info", help="list what a MAVLink log holds")
    info.add_argument("file", type=pathlib.Path, help="a .tlog")
    info.set_defaults(run=_info)
    live = _live_parser(commands)
    report = commands.add_parser("report", help="write the report that the host is owed")
    report.add_argument("journal", type=pathlib.Path, help="a .journal")
    report.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("report.html"), help="the page")
    report.add_argument("--language", choices=("en", "hu", "ro"), default="en", help="of the page")
    report.add_argument("--pdf", action="store_true", help="write a PDF beside the page, too")
    report.add_argument("--who", default="", help="who makes it; by default the name of the login")
    report.add_argument("--role", choices=("supervisor", "auditor"), default="supervisor", help="as what")
    report.add_argument("--purpose", default="", help="what for; by default the report owed to the host")
    report.add_argument("--as-of", default="", help="time of the report: ISO 8601, UTC; by default the last record's")
    report.set_defaults(run=_report)
    verify = commands.add_parser("verify", help="prove a journal, or name its first bad record")
    verify.add_argument("journal", type=pathlib.Path, help="a .journal")
    verify.add_argument("--digest", default="", help="a digest that was noted earlier; it must lie on the chain")
    verify.set_defaults(run=_verify)
    purge = commands.add_parser("purge", help="remove personal data from a journal; its chain stays provable")
    purge.add_argument("journal", type=pathlib.Path, help="a .journal that nobody is writing")
    purge.add_argument("--before", required=True, help="what is older goes: ISO 8601, UTC, such as 2026-05-01T00:00")
    purge.add_argument("--who", required=True, help="who purges")
    purge.add_argument("--authority", required=True, help="under which authority")
    purge.add_argument("--reason", default="", help="under which rule")
    purge.set_defaults(run=_purge)
    bench = commands.add_parser("bench", help="race the library against its peers and the limits of the machine")
    bench.add_argument("names", nargs="*", metavar="name", help="workloads (all, where none is named)")
    bench.add_argument("--peers", default="all", help="all, none, or names with commas between")
    bench.add_argument("--quick", action="store_true", help="small sizes, few rounds")
    bench.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("results"), help="output folder")
    bench.add_argument("--data", type=pathlib.Path, help="folder of logs and recordings that are not packaged")
    bench.add_argument("--seed", type=int, default=1, help="of every random number")
    bench.add_argument(
        "--guard", action="store_true", help="only say whether ratios are grossly worse than the baseline"
    )
    bench.add_argument("--renew-baseline", action="store_true", help="only measure the baseline of --guard anew")
    bench.add_argument(
        "--resume",
        action="store_true",
        help="go on from the output folder's run.json: what it has of this commit stands",
    )
    bench.set_defaults(run=_bench)
    for command in (demo, fuse, info, live, report, verify, purge, bench):
        command.add_argument("--json", action="store_true", help="print JSON for machines")
    return parser


def _live_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    live = commands.add_parser("live", help="listen to a link: who is heard, how well, and what is lost")
    live.add_argument("link", help="udpin:HOST:PORT, udpout:HOST:PORT, tcp:HOST:PORT or serial:DEVICE:BAUD")
    live.add_argument("--record", type=pathlib.Path, metavar="FILE", help="append every frame to this .tlog")
    live.add_argument("--seconds", type=float, help="for how long; by default until Ctrl-C")
    live.add_argument("--dialect", default="all", help="which messages there are; any that pymavlink ships")
    live.add_argument("--key-file", type=pathlib.Path, metavar="FILE", help="the vehicle's signing key or passphrase")
    live.add_argument("--signatures", choices=("require", "accept", "ignore"), help="by default require, with a key")
    live.add_argument("-o", "--out", type=pathlib.Path, metavar="FILE", help="write the summary (JSON) here")
    live.set_defaults(run=_live)
    return live


def _demo(options: argparse.Namespace) -> int:
    folder = importlib.resources.files("dronetrack") / "data" / "demo"
    with importlib.resources.as_file(folder) as place:
        return _run(place / "mission.toml", options.out, options.json)


def _fuse(options: argparse.Namespace) -> int:
    return _run(options.mission, options.out, options.json)


@_seldom_collected()
def _run(mission: pathlib.Path, out: pathlib.Path, as_json: bool) -> int:
    with _painter() as draw, _progress("reading the mission") as tell:
        from dronetrack.mission import fuse
        from dronetrack.warm import is_warm, warm_up

        if not is_warm("fusion"):
            tell("compiling the kernels, this once", 0.0)
            warm_up(["fusion"])
        fusion = fuse(mission, journal=out / "run.journal", progress=lambda text, part: tell(text, 0.8 * part))
        tell("writing the track and drawing the map", 0.85)
        files = fusion.write(out, also={"map.png": lambda path: draw(fusion, path)} if draw else None)
        tell("done", 1.0)
    if as_json:
        sys.stdout.write(json.dumps({"files": [str(file) for file in files], "events": fusion.events}) + "\n")
    else:
        _show(fusion, files)
    return 0


@contextlib.contextmanager
def _painter() -> "Iterator[Draw | None]":
    """Yield a `draw_map` with a process of its own, started now: it returns at once a function that waits for the end.

    None where there is no matplotlib. Should the process fail, this one draws.
    """
    if importlib.util.find_spec("matplotlib") is None:
        yield None
        return
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    command = [sys.executable, "-m", "dronetrack.picture"]
    with subprocess.Popen(command, stdin=pipe, stdout=nowhere, stderr=nowhere) as process:  # noqa: S603 - ourselves

        def draw(fusion: "Fusion", path: pathlib.Path) -> "Callable[[], object]":
            from dronetrack.plot import draw_map, picture_of

            if process.stdin is not None:
                with contextlib.suppress(OSError), process.stdin as entrance:
                    pickle.dump((picture_of(fusion), path), entrance)
            return lambda: process.wait() and draw_map(fusion, path)

        try:
            yield draw
        finally:
            process.kill()


def _show(fusion: "Fusion", files: list[pathlib.Path]) -> None:
    from rich.console import Console
    from rich.text import Text

    from dronetrack.report import summary_lines, timeline_lines

    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(fusion.mission.name, style="bold"))
    console.print(Text(f"{fusion.events[0]['time'][:10]}, times UTC", style="dim"))
    for time, words, style in timeline_lines(fusion):
        console.print(Text.assemble((f"  {time}  ", "dim"), (words, style)))
    console.print()
    for line in summary_lines(fusion):
        console.print(Text(f"  {line}", style="yellow" if line.startswith("warning") else ""))
    console.print(Text(f"  written to {files[0].parent}/: {', '.join(file.name for file in files)}"))
    if not any(file.suffix == ".png" for file in files):
        console.print(Text("  no map: pip install 'dronetrack[plot]' draws one", style="dim"))


def _info(options: argparse.Namespace) -> int:
    from dronetrack.mavlink import read_log_info

    found = read_log_info(options.file)
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(options.file.name, style="bold"))
    counts = ("frames", "bad_frames", "lost_frames", "unknown_id_frames", "skipped_bytes")
    console.print("  " + ", ".join(f"{found[name]} {name.replace('_', ' ')}" for name in counts))
    for vehicle in found["vehicles"]:
        head = f"  system {vehicle['system_id']} component {vehicle['component_id']}"
        console.print(Text.assemble((head, "bold"), f"  {vehicle['start']} to {vehicle['end']}"))
        names = (f"{name} {count}" for name, count in vehicle["messages"].items())
        console.print(Text(f"    {', '.join(names)}", style="dim"))
    return 0


def _live(options: argparse.Namespace) -> int:
    from dronetrack.live.command import live

    return live(options)


def _bench(options: argparse.Namespace) -> int:
    from dronetrack.bench.command import bench

    return bench(options)


def _verify(options: argparse.Namespace) -> int:
    from dronetrack.journal import verify_journal
    from dronetrack.journal.telling import verification_lines

    proof = verify_journal(options.journal, digest=options.digest)
    sys.stdout.write(json.dumps(dataclasses.asdict(proof)) + "\n" if options.json else verification_lines(proof))
    if not proof.ok:
        sys.stderr.write(f"dronetrack: {options.journal}: {proof.reason}\n")
    return 0 if proof.ok else BAD_INPUT


def _report(options: argparse.Namespace) -> int:
    from dronetrack.report.command import report

    files = report(options)
    told = f"written: {', '.join(str(file) for file in files)}\n"
    sys.stdout.write(json.dumps({"files": [str(file) for file in files]}) + "\n" if options.json else told)
    return 0


def _purge(options: argparse.Namespace) -> int:
    from dronetrack.journal.telling import purge_before

    facts = purge_before(options.journal, options.before, options.who, options.authority, options.reason)
    told = f"removed {facts['bytes']:,} bytes of personal data from {facts['records']} records\n"
    sys.stdout.write(json.dumps(facts) + "\n" if options.json else told)
    return 0


@contextlib.contextmanager
def _progress(first: str) -> "Iterator[Progress]":
    """Yield a function that moves a progress bar on a terminal, and does nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda _text, _part: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(first, total=1.0)
        yield lambda text, part: bar.update(task, description=text, completed=part)
