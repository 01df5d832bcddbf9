"""What every command says and how it ends: errors as sentences on standard error, and an exit code."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable

from spikeflow.errors import ConnectError, Finding, GraphError, NodeError, ParameterError, SpikeflowError
from spikeflow.units import parse_seconds

OK, FAILED, BAD, NOT_CONNECTED, ABANDONED = 0, 1, 2, 3, 4


def code_of(error: BaseException) -> int:
    """The exit code of an error."""
    if isinstance(error, GraphError | ParameterError):
        return BAD
    if isinstance(error, ConnectError):
        return NOT_CONNECTED
    return FAILED


_lines = "text"


def say_as(form: str) -> None:
    """Let what is said from now on be lines of ``text``, or of ``json``, for programs that gather logs.

    Raises:
        ParameterError: it is neither.
    """
    global _lines
    if form not in ("text", "json"):
        raise ParameterError(f"--log {form}: there is no such form", "write text or json")
    _lines = form


def in_json(text: str, level: str = "info", **more: object) -> str:
    """A line of the log as JSON, with the time in seconds since 1970."""
    import orjson

    return orjson.dumps({"t": round(time.time(), 6), "level": level, **more, "text": text}, default=str).decode()


def say(text: str, level: str = "info") -> None:
    """A line on standard error, without what would move the cursor; its first word says its level, else `level`."""
    if _lines == "json":
        begins, colon, rest = text.partition(": ")
        known = colon and begins in ("error", "warning")
        text = in_json(rest, begins) if known else in_json(text, level)
    sys.stderr.write("".join(c if c.isprintable() or c == "\n" else "�" for c in text) + "\n")
    sys.stderr.flush()


def guarded(command: Callable[[], int], debug: bool) -> int:
    """Run a command; an error is a sentence and an exit code, with a traceback only where `debug` asks for it."""
    try:
        return command()
    except SpikeflowError as error:
        if debug:
            raise
        say_error(error)
        return code_of(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        silence_output()
        return OK
    except Exception as error:
        if isinstance(error, OSError) and output_is_broken(error):
            return FAILED
        if debug:
            raise
        say(f"internal error: {type(error).__name__}: {error} — run it again with --debug, and report what it says")
        return FAILED


def say_error(error: BaseException) -> None:
    """An error as its sentences."""
    findings = error.findings if isinstance(error, GraphError) else ()
    for line in findings or (str(error),):
        placed = line.at is not None if isinstance(line, Finding) else False  # a place tells by itself what it is
        say(str(line) if placed else f"error: {line}", "error")
    if len(findings) > 1:
        say(f"{len(findings)} errors; nothing was started", "error")


def changes(texts: Iterable[str]) -> dict[str, str]:
    """The `--set key=value` of a command line.

    Raises:
        ParameterError: one of them is not of that form.
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ParameterError(f"--set {text}: there is no '='", "write --set key=value, such as params.tau=5ms")
        found[key.strip()] = value
    return found


def time_of(option: str, text: str) -> float:
    """The time (s) that an option says.

    Raises:
        ParameterError: it is no time, or not above zero.
    """
    try:
        seconds = parse_seconds(text)
    except ParameterError as error:
        raise ParameterError(f"{option} {text}: {error.found}", error.hint) from None
    if seconds <= 0:
        raise ParameterError(f"{option} {text}: it is not above zero", "write a time such as 30s")
    return seconds


def output_is_broken(error: OSError) -> bool:
    """Whether an error came of standard output, which takes nothing; that is said, and what is left goes nowhere."""
    if error.filename is not None:
        return False
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError as found:
        silence_output()
        say(f"error: standard output: {found.strerror or found}")
        return True
    return False


def open_standard_files() -> None:
    """Give a process that was started without standard input, output or error files that take and give nothing.

    What it opens next would else take their numbers, and get what is meant for them.
    """
    import os

    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


def silence_output() -> None:
    """Nobody reads standard output any more: let what is still in its buffer go nowhere."""
    import os

    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


__all__ = ["ABANDONED", "BAD", "FAILED", "NOT_CONNECTED", "OK", "NodeError", "changes", "code_of", "guarded", "say"]
