"""A kernel text with a fault in it must not pass: each barrier that goes missing, each bound, order and offset."""

from __future__ import annotations

import functools
import itertools
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from spikeflow.errors import SpikeflowError
from spikeflow.kernels import Network, cuda_source, register, spread

from .cuda_hands import ahead
from .cuda_host import COMPILER, HostKernel, KernelError, Races, backend
from .cuda_networks import (
    Outcome,
    crossed,
    differences,
    drive,
    everything,
    lone,
    outcome,
    overflowing,
    pairs_swapped,
    recorded,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(COMPILER is None, reason="there is no g++ for Linux here"),
    pytest.mark.timeout(400),  # the first test waits for the compiler, which makes a kernel of every mutant
]

THREADS, BLOCKS = 70, 4  # three words of bits, the last one not full; no size is a multiple
WINDOW = 14
TEXT = cuda_source.shared_text()
WAITS = {letter: wait for wait, letter in re.findall(r"(__syncthreads\(\)|meet\(net\));  // ([A-Z]+|\d+):", TEXT)}

FAULTS = {
    "a neuron too many moves": ("n < own.end && move(", "n <= own.end && move("),
    "the last neuron of a block gets no input": (
        "n < own.end; n += blockDim.x) {\n        real *cell",
        "n + 1 < own.end; n += blockDim.x) {\n        real *cell",
    ),
    "a block steps a tile of its neighbour": ("high < before + tiles ? high - before : tiles;", "tiles;"),
    "the last tile belongs to nobody": ("(blockIdx.x + 1) / gridDim.x", "(blockIdx.x + 1) / (gridDim.x + 1)"),
    "nobody says how many spikes there are": ("own.end == group[G_SIZE])", "own.end < 0)"),
    "blocks go on before the last one is there": ("arrived, 0ULL) < end", "arrived, 0ULL) + 1 < end"),
    "a block does not wait for the next round": ("/ gridDim.x + 1) * gridDim.x;", "/ gridDim.x) * gridDim.x;"),
    "a level begins with the first population": ("        begin = end;\n", ""),
    "where a block began to read is not kept": ("else if (own.first == 0 && own.end > 0)", "else if (own.end < 0)"),
    "nobody holds samples": (
        "if (blockIdx.x == 0) {\n        double *held",
        "if (blockIdx.x == 9) {\n        double *held",
    ),
    "the last neuron of a copy gets no input": ("n < end; n += blockDim.x)\n", "n + 1 < end; n += blockDim.x)\n"),
    "copies hear their neighbour": (
        "picked[k].neuron / pre * projection[P_EACH]",
        "(picked[k].neuron / pre + 1) % 3 * projection[P_EACH]",
    ),
    "sparse copies hear their neighbour": ("arrival.neuron / pre == copy", "(arrival.neuron / pre + 1) % 3 == copy"),
    "the last copy hears nothing of what all hear": ("begin + 1 : copies", "begin + 1 : copies - (copies > 1)"),
    "a copy has synapses of its own": ("row[n - first]", "row[n % projection[P_STRIDE]]"),
    "what all hear goes to the first weights": ("weight + n % projection[P_EACH]", "weight + n % 7"),
    "one to one forgets the copy": ("copy * projection[P_EACH] + row;", "row;"),
    "sparse synapses forget the copy": ("copy * projection[P_EACH] + target)", "target)"),
    "delays of a copy are those of the first": ("neuron % projection[P_PRE]] == d", "neuron] == d"),
    "held values of the last copy are not looked at": (
        "projection[P_ALL] * (projection[P_STATE]",
        "projection[P_PRE] * (projection[P_STATE]",
    ),
    "the synapses of the last neuron are left out": (
        "low = own.first - copy * each, high = own.end",
        "low = own.first - copy * each, high = own.end - 1",
    ),
    "the synapses of a block begin one too late": ("if (post[middle] < target)", "if (post[middle] <= target)"),
    "rows are found one too late": ("shared.ahead[middle] > done + p", "shared.ahead[middle] >= done + p"),
    "what a row has before itself is forgotten": ("low > 0 ? shared.ahead[low - 1] : 0", "0"),
    "only the synapses that there is room for count": ("done < all; done += PICKS", "done < 1; done += PICKS"),
    "spikes are written one place too late": ("fired[before + __popc", "fired[before + 1 + __popc"),
    "a spike counts itself": ("spiked[w] & (bit - 1)", "spiked[w] & (bit - 1 + bit)"),
    "the last word of bits is not counted": ("words = (blockDim.x + 31) / 32", "words = blockDim.x / 32"),
    "bits stay set": ("if (spikes) atomicAnd(&spiked[word], ~bit);", ""),
    "bits are not cleared at the start": ("shared.spiked[w] = 0;", ";"),
    "spikes of one block of neurons replace the last": ("spikes, fired, count, shared)", "spikes, fired, 0, shared)"),
    "projections in the opposite order": (
        "number = net.table[k];",
        "number = net.table[2 * first + count - 1 - k];",
    ),
    "a projection's sum does not start from zero": (
        "real *cell = cell_of(reals, group, projection[P_ROW], n);",
        "real *cell = cell_of(reals, group, projection[P_INTO] < 0 ? projection[P_ROW] : projection[P_INTO], n);",
    ),
    "the spare sum is not cleared": ("*spare = 0;", ""),
    "presynaptic neurons descending": ("found[j].key < found[k].key ||", "found[j].key > found[k].key ||"),
    "merged neurons descending": ("index[next] < index[cursor[2 * chosen]]", "index[next] > index[cursor[2 * chosen]]"),
    "the longest delay first": ("index[next] < index[cursor[2 * chosen]]", "index[next] <= index[cursor[2 * chosen]]"),
    "several events of one neuron in any order": ("found[j].event < found[k].event", "found[j].event > found[k].event"),
    "more than there is room for is left out": ("if (!lasting) more = many > PICKS;", "if (!lasting) more = false;"),
    "delays a tick too long": ("(tick - delay[2 * d] + 1)", "(tick - delay[2 * d])"),
    "every delay for every neuron": ("return projection[P_MEMBER] < 0 ||", "return true ||"),
    "events count 1": ("source[S_VALUE] >= 0 ? net.value[source[S_VALUE] + event] : 1.0", "1.0"),
    "several synapses between two neurons count anew": ("if (before < p) continue;", ""),
    "several synapses between two neurons count once": (
        "for (int q = p; q < count; q++)",
        "for (int q = p; q <= p; q++)",
    ),
    "only the first arrivals count": (
        "more = left > PICKS;\n    const int many = more",
        "more = false;\n    const int many = left > PICKS",
    ),
    "held values begin again with each batch": (
        "const integer neuron = k / delays,",
        "const integer neuron = (k + 1) / delays,",
    ),
    "a record too late": ("(tick + every - 1) / every", "(tick + every) / every"),
    "records of the wrong neurons": ("net.post[row[R_NEURON] + k]", "net.post[row[R_NEURON] + k / 2]"),
    "events are let go of unread": ("delay[2 * d + 1]);", "delay[2 * d + 1] + 1);"),
    "events move one place too few": ("kept = column[k + by]", "kept = column[k + by - 1]"),
    "values stay where they were": ("if (source[S_VALUE] >= 0) move_down", "if (false) move_down"),
    "a coupling leaves the last neuron out": (
        "from + PICKS < all ? from + PICKS : all;",
        "from + PICKS < all ? from + PICKS : all - 1;",
    ),
    "a coupling starts from the wrong row": (
        "double value;\n        if (projection[P_STATE] >= 0) value = *cell_of(reals, group, projection[P_STATE],",
        "double value;\n        if (projection[P_STATE] >= 0) value = *cell_of(reals, group, projection[P_STATE] + 1,",
    ),
    "couplings that come after the equations come never": ("group[G_AFTER], group[G_AFTERS]", "group[G_AFTER], 0"),
    "spikes carry another state": ("net.real32, group, group[G_VALUE],", "net.real32, group, group[G_VALUE] - 1,"),
    "values are written one place too late": ("source[S_VALUE] + begin + k]", "source[S_VALUE] + begin + k + 1]"),
    "columns begin one synapse too late": (
        "integer k = column[n % each]; k < end",
        "integer k = column[n % each] + 1; k < end",
    ),
    "columns end in the next one": ("end = column[n % each + 1], base", "end = column[n % each + 1] + 1, base"),
    "columns of a copy hear the first one": ("? n / each * pre : 0;", "? 0 : 0;"),
    "what acts twice counts once": ("if (shared.twice) return false;", ""),
    "marked events are not read": (
        "cursor[2 * d] = cursor[2 * d + 1];\n    return true;",
        "cursor[2 * d] = cursor[2 * d];\n    return true;",
    ),
    "held values of columns count 1": ("? (real)held[place] : (real)1;", "? (real)1 : (real)1;"),
    "the last neuron learns nothing": ("end = after[G_SIZE];", "end = after[G_SIZE] - 1;"),
    "a row of synapses is one too short": ("end = starts[1];", "end = starts[1] - 1;"),
    "one to one learns from its neighbour": ("? row : end;", "? row + 1 : end;"),
    "a synapse learns from another neuron": ("to = place_of(after, neuron)", "to = place_of(after, 0)"),
    "a synapse learns from another input": ("from = place_of(before, row)", "from = place_of(before, 0)"),
    "learning never ends": ("if (tick >= row_of(net, H_LEARNING, LEARNING, k)[L_UNTIL]) continue;", ""),
    "order within a tick is not looked at": ("index[k - 1] <= index[k]", "true"),
}


