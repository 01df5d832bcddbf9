"""Feeds the formats of payloads what atheris makes up, one process a format.

    pip install atheris
    python -m tests.fuzz --seconds 60            # each format a minute
    python -m tests.fuzz --seconds 600 arrow cbor

A crash, an exception that is no `PayloadError`, a message that takes longer than 5 s or more than 2 GiB ends it with
1; what was found lies in the folder that is named. The first byte of an input chooses among the payloads of the
format's own test, whose messages are the corpus that it begins with.
"""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1] / "nodes" / "payloads"
_LONGEST = 65536
_DONE = re.compile(r"Done (\d+) runs in (\d+) second")


def main() -> int:
    """Run the formats that are named, one after the other; all of them if none is."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help="such as json; all of them if none is named")
    parser.add_argument("--seconds", type=int, default=60, help="how long each format is tried (s)")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        _fuzz(given.one, given.formats[0], given.seconds)
        return 0
    failed = 0
    for kind in given.formats or sorted(path.stem.removeprefix("test_") for path in TESTS.glob("test_*.py")):
        folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{kind}-"))
        command = [sys.executable, "-m", "tests.fuzz", "--seconds", str(given.seconds), "--one", str(folder), kind]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = done.stderr + done.stdout
        runs = _DONE.search(said)
        bad = done.returncode != 0 or runs is None
        failed += bad
        told = f"{int(runs[1]):,} messages in {runs[2]} s" if runs is not None else "it did not end well"
        print(f"{kind}: {told}" + (f"; see {folder}\n{said[-3000:]}" if bad else ", nothing found"), flush=True)
    return 1 if failed else 0


def _fuzz(folder: str, kind: str, seconds: int) -> None:
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["spikeflow.nodes", "cbor2", "msgpack"]):
        checks = importlib.import_module("tests.nodes.payload_checks")
        envelopes = importlib.import_module("spikeflow.nodes.payload")
        found = checks.cases(kind)
    payloads = [payload for payload, _ in found.good] + [payload for payload, _, _ in found.malformed]
    chosen = [payload for place, payload in enumerate(payloads) if payload not in payloads[:place]]
    corpus = Path(folder) / "corpus"
    corpus.mkdir()
    messages = [*found.good, *((payload, data) for payload, data, _ in found.malformed)]
    for number, (payload, data) in enumerate(messages):
        if len(data) < _LONGEST:
            (corpus / f"{number:03d}").write_bytes(bytes([chosen.index(payload)]) + data)
    memory: dict[str, Any] = {}

    def one(data: bytes) -> None:
        if data:
            payload = chosen[data[0] % len(chosen)]
            envelope = envelopes.Envelope(found.topic, 1_714_564_803_000_000_000, data[0] < 128, memory=memory)
            checks.hold(payload, data[1:], envelope)

    options = [f"-max_total_time={seconds}", f"-artifact_prefix={folder}/", "-rss_limit_mb=2048", "-timeout=5"]
    atheris.Setup([sys.argv[0], *options, f"-max_len={_LONGEST}", "-print_final_stats=1", str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
