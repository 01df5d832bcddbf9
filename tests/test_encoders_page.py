"""docs/encoders.md says what graphs make of the signals, and has a picture of every encoder."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from docs.encoder_cases import CASES, LEFT_OUT, THRESHOLD
from docs.encoder_pictures import BACK, SIGNAL, UP, draw
from docs.encoders_on_signals import PAGE, PICTURES, Outcome, Signal, measured, outcomes, page, signals
from spikeflow.catalog import kinds, node_class

NUMBER = re.compile(r"\d+\.\d+|\d+")
BYTES = 60_000
INVERSES = {case.kind: case for case in CASES if not case.frames}


def test_the_page_says_what_graphs_make_of_the_signals(tmp_path: Path) -> None:
    """With SPIKEFLOW_REWRITE=1 it is written anew; `python -m docs.encoders_on_signals` draws the pictures, too."""
    made = measured(tmp_path)
    expected = page(made)
    if os.environ.get("SPIKEFLOW_REWRITE"):
        PAGE.write_text(expected, encoding="utf-8")
    said = PAGE.read_text(encoding="utf-8")
    assert NUMBER.sub("#", said) == NUMBER.sub("#", expected), "run python -m docs.encoders_on_signals"
    for on_page, found in zip(NUMBER.findall(said), NUMBER.findall(expected), strict=True):
        last_digit = 10.0 ** -len(found.partition(".")[2])
        assert abs(float(on_page) - float(found)) < 1.5 * last_digit, "run python -m docs.encoders_on_signals"
    closed = [
        one.error[1] for _, outcome in made for one, case in zip(outcome, CASES, strict=True) if bounded(case.kind)
    ]
    assert len(closed) == 9
    assert max(closed) < THRESHOLD + 1e-6


def bounded(kind: str) -> bool:
    """Whether the way back is within a threshold, whatever comes."""
    return INVERSES[kind].closed and kind != "step_forward" if kind in INVERSES else False


def of(name: str, folder: Path) -> Signal:
    """The signal of a name."""
    return next(signal for signal in signals(folder) if signal.name == name)


@pytest.mark.parametrize("name", ["ECG", "motions", "host"])
def test_all_steps_at_once_keep_the_base_within_a_threshold(name: str, tmp_path: Path) -> None:
    case = INVERSES["step_forward"]
    every = replace(case, parameters={**case.parameters, "steps": "all"})
    one, all_ = outcomes(of(name, tmp_path), tmp_path, [case, every])
    assert all_.error[1] < THRESHOLD + 1e-6 < one.error[1]


@pytest.mark.parametrize("name", ["ECG", "motions", "host"])
def test_a_lower_threshold_than_its_own_brings_bsa_nearer(name: str, tmp_path: Path) -> None:
    case = INVERSES["bsa"]
    own = replace(case, parameters={key: value for key, value in case.parameters.items() if key != "threshold"})
    lower, default = outcomes(of(name, tmp_path), tmp_path, [case, own])
    assert lower.error[0] < 0.95 * default.error[0]


def test_every_encoder_is_on_the_page_or_gives_a_reason() -> None:
    shown = {case.kind for case in CASES}
    text = PAGE.read_text(encoding="utf-8")
    for kind in kinds("encoder"):
        cls = node_class("encoder", kind)
        if cls.__module__.startswith("spikeflow."):
            assert kind in shown or kind in LEFT_OUT or cls.gives == ("samples",)
            assert (f"\n## {kind}\n" in text) == (kind in shown)
            assert f"`{kind}`" in text or kind in shown


def test_every_encoder_has_a_picture_and_the_guide_leads_to_them() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert sorted(re.findall(r"\(encoders/(\w+)\.png\)", text)) == sorted(path.stem for path in PICTURES.iterdir())
    assert len(re.findall(r"!\[.+\]\(", text)) == len(CASES)
    for path in PICTURES.iterdir():
        assert path.stat().st_size < BYTES
        with Image.open(path) as picture:
            assert picture.format == "PNG"
    assert "(encoders.md)" in (PAGE.parent / "guide.md").read_text(encoding="utf-8")


def test_a_picture_shows_the_signal_its_spikes_and_the_way_back(tmp_path: Path) -> None:
    case, signal = INVERSES["send_on_delta"], of("motions", tmp_path)
    [found] = outcomes(signal, tmp_path, [case])
    assert inks(case.kind, signal, found, tmp_path) >= {SIGNAL, BACK, UP}
    tick, neuron, value = found.events
    silent = replace(found, back=None, events=(tick[:0], neuron[:0], value[:0]))
    assert inks(case.kind, signal, silent, tmp_path, lacking="nothing came") & {SIGNAL, UP, BACK} == {SIGNAL}


def inks(kind: str, signal: Signal, found: Outcome, folder: Path, lacking: str = "") -> set[str]:
    """The colours in the first panel of a picture."""
    path = folder / "picture.png"
    draw(replace(INVERSES[kind], why_not={signal.name: lacking} if lacking else {}), [signal], [found], path)
    with Image.open(path) as picture:
        colours = picture.convert("RGB").crop((90, 100, 890, 330)).getcolors(1 << 24)
    assert colours is not None
    return {ink for ink in (SIGNAL, BACK, UP) if any(near(colour, ink) for _, colour in colours)}


def near(colour: object, ink: str) -> bool:
    """Whether a colour is that ink, as far as a palette keeps it."""
    assert isinstance(colour, tuple)
    wanted = [int(ink[k : k + 2], 16) for k in (1, 3, 5)]
    return all(abs(have - want) < 12 for have, want in zip(colour, wanted, strict=True))