HAND_FAULTS = {
    "a hand begins a tick too late": ("Model::wide, first + step, part", "Model::wide, first + step + 1, part"),
    "the last tick in hand is left out": ("step < ticks && !lost;", "step + 1 < ticks && !lost;"),
    "what arrives in the last tick is left out": ("step < ticks && hears;", "step + 1 < ticks && hears;"),
    "a hand is longer than a way back": (
        "least = way.tick + net.plan[X_HAND]",
        "least = way.tick + 2 * net.plan[X_HAND]",
    ),
    "later neurons of a block read on": ("if (hears && from > own.first) mark_cursors(net, group, true);", ""),
    "it is not kept where they begin to read": ("mark_cursors(net, group, false);", ""),
    "state is not stored": ("if (n < own.end) store(neuron.model, cell);", ""),
    "nobody hears what comes late in a hand": ("listens(net, group, first + ticks)", "listens(net, group, first + 1)"),
    "spikes of a hand are listed one too late": (
        "shared.found_in[step], shared);",
        "shared.found_in[step] + 1, shared);",
    ),
    "each part of the neurons lists from the start": (
        "found_in[step] = found;",
        "found_in[step] = found - (found > 1);",
    ),
    "spikes of other ticks are in the way": ("fired[step * net.plan[X_ROOM] + k]", "fired[k]"),
    "blocks write over the one before": (
        "if (block == blockIdx.x) before = all;",
        "if (block == blockIdx.x) before = 0;",
    ),
    "ticks write over the one before": ("at += shared.found_in[step];", "at += 0;"),
    "times are those of the first tick": ("before[step], tick = first + step;", "before[step], tick = first;"),
    "what is held is forgotten": ("integer at = counts[0];", "integer at = 0;"),
    "the next hand begins with the last level": ("        way.level = 0;\n", ""),
}


