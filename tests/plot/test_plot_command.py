"""`spikeflow plot`: pictures from the command line, and one sentence where there can be none."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikeflow.cli import app
from spikeflow.events import Stream
from tests.plot.test_plot import write

GRAPH = """
nodes:
  noise: {source: synthetic, signal: poisson, size: "${params.size}", rate: 50 Hz}
  hidden: {neuron: lif, size: 4, inputs: [{from: noise, weights: 0.5}]}
params: {size: 8}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording and a graph, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rec").mkdir()
    write(tmp_path / "rec" / "hidden.arrow", Stream("hidden", "spikes", 5), [0, 10, 900], [0, 1, 4])
    write(tmp_path / "rec" / "hidden.v.arrow", Stream("hidden.v", "samples", 5), [0, 10], [0, 1], [0.5, 0.7])
    (tmp_path / "small.yaml").write_text("spikeflow: 1" + GRAPH)
    return tmp_path


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        app([*arguments], prog_name="spikeflow")
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ("raster", "rec"),
        ("raster", "rec/hidden.arrow", "rec/hidden.arrow", "--neurons", "0:3", "--from", "0s", "--until", "500ms"),
        ("rates", "rec", "--over", "50ms"),
        ("traces", "rec", "--neurons", "1"),
        ("graph", "small.yaml", "--set", "params.size=3"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_a_picture_is_written(arguments: tuple[str, ...], ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = Path("out").with_suffix(ending)
    assert call("plot", *arguments, "-o", str(out)) == 0
    assert out.read_bytes().startswith(b"\x89PNG" if ending == ".png" else b"<?xml")
    assert capsys.readouterr() == ("", "")


def test_the_same_events_give_the_same_file() -> None:
    for name in ("one.svg", "two.svg"):
        assert call("plot", "raster", "rec", "-o", name) == 0
    assert Path("one.svg").read_bytes() == Path("two.svg").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rastr", "rec", "-o", "x.png"), "plot rastr: there is no such picture — did you mean 'raster'?"),
        (("raster", "gone.arrow", "-o", "x.png"), "there is no file gone.arrow — "),
        (("raster", "rec", "-o", "x.gif"), "x.gif: no ending that says what picture it is — endings: .png, .svg, .pdf"),
        (("raster", "rec", "-o", "none/x.png"), "none/x.png cannot be written: No such file or directory — "),
        (("raster", "rec", "-o", "x.png", "--over", "5ms"), "--over: not for raster — it is for rates"),
        (("rates", "rec", "-o", "x.png", "--over", "5"), "--over 5: '5' has no unit — write '5 ms' or '5 s'"),
        (("rates", "rec", "-o", "x.png", "--neurons", "a"), "--neurons a: 'a' is no index — "),
        (("rates", "rec", "-o", "x.png", "--from", "2s", "--until", "1s"), "--until 1s: it is not after --from 2s — "),
        (("rates", "rec", "-o", "x.png", "--neurons", "900"), "--neurons 900: 900 is past the last one of "),
        (("traces", "rec", "-o", "x.png", "--neurons", "900"), "--neurons 900: 900 is past the last one of "),
        (("graph", "rec", "-o", "x.png"), "'rec' is a folder — name a graph file in it"),
        (("graph", "small.yaml", "small.yaml", "-o", "x.png"), "plot graph: 2 files — name one graph file"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("plot", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {said}")
    assert error.count("\n") == 1
    assert not Path("x.png").exists()


def test_a_graph_with_an_error_is_said_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    Path("small.yaml").write_text("spikeflow: 1" + GRAPH.replace("lif", "lfi"))
    assert call("plot", "graph", "small.yaml", "-o", "x.png") == 2
    assert "small.yaml:4:" in capsys.readouterr().err


def test_what_is_not_in_the_picture_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    path = write(Path("rec/hidden.arrows"), Stream("hidden", "spikes", 5), [10], [1])
    path.write_bytes(path.read_bytes()[:-40])
    assert call("plot", "raster", str(path), "-o", "x.png") == 0
    assert capsys.readouterr().err == "warning: rec/hidden.arrows has lost its end; it is read as far as it goes\n"
