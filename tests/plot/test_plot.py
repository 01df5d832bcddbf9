"""Pictures from files: what is drawn is what is in them, whatever they are like."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather

from spikeflow import plot, run_blocking, sample_batch, spike_batch
from spikeflow.errors import EventError, ParameterError
from spikeflow.events import Grid, Stream, build
from spikeflow.nodes.event_writers import EventWriter

MS = 1_000_000


def axes_of(figure: Any) -> list[Any]:
    """The axes of a figure, whose types say more than a test wants to know."""
    found: list[Any] = figure.axes
    return found


def write(path: Path, stream: Stream, t_ms: Any, index: Any, value: Any = None, length_ms: int | None = 1000) -> Path:
    """A file as `sink: file` writes it."""
    grid = Grid(0, MS, 10)
    writer = EventWriter(path, stream.schema(grid), "none")
    t_ns = np.asarray(t_ms, np.int64) * MS
    record = build(stream.schema(grid), t_ns, np.asarray(index, np.uint32), value)
    if record.num_rows:
        writer.write([record], ())
    writer.close((length_ms or 0) * MS, ())
    return path


@pytest.fixture(params=[".arrow", ".arrows", ".parquet", ".csv", ".feather"])
def spikes(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Four spikes of five neurons in a second."""
    return write(tmp_path / f"hidden{request.param}", Stream("hidden", "spikes", 5), [0, 10, 10, 900], [0, 1, 4, 2])


def test_a_raster_has_a_dot_for_each_spike_of_every_format(spikes: Path) -> None:
    (axes,) = axes_of(plot.raster(spikes))
    assert axes.collections[0].get_offsets().tolist() == [[0.0, 0], [0.01, 1], [0.01, 4], [0.9, 2]]
    assert axes.get_title(loc="left") == "hidden · 5 neurons · 4 spikes"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time (s)", "neuron")


def test_the_time_goes_on_to_the_end_of_the_run(tmp_path: Path) -> None:
    path = write(tmp_path / "hidden.arrow", Stream("hidden", "spikes", 5), [10], [1])
    assert axes_of(plot.raster(path))[0].get_xlim() == (0.0, 1.0)
    assert axes_of(plot.raster(path, between=(0.005, 0.5)))[0].get_xlim() == (0.005, 0.5)


def test_many_spikes_are_counted_to_pixels_with_their_rate(tmp_path: Path) -> None:
    t_ms = np.repeat(np.arange(1000), 30)
    path = write(tmp_path / "big.arrow", Stream("big", "spikes", 60), t_ms, np.tile(np.arange(30), 1000))
    axes, bar = axes_of(plot.raster(path))
    image = axes.images[0].get_array()
    assert image is not None
    assert image.shape == (60, 1000)
    assert np.allclose(image[:30], 1000.0)
    assert np.allclose(image[30:], 0.0)
    assert bar.get_ylabel() == "rate of a neuron (Hz)"


def test_several_streams_share_their_time_and_folders_give_those_that_fit(tmp_path: Path) -> None:
    write(tmp_path / "a.arrow", Stream("a", "spikes", 2), [1], [1])
    write(tmp_path / "b.arrow", Stream("b", "spikes", 2), [2], [1], length_ms=2000)
    write(tmp_path / "a.v.arrow", Stream("a.v", "samples", 2), [1], [1], [0.5])
    figure = plot.raster(tmp_path)
    assert [axes.get_title(loc="left").split()[0] for axes in axes_of(figure)] == ["a", "b"]
    assert {axes.get_xlim() for axes in axes_of(figure)} == {(0.0, 2.0)}
    (axes,) = axes_of(plot.traces(tmp_path))
    assert axes.get_ylabel() == "v (model's unit)"


def test_what_is_no_file_of_events_is_passed_over_in_a_folder_with_a_warning(tmp_path: Path) -> None:
    write(tmp_path / "a.arrow", Stream("a", "spikes", 2), [1], [1])
    (tmp_path / "b.csv").write_text("x,y\n1,2\n")
    with pytest.warns(plot.PlotWarning, match=r"b.csv has the columns x, y"):
        assert len(axes_of(plot.raster(tmp_path))) == 1