ALONE = {"S": recorded, "8": lone, "W": crossed}
ALONE |= dict.fromkeys(("Z", "AA", "AB", "AC", "AD", "11", "12"), ahead)
"""Waits that only a population without others needs (there are others between two of its moves else), and the one that
is needed where the first projection that is gone through is another thread's to set; and those of ticks in hand."""


ROWS = ("N", "sparse copies hear their neighbour")
"""What shows only where all sparse synapses go along rows."""


SILENT = ("A", "R", "S", "V", "W")
"""Waits whose lack no result is sure to show: a block here runs all its threads before another one, and without V one
thread changes what the others have read already. Nor do those of blocks for each other, which take turns when watched.
"""


@functools.cache
def reference(of: Callable[[str], Network] = everything) -> Outcome:
    return outcome(of("numpy"))


def passes(
    edit: Callable[[str], str],
    *,
    reverse: bool,
    races: Races = "unwatched",
    of: Callable[[str], Network] = everything,
) -> bool:
    """Whether a run of the edited text, on events of which a few are out of order, gives the reference's bits."""
    name = f"mutant {next(_counter)}"
    register(name, backend(THREADS, blocks=BLOCKS, reverse=reverse, races=races, edit=edit))
    net = of(name)
    return differences(outcome(net, pairs_swapped(drive(net)), window=WINDOW), reference(of)) == []


