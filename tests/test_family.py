"""Classes found by the name of their file, or by an entry point."""

from __future__ import annotations

import abc
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from spikeflow.errors import ParameterError
from spikeflow.family import Family


class Shape(abc.ABC):
    """A base for classes of a package."""

    @abc.abstractmethod
    def area(self) -> float: ...


MEMBER = """
from tests.test_family import Shape

class {name}(Shape):
    def area(self) -> float:
        return 1.0
"""
HALF = "from tests.test_family import Shape\n\nclass Half(Shape):\n    pass\n"


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Family[Shape]]]:
    """Make a package of files, and ask for its family."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def make(**files: str) -> Family[Shape]:
        folder = tmp_path / "shapes_of_a_test"
        folder.mkdir()
        (folder / "__init__.py").touch()
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        return Family(folder.name, Shape, "shape", "tests.shapes")  # type: ignore[type-abstract]

    yield make
    for name in set(sys.modules) - before:
        del sys.modules[name]


def offer(monkeypatch: pytest.MonkeyPatch, **places: str) -> None:
    entries = [EntryPoint(name, place, "tests.shapes") for name, place in places.items()]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: entries if group == "tests.shapes" else [])


def test_a_member_is_called_as_its_file(family: Callable[..., Family[Shape]]) -> None:
    found = family(square=MEMBER.format(name="Square"), disc=MEMBER.format(name="Round") + "\nTwin = Round\n")
    assert {name: cls.__name__ for name, cls in found.members.items()} == {"disc": "Round", "square": "Square"}


@pytest.mark.parametrize("text", ["", HALF, "from tests.test_family import Shape\n"])
def test_a_file_without_a_member_is_an_error(family: Callable[..., Family[Shape]], text: str) -> None:
    with pytest.raises(ParameterError, match=r"^shapes_of_a_test\.disc holds 0 shapes — leave one in the file$"):
        _ = family(disc=text).members


def test_a_file_with_two_members_is_an_error(family: Callable[..., Family[Shape]]) -> None:
    with pytest.raises(ParameterError, match=r"disc holds 2 shapes"):
        _ = family(disc=MEMBER.format(name="A") + MEMBER.format(name="B")).members


def test_an_installed_member_is_found_once_somebody_looks_again(
    family: Callable[..., Family[Shape]], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = family(disc=MEMBER.format(name="Disc"), ring=MEMBER.format(name="Ring"))
    assert list(found.members) == ["disc", "ring"]
    offer(monkeypatch, loop="shapes_of_a_test.ring:Ring", disc="shapes_of_a_test.ring:Ring")
    assert list(found.members) == ["disc", "ring"]
    found.forget()
    assert {name: cls.__name__ for name, cls in found.members.items()} == {
        "disc": "Disc",  # what comes with the package keeps its name
        "loop": "Ring",
        "ring": "Ring",
    }


def test_an_installed_member_that_cannot_be_had_says_why(
    family: Callable[..., Family[Shape]], monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(
        monkeypatch, gone="no_such_module_anywhere:Disc", bad="tests.spec.raises:Delta", half="shapes_of_a_test.h:Half"
    )
    found = family(h=HALF + MEMBER.format(name="Whole"))
    assert list(found.members) == ["h"]
    assert {name: str(error) for name, error in found.broken.items()} == {
        "gone": "'gone' cannot be imported: ModuleNotFoundError: No module named 'no_such_module_anywhere' "
        "— install what it needs",
        "bad": "'bad' cannot be imported: RuntimeError: no licence found — mend tests.spec.raises:Delta",
        "half": "shapes_of_a_test.h:Half is no shape — name a subclass of Shape",
    }
