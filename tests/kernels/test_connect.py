"""From a projection's fields to synapses, and what is said when they do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse
from pydantic import TypeAdapter

from spikeflow.errors import ParameterError
from spikeflow.kernels import Connect, Delay, Synapses, Weights, build, check
from spikeflow.kernels.layout import CSR, DENSE
from spikeflow.kernels.weight_files import File

CONNECT: TypeAdapter[Any] = TypeAdapter(Connect)
WEIGHTS: TypeAdapter[Any] = TypeAdapter(Weights)
DELAY: TypeAdapter[Any] = TypeAdapter(Delay)


def matrix(synapses: Synapses) -> npt.NDArray[np.float64]:
    """The sums of weights [pre, post]."""
    full = np.zeros((synapses.pre_size, synapses.post_size))
    if synapses.kind == DENSE:
        return full + synapses.weights
    if synapses.kind == CSR:
        assert synapses.start is not None and synapses.post is not None
        pre = np.repeat(np.arange(synapses.start.size - 1), np.diff(synapses.start)) % synapses.pre_size
        np.add.at(full, (pre, synapses.post), synapses.weights)
        return full
    return np.diag(synapses.weights)


def made(pre: int, post: int, **fields: Any) -> Synapses:
    for name, adapter in (("connect", CONNECT), ("weights", WEIGHTS), ("delay", DELAY)):
        if fields.get(name) is not None and not isinstance(fields[name], np.ndarray):
            fields[name] = adapter.validate_python(fields[name])
    return build(pre, post, dt=1e-3, **fields)


def test_a_matrix_for_pairs_of_neurons_is_told_what_would_work(tmp_path: Path) -> None:
    def said(weights: Any) -> str:
        with pytest.raises(ParameterError) as caught:
            check(4, 4, connect="one_to_one", weights=weights)
        return str(caught.value)

    scipy.sparse.save_npz(tmp_path / "sparse.npz", scipy.sparse.coo_array(np.eye(4)))
    assert said(File(path=tmp_path / "sparse.npz")) == (
        "sparse weights of shape [4, 4] for one_to_one — "
        "leave connect out, the file says which neurons it joins; or store [4] by numpy.savez"
    )
    matrix = "weights of shape [4, 4] for one_to_one — give [4], one for each pair, or leave connect out for a matrix"
    assert said(np.eye(4)) == matrix
    assert said(np.ones(5)) == "weights of shape [5] for one_to_one — give [4], one for each pair"


def test_without_weights_neurons_are_joined_one_to_one() -> None:
    np.testing.assert_array_equal(matrix(made(4, 4)), np.eye(4))
    with pytest.raises(ParameterError, match="one_to_one from 4 to 5 neurons — make the sizes agree, or give weights"):
        made(4, 5)


def test_with_a_number_all_are_joined() -> None:
    np.testing.assert_array_equal(matrix(made(2, 3, weights=0.5)), np.full((2, 3), 0.5))
    np.testing.assert_array_equal(matrix(made(2, 3, connect="all")), np.ones((2, 3)))


def test_autapses_can_be_left_out() -> None:
    np.testing.assert_array_equal(matrix(made(3, 3, weights=1.0, autapses=False)), 1 - np.eye(3))


def test_random_connections_have_the_counts_they_are_named_after() -> None:
    into = matrix(made(50, 40, connect={"indegree": 7}))
    out = matrix(made(50, 40, connect={"outdegree": 9}))
    assert (into.sum(axis=0) == 7).all() and into.max() > 1
    assert (out.sum(axis=1) == 9).all()
    share = (matrix(made(200, 200, connect={"probability": 0.2}, weights=1.0)) > 0).mean()
    assert abs(share - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 40_000)


@pytest.mark.parametrize("connect", [{"probability": 0.3}, {"indegree": 5}, {"outdegree": 5}, "all"])
def test_what_is_drawn_depends_on_seed_and_name_alone(connect: Any) -> None:
    def drawn(seed: int, name: str) -> npt.NDArray[np.float64]:
        return matrix(
            made(30, 20, connect=connect, weights={"normal": {"mean": 1.0, "std": 0.1}}, seed=seed, name=name)
        )

    assert (drawn(1, "a") == drawn(1, "a")).all()
    assert (drawn(1, "a") != drawn(2, "a")).any() and (drawn(1, "a") != drawn(1, "b")).any()


def test_a_draw_of_weights_does_not_depend_on_the_sizes_around_it() -> None:
    normal = {"normal": {"mean": 0.0, "std": 1.0}}
    small, large = matrix(made(3, 4, weights=normal)), matrix(made(30, 40, weights=normal))
    np.testing.assert_array_equal(small, large[:3, :4])
    many = matrix(made(200, 200, weights=normal))
    assert abs(many.mean()) < 0.02 and abs(many.std() - 1) < 0.02
    spread = matrix(made(100, 100, weights={"uniform": {"low": -1.0, "high": 3.0}}))
    assert -1 <= spread.min() < -0.9 and 2.9 < spread.max() < 3


def test_several_synapses_between_two_neurons_have_weights_of_their_own() -> None:
    drawn = made(1, 1, connect={"indegree": 5}, weights={"uniform": {"low": 0.0, "high": 1.0}})
    assert np.unique(drawn.weights).size == 5


def test_files_are_post_by_pre_unless_they_say_otherwise(tmp_path: Path) -> None:
    w = np.arange(6.0).reshape(3, 2)
    np.save(tmp_path / "w.npy", w)
    np.savez(tmp_path / "w.npz", a=w, b=w.T)
    scipy.sparse.save_npz(tmp_path / "s.npz", scipy.sparse.csr_array(w))
    at = str(tmp_path)
    for name, layout in (
        ("w.npy", "post_pre"),
        ("w.npz#a", "post_pre"),
        ("w.npz#b", "pre_post"),
        ("s.npz", "post_pre"),
    ):
        np.testing.assert_array_equal(matrix(made(2, 3, weights=f"{at}/{name}", layout=layout)), w.T)
    assert made(2, 3, weights=f"{at}/s.npz").kind == CSR


def test_a_shape_that_fits_only_transposed_is_an_error_that_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.zeros((2, 3)))
    weights = WEIGHTS.validate_python("w.npy", context={"folder": tmp_path})
    with pytest.raises(
        ParameterError, match=r"shape \[2, 3\], but \[post, pre\] is \[3, 2\].*only transposed — write layout: pre_post"
    ):
        check(2, 3, weights=weights)
    check(2, 3, weights=weights, layout="pre_post")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"connect": "al"}, "did you mean 'all'"),
        ({"connect": {"small_world": 3}}, "small_world' is not known — valid: .*probability"),
        ({"connect": {"probability": 1.5}}, "less than or equal to 1"),
        ({"weights": "w.txt"}, "no file of weights — write a number, or name a .npy"),
        ({"weights": {"gauss": {}}}, "not known"),
        ({"weights": {"uniform": {"low": 2, "high": 1}}}, "swap them"),
        ({"weights": float("nan")}, "finite"),
        ({"delay": "2"}, "no unit"),
        ({"delay": -1e-3}, "not negative"),
        ({"weights": 1.0, "delay": "1.5 ms"}, "not a whole number of ticks — write a multiple of 1 ms"),
        ({"weights": "/nowhere/w.npy"}, "there is no file"),
        ({"weights": np.zeros((3, 3))}, r"shape \[3, 3\]"),
        ({"weights": np.zeros((3, 2)), "connect": {"indegree": 3}}, "leave connect out"),
        ({"weights": np.zeros((3, 2)), "delay": np.zeros(3)}, r"delays of shape \[3\]"),
    ],
)
def test_what_does_not_fit_says_what_would(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        made(2, 3, **fields)


def test_an_unreadable_file_is_one_sentence(tmp_path: Path) -> None:
    for name in ("w.npy", "w.npz"):
        (tmp_path / name).write_bytes(b"not an array")
        with pytest.raises(ParameterError, match=r"is no whole .np[yz] file"):
            made(2, 3, weights=str(tmp_path / name))
    np.savez(tmp_path / "two.npz", alpha=np.zeros(1), beta=np.zeros(1))
    with pytest.raises(ParameterError, match=r"holds alpha, beta — name one, as two.npz#alpha"):
        made(2, 3, weights=str(tmp_path / "two.npz"))
    with pytest.raises(ParameterError, match="did you mean 'alpha'"):
        made(2, 3, weights=str(tmp_path / "two.npz#alpa"))


def test_delays_come_as_one_per_neuron_or_per_synapse(tmp_path: Path) -> None:
    w, late = np.arange(1.0, 7.0).reshape(3, 2), np.array([[0, 1], [2, 2], [1, 0]]) * 1e-3
    np.save(tmp_path / "d.npy", late)
    each = made(2, 3, weights=w, delay=str(tmp_path / "d.npy"))
    assert each.delays.tolist() == [0, 1, 2] and each.start is not None and each.post is not None
    rows = [each.post[a:b].tolist() for a, b in zip(each.start[:-1], each.start[1:], strict=True)]
    assert rows == [[0], [2], [2], [0], [1], [1]]  # delay outermost, then the presynaptic neuron
    by_neuron = made(2, 3, weights=w, delay=np.array([3e-3, 1e-3]))
    assert by_neuron.delays.tolist() == [1, 3] and by_neuron.member is not None
    assert by_neuron.member.tolist() == [1, 0]