def network_of(letter: str) -> Callable[[str], Network]:
    return ALONE.get(letter, everything)


def is_found(edit: Callable[[str], str], races: Races = "unwatched", of: Callable[[str], Network] = everything) -> bool:
    """Whether a run differs from the reference, or breaks, in one of the two orders of the threads."""
    for reverse in (False, True):
        try:
            if not passes(edit, reverse=reverse, races=races, of=of):
                return True
        except (KernelError, SpikeflowError, IndexError, ValueError):
            return True
    return False


_counter = itertools.count()


def replaced(old: str, new: str) -> Callable[[str], str]:
    def edit(text: str) -> str:
        assert text.count(old) == 1, f"the text has {text.count(old)} times {old!r}"
        return text.replace(old, new)

    return edit


def without_barrier(letter: str) -> Callable[[str], str]:
    return replaced(f"{WAITS[letter]};  // {letter}:", f";  // {letter}:")


@pytest.fixture(autouse=True)
def rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if {chosen.get("letter"), chosen.get("fault")} & set(ROWS):
        monkeypatch.setattr(spread, "DENSE_FROM", 1e9)


@pytest.fixture(scope="module", autouse=True)
def compiled(request: pytest.FixtureRequest) -> None:
    """Has the compiler at work on every core: the texts of the tests that were asked for are known beforehand."""
    text = cuda_source.cuda_source(everything("numpy").program)
    kernels = set()
    for item in request.session.items:
        chosen = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if "letter" in chosen:
            letter = str(chosen["letter"])
            shown = cuda_source.cuda_source(network_of(letter)("numpy").program)
            kernels.add((without_barrier(letter)(shown), True))
        if "fault" in chosen:
            kernels.add((replaced(*FAULTS[str(chosen["fault"])])(text), False))
        if "hand_fault" in chosen:
            fault = str(chosen["hand_fault"])
            shown = cuda_source.cuda_source(ahead("numpy").program)
            kernels.add((replaced(*HAND_FAULTS[fault])(shown), False))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda kernel: HostKernel(kernel[0], watch=kernel[1]), sorted(kernels)))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("races", ["unwatched", "errors"])
def test_the_text_as_it_is_passes(reverse: bool, races: Races) -> None:
    assert passes(str, reverse=reverse, races=races)


def test_every_barrier_has_a_letter() -> None:
    assert len(WAITS) == TEXT.count("__syncthreads();") + TEXT.count("meet(net);")


@pytest.mark.parametrize("letter", WAITS)
def test_each_missing_barrier_is_seen_in_both_orders_by_those_who_watch(letter: str) -> None:
    for reverse in (False, True):
        with pytest.raises(KernelError):
            passes(without_barrier(letter), reverse=reverse, races="errors", of=network_of(letter))


def test_a_copy_whose_neurons_go_from_thread_to_thread_is_a_race() -> None:
    edit = replaced("n = first_own(own, first)", "n = first + (k + threadIdx.x) % blockDim.x")
    with pytest.raises(KernelError, match="a race"):
        passes(edit, reverse=False, races="errors")


@pytest.mark.slow
@pytest.mark.parametrize("letter", [letter for letter in WAITS if letter.isalpha() and letter not in SILENT])
def test_a_missing_barrier_shows_in_the_results_of_an_order(letter: str) -> None:
    assert is_found(without_barrier(letter), "forgiven", network_of(letter))


@pytest.mark.parametrize(("hand", "check"), [(1, "< source[S_SIZE]) return"), (64, "held < found) way.full")])
def test_a_window_that_takes_more_room_than_there_is_is_found(
    hand: int, check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "MOST_HAND", hand)
    edit = replaced(check, {1: "< 0) return", 64: "held < 0) way.full"}[hand])
    register("mutant without room", backend(THREADS, reverse=False, edit=edit))
    with pytest.raises(KernelError, match=r"past an end|wild access"):
        outcome(overflowing("mutant without room"), ticks=30)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(fault: str) -> None:
    assert is_found(replaced(*FAULTS[fault]))


@pytest.mark.parametrize("hand_fault", HAND_FAULTS)
def test_each_fault_of_ticks_in_hand_is_found(hand_fault: str) -> None:
    assert is_found(replaced(*HAND_FAULTS[hand_fault]), of=ahead)
