"""`spikeflow ps`, `tap` and `top`: which graphs run, what flows on their edges, and a view of one."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa

from spikeflow.cli.saying import OK, guarded, say
from spikeflow.errors import ParameterError, many
from spikeflow.events import raw_columns
from spikeflow.runtime.runs import Attached, one_run, runs


def print_runs(json: bool) -> int:
    """Say which of this user's graphs run."""
    return guarded(lambda: _print_runs(json), debug=False)


def _print_runs(json: bool) -> int:
    found, mute = runs()
    for name in mute:
        say(f"run {name} does not answer; it is busy, or has been stopped")
    if json:
        keys = ("graph", "file", "process", "started", "live")
        facts = [{"run": one.name, **{key: one.facts[key] for key in keys}, "socket": str(one.path)} for one in found]
        sys.stdout.write(orjson.dumps(facts, option=orjson.OPT_INDENT_2).decode() + "\n")
        return OK
    if not found:
        if not mute:
            say("no graph runs")
        return OK
    rows = [("run", "graph", "nodes", "since", "file")]
    for one in found:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.facts["started"]))
        rows.append((one.name, one.facts["graph"], str(len(one.facts["nodes"])), since, one.facts["file"] or "–"))
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for row in rows:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")
    return OK


def tap_outlet(outlet: str, run: str | None, count: int | None, indices: str | None, arrow: bool, debug: bool) -> int:
    """Write the events of an outlet of a running graph to standard output."""
    return guarded(lambda: _tap(outlet, run, count, indices, arrow), debug)


def _tap(outlet: str, run: str | None, count: int | None, indices: str | None, arrow: bool) -> int:
    chosen = None if indices is None else numbers(indices)
    if arrow and sys.stdout.isatty():
        raise ParameterError("--arrow on a terminal", "send it to a file or a program")
    with Attached(one_run(run)) as there:
        there.send("tap", outlet=outlet, indices=chosen)
        frames = there.frames()
        facts, raw = next(frames)
        schema = pa.ipc.read_schema(pa.py_buffer(raw))
        if chosen is None and facts["indices"] is not None:
            last = facts["indices"][-1]
            say(f"{outlet}: nobody listens to it, so neurons 0 to {last} are looked at; --neurons says others")
        lost = _write(frames, schema, count, arrow)
    if lost:
        say(f"warning: {many(lost, 'event')} lost here, because they were not read in time")
    return OK


def _write(frames: Iterator[tuple[dict[str, Any], bytes]], schema: pa.Schema, count: int | None, arrow: bool) -> int:
    """Write up to `count` events; how many were lost before them."""
    lost, left, out = 0, count, sys.stdout.buffer
    writer = pa.ipc.new_stream(out, schema) if arrow else None
    names = schema.names
    for facts, raw in frames:
        if facts.get("kind") == "end":
            break
        lost = facts.get("lost", lost)
        if not raw:
            continue
        batch = pa.ipc.read_record_batch(pa.py_buffer(raw), schema)
        if left is not None:
            batch = batch.slice(0, left)
            left -= batch.num_rows
        if writer is not None:
            writer.write_batch(batch)
        else:
            out.write(b"".join(_lines(batch, names)))
        out.flush()
        if left == 0:
            break
    if writer is not None:
        writer.close()
        out.flush()
    return lost


def _lines(batch: pa.RecordBatch, names: list[str]) -> Iterator[bytes]:
    t_ns, index, value = raw_columns(batch)
    columns = [column.tolist() for column in (t_ns, index, value) if column is not None]
    for row in zip(*columns, strict=True):
        yield orjson.dumps(dict(zip(names, row, strict=True))) + b"\n"


def show_top(run: str | None, view: str | None, once: bool, json: bool, debug: bool) -> int:
    """Show a running graph on the terminal, or say its figures once."""
    return guarded(lambda: _top(run, view, once, json), debug)


def _top(run: str | None, view: str | None, once: bool, json: bool) -> int:
    from rich.console import Console

    from spikeflow.monitor.draw import Lines, Look, Picture
    from spikeflow.monitor.frames import Frame
    from spikeflow.monitor.top import Watched
    from spikeflow.monitor.top import once as look_once

    seen_by_people = sys.stdout.isatty() and not (json or once)
    if seen_by_people and importlib.util.find_spec("textual") is None:
        raise ParameterError("top needs textual", "pip install 'spikeflow[monitor]', or say --once")
    if seen_by_people and not sys.stderr.isatty():  # Textual draws there
        raise ParameterError("top: standard error is no terminal", "leave it one, or say --once")
    path = one_run(run)
    console = Console(highlight=False)
    if not seen_by_people:
        facts = look_once(path)
        if json:
            sys.stdout.write(orjson.dumps(facts).decode() + "\n")
        else:
            picture = Picture()
            hello = {"graph": facts["graph"], "view": None, "decoder": None, "size": 0, "rows": 0, "column_s": 0.1}
            picture.take(Frame("hello", hello))
            picture.take(Frame("look", facts | {"curve": [], "log": []}))
            width = console.width if sys.stdout.isatty() else 120
            console.print(Lines([picture.header(width), *picture.table(width, 1000)], width))
        return OK
    from spikeflow.monitor.app import TopApp

    watched = Watched(path, view)
    watched.begin()
    app = TopApp(watched, Look.of(console))
    app.run()
    console.print(f"{watched.graph}: {'left; the run goes on' if app.left else 'the run has ended'}", highlight=False)
    return app.return_code or OK


def numbers(text: str) -> list[int]:
    """The indices of ``0:16`` or ``1,5,7:9``.

    Raises:
        ParameterError: it is no such text.
    """
    found: list[int] = []
    for part in text.split(","):
        low, colon, high = part.strip().partition(":")
        if not low.isdecimal() or (colon and not high.isdecimal()):
            raise ParameterError(f"--neurons {text}: {part!r} is no index", "write 7, 0:16, or 1,5,7:9")
        found += range(int(low), int(high)) if colon else [int(low)]
    if not found:
        raise ParameterError(f"--neurons {text}: there is none in it", "write 7, 0:16, or 1,5,7:9")
    return found
