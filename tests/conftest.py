"""What all tests share: how Hypothesis draws, and two workers for the whole suite."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

WORKERS = 2

# a slow machine is no failure; and what is drawn there is the same at every run, so that a red run is somebody's doing
settings.register_profile("spikeflow", deadline=None, print_blob=True, derandomize=bool(os.environ.get("CI")))
settings.load_profile("spikeflow")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """The whole suite runs on two workers, a file on one of them; named files run right here, and so does `-n0`.

    This is not in pyproject.toml, because there it would also slow down single files and break `-p no:xdist`.
    """
    if hasattr(config, "workerinput"):  # a worker comes by here as well, and must not have workers of its own
        return
    option = config.option
    whole = config.args_source is config.ArgsSource.TESTPATHS
    if whole and config.pluginmanager.hasplugin("xdist") and option.numprocesses is None and not option.usepdb:
        option.numprocesses, option.dist = WORKERS, "loadfile"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test marked `alone` starts when no worker runs another one, and none starts before it ends."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    shared = Path(item.config.option.basetemp).parent  # of all workers of this run, and of no other
    with _turn(shared / "turn", item.get_closest_marker("alone")):
        return (yield)


@contextmanager
def _turn(place: Path, alone: pytest.Mark | None) -> Iterator[None]:
    with place.with_suffix(".door").open("w") as door, place.with_suffix(".room").open("w") as room:
        fcntl.flock(door, fcntl.LOCK_EX)  # behind one who waits to be alone, the others wait as well
        fcntl.flock(room, fcntl.LOCK_SH if alone is None else fcntl.LOCK_EX)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield
