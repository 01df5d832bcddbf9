"""A kernel text with a fault in it must not pass: each barrier that goes missing, each bound, order and offset."""

from __future__ import annotations

import functools
import itertools
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spikeflow.errors import SpikeflowError
from spikeflow.kernels import cuda_source, register

from .cuda_host import COMPILER, HostKernel, KernelError, Races, backend
from .cuda_networks import Outcome, differences, drive, everything, outcome, overflowing, pairs_swapped

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no g++ for Linux here")

THREADS = 40  # two words of bits, the second one not full; no size is a multiple
WINDOW = 14
TEXT = Path(cuda_source.__file__).with_name("network.cu").read_text()
BARRIERS = re.findall(r"__syncthreads\(\);  // ([A-Z]):", TEXT)

FAULTS = {
    "a neuron too many moves": ("n < group[G_SIZE] && move", "n <= group[G_SIZE] && move"),
    "the last neuron gets no input": (
        "n < group[G_SIZE]; n += blockDim.x) {\n        real *cell",
        "n + 1 < group[G_SIZE]; n += blockDim.x) {\n        real *cell",
    ),
    "the last neuron of a copy gets no input": ("n < end; n += blockDim.x)", "n + 1 < end; n += blockDim.x)"),
    "copies hear their neighbour": (
        "Copies{neuron % pre, own, own + 1}",
        "Copies{neuron % pre, (own + 1) % 3, (own + 1) % 3 + 1}",
    ),
    "the last copy hears nothing of what all hear": (
        "Copies{neuron, 0, projection[P_COPIES]}",
        "Copies{neuron, 0, projection[P_COPIES] - (projection[P_COPIES] > 1)}",
    ),
    "a copy has synapses of its own": (
        "weight[to.row * projection[P_STRIDE] + n - first]",
        "weight[to.row * projection[P_STRIDE] + n % projection[P_STRIDE]]",
    ),
    "what all hear goes to the first weights": ("weight + n % projection[P_EACH]", "weight + n % 7"),
    "one to one forgets the copy": ("copy * projection[P_EACH] + to.row;", "to.row;"),
    "sparse synapses forget the copy": ("copy * projection[P_EACH] + post[s]", "copy * 0 + post[s]"),
    "delays of a copy are those of the first": ("neuron % projection[P_PRE]] == d", "neuron] == d"),
    "held values of the last copy are not looked at": ("projection[P_ALL];\n", "projection[P_PRE];\n"),
    "a row is read one synapse too short": ("s < row[1]; s += blockDim.x", "s + 1 < row[1]; s += blockDim.x"),
    "spikes are written one place too late": (
        "const integer at = before + __popc",
        "const integer at = before + 1 + __popc",
    ),
    "a spike counts itself": ("spiked[w] & (bit - 1)", "spiked[w] & (bit - 1 + bit)"),
    "the last word of bits is not counted": ("words = (blockDim.x + 31) / 32", "words = blockDim.x / 32"),
    "bits stay set": ("if (spikes) atomicAnd(&spiked[word], ~bit);", ""),
    "bits are not cleared at the start": ("shared.spiked[w] = 0;", ";"),
    "spikes of one block of neurons replace the last": ("count = before;", ""),
    "projections in the opposite order": ("net.table[k]);", "net.table[2 * first + count - 1 - k]);"),
    "a projection's sum does not start from zero": (
        "real *cell = cell_of(reals, group, projection[P_ROW], n);",
        "real *cell = cell_of(reals, group, projection[P_INTO] < 0 ? projection[P_ROW] : projection[P_INTO], n);",
    ),
    "the spare sum is not cleared": ("*spare = 0;", ""),
    "presynaptic neurons descending": ("neuron < least", "neuron > least"),
    "the longest delay first": ("neuron < least", "neuron <= least"),
    "delays a tick too long": ("(tick - delay[0] + 1)", "(tick - delay[0])"),
    "every delay for every neuron": ("projection[P_MEMBER] < 0 ||", "true ||"),
    "events count 1": ("source[S_VALUE] >= 0 ? net.value[source[S_VALUE] + event] : 1.0", "1.0"),
    "several synapses between two neurons count anew": ("if (s > row[0] && post[s - 1] == post[s]) continue;", ""),
    "only the first arrivals count": ("many == PICKS;)", "many == PICKS; many = 0)"),
    "held values begin again with each batch": ("Arrival{from / delays", "Arrival{(from + 1) / delays"),
    "a record too late": ("(tick + every - 1) / every", "(tick + every) / every"),
    "records of the wrong neurons": ("net.post[row[R_NEURON] + k]", "net.post[row[R_NEURON] + k / 2]"),
    "events are let go of unread": ("if (next < first) first = next;", "if (next > first) first = next;"),
    "events move one place too few": ("kept = column[k + by]", "kept = column[k + by - 1]"),
    "values stay where they were": ("if (source[S_VALUE] >= 0) move_down", "if (false) move_down"),
    "a coupling leaves the last neuron out": ("from < projection[P_ALL] &&", "from + 1 < projection[P_ALL] &&"),
    "a coupling starts from the wrong row": ("projection[P_STATE], from)", "projection[P_STATE] + 1, from)"),
    "couplings that come after the equations come never": ("group[G_AFTER], group[G_AFTERS]", "group[G_AFTER], 0"),
    "spikes carry another state": ("net.real32, group, group[G_VALUE],", "net.real32, group, group[G_VALUE] - 1,"),
    "values are written one place too late": ("source[S_VALUE] + at]", "source[S_VALUE] + at + 1]"),
    "the last neuron learns nothing": ("end = after[G_SIZE];", "end = after[G_SIZE] - 1;"),
    "a row of synapses is one too short": ("end = starts[1];", "end = starts[1] - 1;"),
    "one to one learns from its neighbour": ("? row : end;", "? row + 1 : end;"),
    "a synapse learns from another neuron": ("to = place_of(after, neuron)", "to = place_of(after, 0)"),
    "a synapse learns from another input": ("from = place_of(before, row)", "from = place_of(before, 0)"),
    "learning never ends": ("if (tick < row_of(net, H_LEARNING, LEARNING, k)[L_UNTIL])", ""),
    "order within a tick is not looked at": ("index[k - 1] <= index[k]", "true"),
}