def test_chosen_neurons_stand_one_above_the_other(tmp_path: Path) -> None:
    path = write(tmp_path / "hidden.arrow", Stream("hidden", "spikes", 50), [0, 1, 2, 3], [3, 7, 8, 40])
    (axes,) = axes_of(plot.raster(path, neurons=[40, 7]))
    assert axes.collections[0].get_offsets().tolist() == [[0.001, 0], [0.003, 1]]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["7", "40"]
    (axes,) = axes_of(plot.raster(path, neurons=range(5, 10)))
    assert axes.collections[0].get_offsets().tolist() == [[0.001, 7], [0.002, 8]]
    assert axes.get_ylim() == (4.5, 9.5)


def test_rates_are_counts_of_a_neuron_and_a_second(tmp_path: Path) -> None:
    path = write(tmp_path / "hidden.arrow", Stream("hidden", "spikes", 4), [0, 10, 120, 990], [0, 1, 4 - 1, 2])
    (axes,) = axes_of(plot.rates(path, over=0.1))
    values = axes.patches[0].get_data()
    assert values.values.tolist() == [5.0, 2.5, *[0.0] * 7, 2.5]
    assert values.edges.tolist() == pytest.approx(np.arange(11) / 10)
    assert axes.get_title(loc="left") == "hidden · bins of 100 ms"


def test_the_last_bin_is_as_long_as_the_run_lasts(tmp_path: Path) -> None:
    path = write(tmp_path / "hidden.arrow", Stream("hidden", "spikes", 1), range(0, 1000, 10), [0] * 100)
    values = axes_of(plot.rates(path, over=0.3))[0].patches[0].get_data()
    assert values.values.tolist() == pytest.approx([100.0] * 4)
    assert values.edges.tolist() == pytest.approx([0.0, 0.3, 0.6, 0.9, 1.0])


def test_bins_that_nobody_chose_are_round_and_hold_every_spike(tmp_path: Path) -> None:
    t_ms = np.arange(0, 60_000, 7)
    path = write(tmp_path / "hidden.arrow", Stream("hidden", "spikes", 1), t_ms, [0] * t_ms.size, length_ms=60_000)
    values = axes_of(plot.rates(path))[0].patches[0].get_data()
    assert 100 < values.values.size <= 250
    assert float((values.values * np.diff(values.edges)).sum()) == pytest.approx(t_ms.size)


def test_more_bins_than_can_be_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "hidden.arrow", Stream("hidden", "spikes", 1), [0, 900_000], [0, 0], length_ms=1_000_000)
    with pytest.raises(ParameterError, match=r"hidden: more than 100000 bins of 0.001 s — choose longer ones"):
        plot.rates(path, over=0.001)
    with pytest.raises(ParameterError, match="give the length of a bin in seconds"):
        plot.rates(path, over=0.0)


def test_traces_keep_what_is_no_number_as_a_gap(tmp_path: Path) -> None:
    value = np.array([1.0, np.nan, 3.0], np.float32)
    path = write(tmp_path / "wave.arrow", Stream("wave", "samples", 1), [0, 10, 20], [0, 0, 0], value)
    (axes,) = axes_of(plot.traces(path))
    assert np.array_equal(np.asarray(axes.lines[0].get_ydata()), value, equal_nan=True)
    assert axes.get_ylabel() == "value (sender's unit)"


def test_eight_channels_are_shown_unless_some_are_chosen(tmp_path: Path) -> None:
    t_ms, channel = np.repeat([0, 10], 20), np.tile(np.arange(20), 2)
    path = write(tmp_path / "wave.arrow", Stream("wave", "samples", 20), t_ms, channel, channel.astype(np.float32))
    (axes,) = axes_of(plot.traces(path))
    assert (len(axes.lines), axes.get_title(loc="left")) == (8, "wave · 8 of 20 channels")
    (axes,) = axes_of(plot.traces(path, channels=[12]))
    assert np.asarray(axes.lines[0].get_ydata()).tolist() == [12.0, 12.0]


