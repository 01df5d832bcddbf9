"""The page in a browser: what the canvas shows is what the run sent, and everything on it can be used."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from spikeflow.events import metadata
from spikeflow.nodes.sources.host import Host
from tests.commands import Running
from tests.monitor.page.pattern import CROWD, DOTS
from tests.runtime.looking import own_folder

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
DOT = (255, 209, 102)
GRAPH = """
spikeflow: 1
name: pattern
nodes:
  dots: {source: "pattern:Pattern", which: dots, go: go}
  crowd: {source: "pattern:Pattern", which: crowd, go: go}
  wave: {source: synthetic, signal: sine, frequency: 1 Hz, rate: 100 Hz, length: 600 s}
  many: {source: synthetic, signal: sine, frequency: 1 Hz, rate: 50 Hz, size: 20, length: 600 s}
  machine: {source: host, fields: [memory, load], rate: 20 Hz}
  noise: {encoder: poisson, input: wave, f_max: 200 Hz}
  cell:
    neuron: lif
    size: 20
    inputs: [{from: noise, weights: 1.5}, {from: cell, weights: 0.05}]
  rate: {decoder: rate, input: cell, over: 100 ms, per: population}
"""


def _running(folder: Path, address: str) -> tuple[Running, str]:
    """A run whose pattern waits for the page; the page's address."""
    (folder / "pattern.yaml").write_text(GRAPH)
    if not (folder / "go").exists():
        os.mkfifo(folder / "go")
    shutil.copy(Path(__file__).with_name("pattern.py"), folder)
    run = Running(folder, "pattern.yaml", "--json", "--speed", "1", "--monitor", address)
    return run, run.says("monitor: http").removeprefix("monitor: ")


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}readyz", timeout=10.0) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next(path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name)))
    with sync_playwright() as player, player.chromium.launch(executable_path=program, args=FLAGS) as made:
        yield made


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of a run with a known pattern, once that has passed."""
    folder = tmp_path_factory.mktemp("pattern")
    with own_folder():
        run, address = _running(folder, "127.0.0.1:0")
        with run:
            run.shows(lambda nodes: _ready(address))
            (folder / "go").write_bytes(b"go")
            run.shows(lambda nodes: nodes["dots"]["windows"] > 300)
            yield address


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """A page, which must not complain and not ask anybody else."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, color_scheme="dark", accept_downloads=True)
    made = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    made.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    made.on("pageerror", lambda error: said.append(str(error)))
    made.on("request", lambda request: asked.append(request.url))
    made.goto(url)
    _wait(made, "spikeflow.state.figures && spikeflow.state.now > 2500")
    yield made
    assert said == []
    assert [one for one in asked if not one.startswith((url, "blob:", url.replace("http", "ws")))] == []
    context.close()


def _wait(page: Page, script: str) -> None:
    """Wait until a script holds; Playwright's own way is against the page's content security policy."""
    held = page.evaluate(f"""() => new Promise((done) => {{
        const look = () => ({script}) ? done(true) : requestAnimationFrame(look);
        setTimeout(() => done(false), 30000);
        look();
    }})""")
    assert held, f"waited for {script} in vain"


def _show(page: Page, end: int, span: int) -> None:
    """Pause at `end` ticks, with `span` ticks before it, and wait until that is drawn."""
    page.evaluate(f"spikeflow.view.end = spikeflow.view.right = {end}; spikeflow.span({span} * spikeflow.state.dt)")
    _drawn(page)


def _drawn(page: Page) -> None:
    """Wait until what the page asked for last has come, and has been drawn."""
    _wait(page, "spikeflow.state.shown === spikeflow.state.number")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def _pixels(page: Page, panel: str, which: str = "raster") -> Any:
    """[height, width, 4] what a canvas shows."""
    canvas = f"""document.querySelector('[data-id="{panel}"] canvas.{which}')"""
    picture = base64.b64decode(page.evaluate(f"{canvas}.toDataURL()").partition(",")[2])
    return np.array(Image.open(io.BytesIO(picture)).convert("RGBA"))


def _x(tick: float, end: int, span: int, width: int) -> float:
    return 58 + (tick - (end - span)) / span * (width - 60)


def test_every_spike_of_a_known_pattern_is_a_dot_in_its_place_and_there_is_no_other(page: Page) -> None:
    _show(page, 2000, 2000)
    image = _pixels(page, "dots")
    height, width = image.shape[:2]
    lit = (abs(image[:, :, :3].astype(int) - DOT).sum(axis=2) < 30) & (image[:, :, 3] > 0)
    for tick, neuron in DOTS:
        x, y = round(_x(tick, 2000, 2000, width)) + 1, height - (neuron + 0.5) * height / 10
        assert lit[int(y), x], f"no dot for neuron {neuron} at tick {tick}"
        lit[max(0, int(y) - 5) : int(y) + 6, x - 3 : x + 5] = False
    assert not lit.any()