@functools.cache
def reference() -> Outcome:
    return outcome(everything("numpy"))


def passes(edit: Callable[[str], str], *, reverse: bool, races: Races = "unwatched") -> bool:
    """Whether a run of the edited text, on events of which a few are out of order, gives the reference's bits."""
    name = f"mutant {next(_counter)}"
    register(name, backend(THREADS, reverse=reverse, races=races, edit=edit))
    net = everything(name)
    return differences(outcome(net, pairs_swapped(drive(net)), window=WINDOW), reference()) == []


def is_found(edit: Callable[[str], str], races: Races = "unwatched") -> bool:
    """Whether a run differs from the reference, or breaks, in one of the two orders of the threads."""
    for reverse in (False, True):
        try:
            if not passes(edit, reverse=reverse, races=races):
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
    return replaced(f"__syncthreads();  // {letter}:", f"// {letter}:")


@pytest.fixture(scope="module", autouse=True)
def compiled(request: pytest.FixtureRequest) -> None:
    """Has the compiler at work on every core: the texts of the tests that were asked for are known beforehand."""
    text = cuda_source.cuda_source(everything("numpy").program)
    kernels = set()
    for item in request.session.items:
        chosen = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if "letter" in chosen:
            kernels.add((without_barrier(str(chosen["letter"]))(text), True))
        if "fault" in chosen:
            kernels.add((replaced(*FAULTS[str(chosen["fault"])])(text), False))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda kernel: HostKernel(kernel[0], watch=kernel[1]), sorted(kernels)))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("races", ["unwatched", "errors"])
def test_the_text_as_it_is_passes(reverse: bool, races: Races) -> None:
    assert passes(str, reverse=reverse, races=races)


def test_every_barrier_has_a_letter() -> None:
    assert len(BARRIERS) == len(set(BARRIERS)) == TEXT.count("__syncthreads();")


@pytest.mark.parametrize("letter", BARRIERS)
def test_each_missing_barrier_is_seen_in_both_orders_by_those_who_watch(letter: str) -> None:
    for reverse in (False, True):
        with pytest.raises(KernelError, match=r"a race|not every thread"):
            passes(without_barrier(letter), reverse=reverse, races="errors")


def test_a_copy_whose_neurons_go_from_thread_to_thread_is_a_race() -> None:
    edit = replaced("blockDim.x - first % blockDim.x", "blockDim.x + k - first % blockDim.x")
    with pytest.raises(KernelError, match="a race"):
        passes(edit, reverse=False, races="errors")


# Without D, one thread changes what others have read already; only the compiler could make them read it again.
@pytest.mark.parametrize("letter", [letter for letter in BARRIERS if letter != "D"])
def test_a_missing_barrier_shows_in_the_results_of_an_order(letter: str) -> None:
    assert is_found(without_barrier(letter), "forgiven")


def test_a_window_that_takes_more_room_than_there_is_is_found() -> None:
    edit = replaced("< source[S_SIZE]) return", "< 0) return")
    register("mutant without room", backend(THREADS, reverse=False, edit=edit))
    with pytest.raises(KernelError, match=r"past an end|wild access"):
        outcome(overflowing("mutant without room"), ticks=30)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(fault: str) -> None:
    assert is_found(replaced(*FAULTS[fault]))
