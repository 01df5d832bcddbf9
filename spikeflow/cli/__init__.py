"""The command line; each command imports what it needs when it is called, so that `--help` is there at once."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="spikeflow",
    help="Run spiking networks on live sensor streams.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Graph = Annotated[Path, typer.Argument(metavar="GRAPH", help="The graph file.", show_default=False)]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Put a value over the file's: params.tau=5ms, nodes.hidden.size=64."
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]

PAGE = "127.0.0.1:8420"
_ADDRESS = re.compile(r"none|([^/\s]*:)?[0-9]{1,5}")

Patience = Annotated[str, typer.Option(metavar="TIME", help="How long brokers and devices may take to connect.")]


@app.command()
def run(
    graph: Graph,
    set_: Set = None,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="Drain and end after this time, such as 30s.")
    ] = None,
    speed: Annotated[
        str | None,
        typer.Option(metavar="max|NUMBER", help="Event time to clock time, for graphs whose sources all end."),
    ] = None,
    connect_timeout: Patience = "10s",
    fail_behind: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Fail when a live run is so far behind the clock; else it catches up."),
    ] = None,
    view: Annotated[
        str | None, typer.Option(metavar="NODE|none", help="The node whose spikes the terminal shows.")
    ] = None,
    monitor: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDR]|none",
            help=f"Serve a page that shows the run, at host:port or a port; {PAGE} where nothing is said.",
        ),
    ] = None,
    log: Annotated[str, typer.Option(metavar="text|json", help="The form of what goes to standard error.")] = "text",
    json: Annotated[bool, typer.Option("--json", help="Write a JSON line a second, on a terminal too.")] = False,
    debug: Debug = False,
) -> None:
    """Run a graph until its sources end or a signal drains it.

    On a terminal it is shown as it runs; otherwise a JSON line a second goes to standard output, and a last one with
    the report.

    Exit codes: 0 ended or drained, 1 a node failed, 2 bad command line or graph (nothing was started), 3 could not
    connect in time, 4 events were abandoned or a node did not end, 130 or 143 stopped at once by a second signal.
    """
    from spikeflow.cli.running import Wish, run_graph

    wish = Wish(graph, tuple(set_ or ()), for_, speed, connect_timeout, fail_behind, view, monitor, log, json, debug)
    raise typer.Exit(run_graph(wish))


@app.command()
def check(
    graphs: Annotated[list[Path], typer.Argument(metavar="GRAPH…", help="The graph files.", show_default=False)],
    set_: Set = None,
    connect: Annotated[
        bool, typer.Option("--connect", help="Try the connections of all nodes, too; nothing is sent or written.")
    ] = False,
    connect_timeout: Patience = "10s",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what is wrong with graph files; start nothing.

    Exit codes: 0 nothing is wrong, 2 a file has an error, 3 with --connect, something could not be opened in time.
    """
    from spikeflow.cli.looking import check_graphs

    raise typer.Exit(check_graphs(graphs, set_ or (), connect, connect_timeout, json, debug))


@app.command()
def graph(graph: Graph, set_: Set = None, debug: Debug = False) -> None:
    """Print a graph as a Mermaid flowchart."""
    from spikeflow.cli.looking import print_graph

    raise typer.Exit(print_graph(graph, set_ or (), debug))


@app.command()
def nodes(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="Show the keys of this kind.")] = None,
    json: Json = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of graph files.")] = False,
    debug: Debug = False,
) -> None:
    """List the kinds of nodes there are, or the keys of one."""
    from spikeflow.cli.kinds import print_kinds, print_schema

    raise typer.Exit(print_schema() if schema else print_kinds(kind, json, debug))


@app.command()
def ps(json: Json = False) -> None:
    """List the graphs that you run on this machine."""
    from spikeflow.cli.watching import print_runs

    raise typer.Exit(print_runs(json))


