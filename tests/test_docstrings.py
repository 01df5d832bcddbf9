"""Every example in a docstring of the package does what it shows."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import spikeflow

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NAMES = sorted(m.name for m in pkgutil.walk_packages(spikeflow.__path__, "spikeflow.") if "__main__" not in m.name)


def examples(name: str) -> list[doctest.DocTest]:
    return [test for test in doctest.DocTestFinder().find(importlib.import_module(name)) if test.examples]


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_a_module_do_what_they_show(name: str) -> None:
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    for test in examples(name):
        assert runner.run(test).failed == 0, test.name


def test_there_are_examples() -> None:
    found = {test.name for name in NAMES for test in examples(name)}
    assert {"spikeflow.testing.running.run_node", "spikeflow.testing.conformance.check_node"} <= found