def test_empty_files_are_empty_pictures(tmp_path: Path) -> None:
    nothing = write(tmp_path / "hidden.arrow", Stream("hidden", "spikes", 5), [], [])
    silent = write(tmp_path / "wave.arrow", Stream("wave", "samples", 2), [], [], np.zeros(0, np.float32))
    for figure, said in ((plot.raster(nothing), "no spikes"), (plot.traces(silent), "no samples")):
        assert [text.get_text() for text in axes_of(figure)[0].texts] == [said]
    assert not axes_of(plot.rates(nothing))[0].patches[0].get_data().values.any()


def test_what_has_lost_its_end_or_some_rows_is_drawn_with_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "hidden.arrows", Stream("hidden", "spikes", 5), [10], [1])
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.warns(plot.PlotWarning, match=r"hidden.arrows has lost its end; it is read as far as it goes"):
        assert len(axes_of(plot.raster(path))[0].collections[0].get_offsets()) == 1
    table = tmp_path / "graded.csv"
    table.write_text("t,neuron,value\n0,1,0.5\n1000000,2,\n")
    with pytest.warns(plot.PlotWarning, match=r"graded.csv: 1 row left out: empty field"):
        plot.raster(table)


def test_files_that_cannot_be_drawn_are_said_with_their_place(tmp_path: Path) -> None:
    call: Any
    path = write(tmp_path / "a.v.arrow", Stream("a.v", "samples", 2), [1], [1], [0.5])
    for call, said in (
        (lambda: plot.raster(path), "a.v.arrow holds samples, not spikes — plot traces"),
        (lambda: plot.raster(tmp_path), "holds no spikes — valid: a.v.arrow"),
        (lambda: plot.raster(tmp_path / "b.arrow"), "there is no file"),
        (plot.raster, "nothing to plot — name a file of events"),
        (lambda: plot.traces(spike_batch([0], [0])), "a record batch holds spikes, not samples — plot raster or rates"),
        (lambda: plot.raster(spike_batch([0], [0]), neurons=[]), "give some, as whole numbers from 0 on"),
    ):
        with pytest.raises(ParameterError, match=said):
            call()
    (tmp_path / "wrong.csv").write_text("t,neuron\n5,1\n4,1\n")
    with pytest.raises(EventError, match=r"wrong.csv: row 2: its time is 1 ns before that of the row above"):
        plot.raster(tmp_path / "wrong.csv")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"neurons": [4, 5]}, "neurons: 4 is past the last one of hidden — name some of 0 to 3"),
        ({"neurons": []}, "neurons: \\[\\] — give some"),
        ({"neurons": [-1, 1]}, "neurons: .* — give some"),
        ({"neurons": [1.5]}, "neurons: .* — give some"),
        ({"neurons": "abc"}, "neurons: 'abc' — give some"),
        ({"between": (2.0, 1.0)}, "between: .* — give the earlier time first"),
        ({"between": (1.0,)}, "between: .* — give two times in seconds"),
        ({"between": "1s"}, "between: '1s' — give two times in seconds"),
        ({"between": (float("nan"), 1.0)}, "between: .* — give two times in seconds"),
    ],
)
def test_arguments_that_leave_nothing_to_draw_are_said(tmp_path: Path, arguments: dict[str, Any], said: str) -> None:
    path = write(tmp_path / "hidden.arrow", Stream("hidden", "spikes", 4), [1], [3])
    with pytest.raises(ParameterError, match=said):
        plot.raster(path, **arguments)
    with pytest.raises(ParameterError, match=said):
        plot.rates(path, **arguments)


def test_what_is_no_source_is_said() -> None:
    wrong: Any = ["hidden.arrow"]
    with pytest.raises(ParameterError, match="list is nothing that can be plotted — give paths or record batches"):
        plot.raster(wrong)
    late: Any = "50 ms"
    with pytest.raises(ParameterError, match="over: '50 ms' — give the length"):
        plot.rates(spike_batch(t_ns=[1], neuron=[0]), over=late)