@app.command()
def top(
    run: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="Which run, as ps calls it, or its graph; needed where several are on."),
    ] = None,
    view: Annotated[str | None, typer.Option(metavar="NODE", help="The node whose spikes are shown first.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Say the figures of one second, and end.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With --once: as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Show a running graph on this terminal: its nodes, and a raster of one node's spikes.

    Keys: q leaves, space pauses, n and p choose whose spikes are shown, ← and → go back and on. The run does not
    notice.
    """
    from spikeflow.cli.watching import show_top

    raise typer.Exit(show_top(run, view, once, json, debug))


@app.command()
def tap(
    outlet: Annotated[str, typer.Argument(metavar="NODE[.PORT]", help="Whose events.", show_default=False)],
    run: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="Which run, as ps calls it, or its graph; needed where several are on."),
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, metavar="N", help="End after so many events.")] = None,
    neurons: Annotated[
        str | None, typer.Option(metavar="0:16|1,5,7", help="Only these neurons or channels; all unless said.")
    ] = None,
    arrow: Annotated[bool, typer.Option("--arrow", help="Write an Arrow IPC stream, for a file or a program.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write JSON lines; so it is unless --arrow is given.")] = False,
    debug: Debug = False,
) -> None:
    """Write the events of any edge of a running graph to standard output, as JSON lines or as an Arrow IPC stream.

    The run does not wait for it: what is not read in time is lost here, and counted.
    """
    from spikeflow.cli.watching import tap_outlet

    if arrow and json:
        raise typer.BadParameter("give one of --arrow and --json")
    raise typer.Exit(tap_outlet(outlet, run, count, neurons, arrow, debug))


@app.command()
def plot(
    what: Annotated[str, typer.Argument(metavar="raster|rates|traces|graph", help="What to draw.", show_default=False)],
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILES", help="Files of events, folders of them, or the graph.", show_default=False),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", help="The picture: .png, .svg or .pdf.", show_default=False),
    ],
    neurons: Annotated[str | None, typer.Option(metavar="0:16|1,5,7", help="Only these neurons or channels.")] = None,
    over: Annotated[str | None, typer.Option(metavar="TIME", help="rates: how long a bin is, such as 50ms.")] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="TIME", help="From when on, such as 2s.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Until when.")] = None,
    set_: Set = None,
    debug: Debug = False,
) -> None:
    """Draw spikes, rates or samples from the files that `sink: file` has written, or a graph.

    Times count from the start of the run. Python has the same as `spikeflow.plot`.
    """
    from spikeflow.cli.plotting import Picture, plot_files

    wish = Picture(what, tuple(files), output, neurons, over, from_, until, tuple(set_ or ()))
    raise typer.Exit(plot_files(wish, debug))


@app.command()
def doctor(json: Json = False) -> None:
    """Say what this machine offers, and what is missing."""
    from spikeflow.cli.doctor import print_findings

    raise typer.Exit(print_findings(json))


@app.command()
def broker(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 1883,
    debug: Debug = False,
) -> None:
    """Run an MQTT broker on this machine's loopback, for trying things without installing one."""
    from spikeflow.cli.broker import run_broker

    raise typer.Exit(run_broker(port, debug))


def _version(wanted: bool) -> None:
    if wanted:
        from spikeflow import __version__

        typer.echo(f"spikeflow {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _with_addresses(arguments: list[str]) -> list[str]:
    """The arguments with the default address after a `--monitor` that nothing is said of.

    What follows and is neither an address nor like a file is taken for one that is wrong, and said to be.
    """
    found: list[str] = []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        found.append(argument)
        if argument == "--monitor" and not _ADDRESS.fullmatch(following) and not _is_word(following):
            found.append(PAGE)
    return found


def _is_word(text: str) -> bool:
    """Whether it is neither an option nor a path, so that nothing but an address can be meant."""
    is_path = "/" in text or text.endswith((".yaml", ".yml", ".json")) or Path(text).exists()
    return bool(text) and not text.startswith("-") and not is_path


def main() -> None:
    """The console script."""
    from spikeflow.cli.saying import FAILED, open_standard_files, output_is_broken

    open_standard_files()
    try:
        app(_with_addresses(sys.argv[1:]), prog_name="spikeflow")
    except OSError as error:
        if not output_is_broken(error):
            raise
        raise SystemExit(FAILED) from error