def test_a_crowd_glows_where_it_fires_and_is_dark_elsewhere(page: Page) -> None:
    _show(page, 2000, 2000)
    image = _pixels(page, "crowd")[:, :, :3].astype(int).sum(axis=2)
    height, width = image.shape
    left, middle, right = (int(_x(tick, 2000, 2000, width)) for tick in (0, 1000, 2000))
    fires = image[height // 2 + 4 : height - 4, middle + 4 : right - 6]
    silent = image[4 : height // 2 - 4, left + 4 : right - 6], image[:, left + 4 : middle - 4][4:-4]
    assert fires.mean() > 250
    assert max(part.max() for part in silent) < 60


def test_the_line_of_the_rate_is_the_counts(page: Page) -> None:
    _show(page, 2000, 2000)
    found = page.evaluate("""() => {
        const crowd = spikeflow.panels.get("crowd");
        return {column: crowd.column, first: crowd.data.first, rates: crowd.rates()};
    }""")
    column, first = found["column"], found["first"]
    for place, rate in enumerate(found["rates"]):
        ticks = range((first + place) * column, (first + place + 1) * column)
        count = sum(tick in ticks for tick, _ in CROWD)
        assert rate == pytest.approx(count / 1000 / (column * 1e-3))
    image = _pixels(page, "crowd", "rate")
    height, width = image.shape[:2]
    top = 20 if max(found["rates"]) <= 20 else 50
    y = height - 1.5 - 20 / top * (height - 3)
    x = int(_x(1500, 2000, 2000, width))
    assert image[int(y) - 1 : int(y) + 2, x, 2].max() > 150  # the line's blue
    assert image[4 : int(y) - 3, x, 2].max(initial=0) < 80


def test_it_moves_and_shows_inputs_rates_and_answers(page: Page) -> None:
    before = page.evaluate("[spikeflow.state.now, spikeflow.state.drawn]")
    first = _pixels(page, "cell").tobytes()
    _wait(page, f"spikeflow.state.now > {before[0]} + 500 && spikeflow.state.drawn > {before[1]} + 5")
    assert _pixels(page, "cell").tobytes() != first
    for name in ("wave", "rate"):
        values = page.evaluate(f"[...spikeflow.panels.get('{name}').data[0][2].data].filter((v) => !Number.isNaN(v))")
        assert max(values) > min(values)
    expect(page.locator("#state")).to_have_text("live")
    assert re.fullmatch(r"\d+:\d\d", page.locator("#elapsed").inner_text())


def test_the_graph_is_drawn_with_its_loop_and_a_node_opens_its_parameters_and_a_trace(page: Page) -> None:
    expect(page.locator("#graph .node")).to_have_count(8)
    expect(page.locator("#graph .edge")).to_have_count(4)
    expect(page.locator("#graph .edge.loop")).to_have_count(1)
    _wait(page, "[...document.querySelectorAll('#graph .flow')].some((one) => /^[1-9]/.test(one.textContent))")
    page.click("[data-node=cell]")
    expect(page.locator("#detail")).to_contain_text("tau_mem")
    expect(page.locator("#detail")).to_contain_text("windows")
    page.click("#detail form button")
    trace = page.locator('[data-id="cell.v"]')
    expect(trace).to_be_visible()
    _wait(page, "[...spikeflow.traces.values()][0].data?.[0][2].count > 5")
    assert page.evaluate("[...spikeflow.traces.values()][0].threshold") == 1
    assert page.evaluate("Math.max(...[...spikeflow.traces.values()][0].data[0][2].data.filter(Number.isFinite))") <= 1
    page.click('[data-id="cell.v"] .close')
    expect(trace).to_have_count(0)


def test_a_part_that_is_dragged_open_is_shown_finer_and_0_goes_back(page: Page) -> None:
    _show(page, 2000, 2000)
    coarse = page.evaluate("spikeflow.panels.get('dots').column")
    box = page.locator('[data-id="dots"] canvas.raster').bounding_box()
    assert box is not None
    width = box["width"]
    page.mouse.move(box["x"] + _x(400, 2000, 2000, int(width)), box["y"] + box["height"] * 0.35)
    page.mouse.down()
    page.mouse.move(box["x"] + _x(900, 2000, 2000, int(width)), box["y"] + box["height"] * 0.95, steps=4)
    page.mouse.up()
    _wait(page, "spikeflow.panels.get('dots').high === 7")
    _drawn(page)
    panel = page.evaluate("(({low, high, column}) => ({low, high, column}))(spikeflow.panels.get('dots'))")
    assert (panel["low"], panel["high"]) == (0, 7)
    assert panel["column"] < coarse
    assert page.evaluate("spikeflow.view.end") == pytest.approx(900, abs=6)
    shown = page.evaluate("spikeflow.panels.get('dots').rates().filter((rate) => rate > 0).length")
    assert shown == sum(400 <= tick < 900 and neuron < 7 for tick, neuron in DOTS)
    page.keyboard.press("0")
    _wait(page, "spikeflow.view.end === null && spikeflow.panels.get('dots').high === 10")


def test_the_colours_of_finer_pixels_do_not_go_by_what_larger_ones_counted(page: Page) -> None:
    _show(page, 2000, 10000)
    coarse = page.evaluate("spikeflow.panels.get('crowd').scale")
    _show(page, 2000, 200)
    fine = page.evaluate("(({scale, data}) => ({scale, peak: Math.max(...data.data)}))(spikeflow.panels.get('crowd'))")
    assert coarse > 1
    assert fine["scale"] == max(1, fine["peak"]) < coarse


def test_of_many_channels_some_can_be_chosen_or_the_next_ones_paged_to(page: Page) -> None:
    panel = page.locator('[data-id="many"]')
    keys, field = panel.locator(".keys button"), panel.locator("input")
    expect(panel).to_contain_text("20 channels")
    shown = "[...document.querySelectorAll('[data-id=many] .keys button')].map((key) => key.textContent.split(':')[0])"
    for press, channels, text in (
        (".next", range(8, 16), "8-15"),
        (".next", range(16, 20), "16-19"),
        (".next", range(8), "0-7"),
        (".before", range(16, 20), "16-19"),
        (".before", range(8, 16), "8-15"),
    ):
        panel.locator(press).click()
        expect(field).to_have_value(text)
        _wait(page, f"String({shown}) === '{','.join(map(str, channels))}'")
    field.fill("3, 12-13, 40")
    field.press("Enter")
    expect(field).to_have_value("3,12-13")
    expect(keys).to_have_count(3)
    _wait(page, "spikeflow.panels.get('many').data.length === 3 && spikeflow.panels.get('many').data[2][2].count > 3")
    _wait(page, "Number.isFinite(spikeflow.panels.get('many').data[1][2].data.find(Number.isFinite))")
    field.fill("nothing")
    field.press("Enter")
    expect(field).to_have_value("3,12-13")
    expect(page.locator('[data-id="wave"] input')).to_have_count(0)


def test_a_channel_of_the_legend_is_hidden_and_shown_again_by_a_click_or_by_enter(page: Page) -> None:
    keys = page.locator('[data-id="many"] .keys button')
    expect(keys).to_have_count(8)
    hidden = "spikeflow.panels.get('many').reaches(spikeflow.view).map((one) => one === null)"
    keys.nth(2).click()
    keys.nth(5).focus()
    page.keyboard.press("Enter")
    expect(keys.nth(2)).to_have_attribute("aria-pressed", "false")
    expect(keys.nth(5)).to_have_attribute("aria-pressed", "false")
    assert page.evaluate(hidden) == [k in (2, 5) for k in range(8)]
    page.keyboard.press("Enter")
    keys.nth(2).click()
    assert page.evaluate(hidden) == [False] * 8


# Two channels, one from 0 to 1 and one from 2000 to 0, drawn alone: the top of the line of the first, and what is said.
_UNLIKE = """async (steps) => {
    const { Lines } = await import("/lines.js"), view = { right: 100, span: 100 };
    const lines = new Lines("unlike", "unlike", "", { size: 2, chosen: () => {}, redraw: () => lines.draw(view) });
    document.getElementById("rows").append(lines.node);
    lines.most_columns = 100;
    const values = new Float32Array(600).map((_, k) => (k < 300 ? (k % 100) / 99 : 2000 * (1 - (k % 100) / 99)));
    lines.take({ channels: [0, 1], whole: true, column: 1, first: 0, columns: 100, values });
    lines.call(["cpu", "network"]);
    lines.draw(view);
    for (const step of steps) lines.node.querySelector(step).click();
    const { width, height } = lines.canvas, seen = lines.canvas.getContext("2d").getImageData(0, 0, width, height).data;
    let top = height;
    for (let k = 0; k < width * height; k++) {
        const [r, g, b] = seen.slice(4 * k, 4 * k + 3);
        if (b > 100 && b > r + 60) { // the first line's blue, not the second's orange, nor the ground
            top = Math.floor(k / width);
            break;
        }
    }
    const texts = [...lines.keys.children].map((key) => key.textContent);
    const own = lines.scaler.getAttribute("aria-pressed");
    lines.node.remove();
    return { top: top / height, texts, own };
}"""


@pytest.mark.parametrize(
    ("clicks", "is_high", "own", "texts"),
    [
        ([], True, "true", ["cpu: 1 (0 to 1)", "network: 0 (0 to 2k)"]),
        ([".own"], False, "false", ["cpu: 1", "network: 0"]),
        ([".keys button:last-child"], True, "false", ["cpu: 1", "network: 0"]),
    ],
    ids=["each on its own scale", "all on one scale", "the large one hidden"],
)
def test_a_small_line_beside_a_large_one_can_be_read(
    page: Page, clicks: list[str], is_high: bool, own: str, texts: list[str]
) -> None:
    expect(page.locator("#state")).to_have_text("live")
    found = page.evaluate(_UNLIKE, clicks)
    assert (found["top"] < 0.1) == is_high
    assert found["top"] < 1
    assert (found["texts"], found["own"]) == (texts, own)


def test_the_time_that_is_told_is_that_of_the_axis(page: Page) -> None:
    told, seconds = page.evaluate(
        "[document.getElementById('elapsed').textContent, spikeflow.state.now * spikeflow.state.dt]"
    )
    minutes, rest = told.split(":")
    assert int(minutes) * 60 + int(rest) == int(seconds)


def test_channels_are_called_what_their_source_calls_them(page: Page) -> None:
    names = Host(fields=["memory", "load"]).channel_names()
    keys = page.locator('[data-id="machine"] .keys button')
    expect(keys).to_have_count(len(names))
    for place, name in enumerate(names):
        expect(keys.nth(place)).to_contain_text(f"{name}: ")


def test_pause_and_scrubbing_leave_the_run_alone(page: Page) -> None:
    page.keyboard.press("Space")
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")
    end, now = page.evaluate("[spikeflow.view.end, spikeflow.state.now]")
    _wait(page, f"spikeflow.state.now > {now} + 300")
    assert page.evaluate("spikeflow.view.right") == end
    page.locator("#scrub").evaluate("""(slider) => {
        slider.value = -(spikeflow.state.now - 2000) * spikeflow.state.dt;
        slider.dispatchEvent(new Event("input"));
    }""")
    assert page.evaluate("spikeflow.view.end") == pytest.approx(2000, abs=60)
    expect(page.locator("#when")).to_contain_text("ago")
    page.keyboard.press("Space")
    expect(page.locator("#when")).to_have_text("live")


def test_what_is_seen_can_be_saved_as_arrow_and_as_a_picture(page: Page) -> None:
    _show(page, 1000, 1000)
    page.evaluate("spikeflow.panels.get('dots').limit(0, 5)")
    with page.expect_download() as arrow:
        page.click("#arrow")
    table = pa.ipc.open_stream(io.BytesIO(arrow.value.path().read_bytes())).read_all()
    origin = int(metadata(table.schema)["origin"].removesuffix(" ns"))
    wanted = [(origin + tick * 1_000_000, neuron) for tick, neuron in DOTS if tick < 1000 and neuron < 5]
    got = list(zip(table["t"].cast(pa.int64()).to_pylist(), table["neuron"].to_pylist(), strict=True))
    assert got == wanted
    with page.expect_download() as picture:
        page.click("#png")
    assert picture.value.path().read_bytes().startswith(b"\x89PNG")


def test_it_can_be_read_in_light_on_a_phone_and_after_a_reload(page: Page) -> None:
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    _wait(page, "globalThis.spikeflow?.state.figures")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    _wait(page, "spikeflow.panels.get('cell').data.count > 10")


@pytest.mark.slow
def test_it_comes_back_when_the_run_has_been_started_again(browser: Browser, tmp_path: Path) -> None:
    page = browser.new_page()
    with own_folder():
        first, address = _running(tmp_path, "127.0.0.1:0")
        with first:
            page.goto(address)
            _wait(page, "globalThis.spikeflow?.state.now > 200")
            began = page.evaluate("spikeflow.state.info.started")
        _wait(page, "document.getElementById('state').dataset.is === 'gone'")
        second, _ = _running(tmp_path, address.removeprefix("http://").rstrip("/"))
        with second:
            _wait(page, f"spikeflow.state.info.started !== {began} && spikeflow.state.now > 200")
            expect(page.locator("#state")).to_have_text("live")
    page.close()


@pytest.mark.slow
def test_it_says_that_a_run_that_was_started_again_has_another_token(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = browser.new_page()
    with own_folder():
        monkeypatch.setenv("SPIKEFLOW_MONITOR_TOKEN", "the-first-one")
        first, said = _running(tmp_path, "127.0.0.1:0")
        address = said.partition(",")[0]  # the token is not said again
        with first:
            page.goto(f"{address}?token=the-first-one")
            _wait(page, "globalThis.spikeflow?.state.info")
        monkeypatch.setenv("SPIKEFLOW_MONITOR_TOKEN", "the-second-one")
        second, _ = _running(tmp_path, address.removeprefix("http://").rstrip("/"))
        with second:
            expect(page.locator("#state")).to_contain_text("another token is asked for", timeout=30_000)
    page.close()