def test_neurons_that_some_streams_have_not_are_drawn_of_those_that_have(tmp_path: Path) -> None:
    small = write(tmp_path / "small.arrow", Stream("small", "spikes", 4), [1], [3])
    large = write(tmp_path / "large.arrow", Stream("large", "spikes", 9), [1], [8])
    assert len(axes_of(plot.raster(small, large, neurons=[8]))) == 2


def test_a_record_batch_with_metadata_says_its_name_and_size() -> None:
    schema = Stream("hidden", "spikes", 12).schema(Grid(0, MS, 10))
    batch = pa.RecordBatch.from_arrays(spike_batch([5 * MS], [3]).columns, schema=schema)
    assert axes_of(plot.raster(batch))[0].get_title(loc="left") == "hidden · 12 neurons · 1 spike"
    assert axes_of(plot.traces(sample_batch([0], [0], [1.0])))[0].get_title(loc="left") == "samples · 1 channel"


def test_a_graph_is_drawn_with_its_loops_and_delays() -> None:
    nodes: dict[str, Any] = {
        "noise": {"source": "synthetic", "signal": "poisson", "size": 8, "rate": "50 Hz"},
        "one": {
            "neuron": "lif",
            "size": 8,
            "inputs": [{"from": "noise", "weights": 1.0}, {"from": "two", "weights": 0.1, "delay": "20 ms"}],
        },
        "two": {
            "neuron": "lif",
            "size": 3,
            "inputs": [{"from": "one", "weights": 1.0}, {"from": "two", "weights": 0.1}],
        },
        "tape": {"sink": "console", "input": "noise"},
    }
    (axes,) = axes_of(plot.graph({"nodes": nodes}))
    texts = {text.get_text() for text in axes.texts}
    assert {"noise", "one", "two", "neuron · lif × 8", "source · synthetic × 8", "1 ms"} <= texts
    assert any(text.startswith("20 ms") and text.endswith("late") for text in texts)
    places = {text.get_text(): text.get_position()[0] for text in axes.texts}
    assert places["noise"] < places["one"] < places["two"]
    low, high = axes.get_ylim()
    for patch in axes.patches:
        box = patch.get_path().transformed(patch.get_patch_transform()).get_extents()
        assert low <= box.y0 <= box.y1 <= high


def test_what_a_graph_has_written_can_be_drawn(tmp_path: Path) -> None:
    noise = {"source": "synthetic", "signal": "poisson", "size": 8, "rate": "50 Hz", "length": "1 s"}
    hidden = {"neuron": "lif", "size": 4, "inputs": [{"from": "noise", "weights": 0.5}]}
    tape = {"sink": "file", "input": ["noise", "hidden", "hidden.v"], "path": str(tmp_path / "rec")}
    run_blocking({"nodes": {"noise": noise, "hidden": hidden, "tape": tape}})
    figure = plot.raster(tmp_path / "rec")
    assert [axes.get_title(loc="left") for axes in axes_of(figure)] == [
        f"{name} · {size} neurons · {feather.read_table(tmp_path / 'rec' / f'{name}.arrow').num_rows} spikes"
        for name, size in (("hidden", 4), ("noise", 8))
    ]
    plot.save(plot.traces(tmp_path / "rec"), tmp_path / "v.svg")
    assert (tmp_path / "v.svg").read_text().startswith("<?xml")


def test_a_notebook_shows_a_figure_as_it_is() -> None:
    figure: Any = plot.raster(spike_batch([0], [0]))
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_a_picture_needs_an_ending_and_a_place(tmp_path: Path) -> None:
    figure = plot.raster(spike_batch([0], [0]))
    with pytest.raises(ParameterError, match=r"endings: .png, .svg, .pdf"):
        plot.save(figure, tmp_path / "x.gif")
    with pytest.raises(ParameterError, match="cannot be written: No such file"):
        plot.save(figure, tmp_path / "none" / "x.png")


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ParameterError, match=r"plots need matplotlib — pip install 'spikeflow\[plot\]'"):
        plot.raster(spike_batch([0], [0]))


def test_importing_it_imports_no_matplotlib() -> None:
    found = "import sys, spikeflow.plot, spikeflow.cli.plotting; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, check=True).stdout == "False\n"
