"""docs/reference.md says what the classes say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikeflow.catalog import ROLES, article, formats, kinds, node_class, rules
from spikeflow.cli.kinds import FORMAT, RULE, added, default_of, described
from spikeflow.spec import schema

PAGE = Path(__file__).parent.parent / "docs" / "reference.md"
OPENING = """# Reference: every kind and its keys

Made from the classes themselves; `spikeflow nodes KIND` prints the same. `SPIKEFLOW_REWRITE=1 pytest {test}`
writes it anew. A `time` carries its unit (`10 ms`), a `frequency` too (`40 Hz`). A parameter of a neuron model is one
value, a `.npy` file with one value per neuron, or a draw for each neuron: `{{normal: {{mean: …, std: …}}}}` or
`{{uniform: {{low: …, high: …}}}}`.
"""


def page() -> str:
    """The page as it should be."""
    definitions = schema()["$defs"]
    lines = [OPENING.format(test=f"tests/{Path(__file__).name}")]
    for role in ROLES:
        classes = {kind: node_class(role, kind) for kind in kinds(role)}
        own = {kind: cls for kind, cls in classes.items() if home(cls).startswith("spikeflow.")}
        found = [described(role, kind, cls, definitions) for kind, cls in own.items()]
        shared = [key for key in found[0]["keys"] if all(key in about["keys"] for about in found)]
        lines += [
            f"## {role.capitalize()}s",
            "",
            ", ".join(f"[{about['kind']}](#{role}-{about['kind']})" for about in found),
        ]
        lines += ["", f"Keys that {article(role)} of any kind has:", "", *table(shared), ""]
        for about in found:
            lines += [*section(about, shared), ""]
    said = [
        described(RULE, kind, cls, definitions) for kind, cls in rules().items() if home(cls).startswith("spikeflow.")
    ]
    lines += ["## Learning rules", "", ", ".join(f"[{about['kind']}](#{RULE}-{about['kind']})" for about in said), ""]
    lines += ["A projection says at `learn` how it learns, as in `learn: {stdp: {w_max: 2}, until: 10 s}`. Keys that"]
    lines += ["stand beside a rule of any kind:", "", *table(said[0]["beside"]), ""]
    for about in said:
        lines += [*section(about, []), ""]
    said = [
        described(FORMAT, k, cls, definitions) for k, cls in formats().items() if home(cls).startswith("spikeflow.")
    ]
    lines += [
        "## Payload formats",
        "",
        ", ".join(f"[{about['kind']}](#{FORMAT}-{about['kind']})" for about in said),
        "",
    ]
    lines += ["An `mqtt` source or sink says at `payload` how its messages are read and written, as in", ""]
    lines += ["```yaml", "payload: {format: csv, value: 1, time: 0, time_unit: ms}", "```", ""]
    shared = [key for key in said[0]["keys"] if all(key in about["keys"] for about in said)]
    lines += ["Keys that every format has:", "", *table(shared), ""]
    for about in said:
        lines += [*section(about, shared), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def home(cls: Any) -> str:
    """The module of a kind's class, or of its model."""
    return str(getattr(cls, "model_class", cls).__module__)


def section(about: dict[str, Any], shared: list[dict[str, Any]]) -> Iterator[str]:
    """All about one kind."""
    flow = (f" {verb.capitalize()} {' or '.join(about[verb])}." for verb in ("takes", "gives") if about.get(verb))
    first, _, more = about["description"].partition("\n\n")
    yield f"### {about['role']}: {about['kind']}"
    yield ""
    yield " ".join(first.split()) + "".join(flow)
    yield ""
    if more:
        yield from ("```text", *more.splitlines(), "```", "")
    own = [key for key in about["keys"] if key not in shared]
    if own:
        yield from table(own)
    yield ""
    for heading, text in added(about):
        if heading == "equations":
            yield from ("", "```python", *text.splitlines(), "```")
        elif "\n" in text:
            yield from (f"- **{heading}**:", *(f"  - {line}" for line in text.splitlines()))
        else:
            yield f"- **{heading}**: {text.replace('<', '&lt;')}"


def table(keys: list[dict[str, Any]]) -> Iterator[str]:
    """Keys as a table."""
    yield "| key | type | default | what it says |"
    yield "| --- | --- | --- | --- |"
    for key in keys:
        cells = (f"`{key['key']}`", key["type"], default_of(key), key["description"])
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"


def test_the_page_is_what_the_classes_say() -> None:
    """With SPIKEFLOW_REWRITE=1 it is written anew."""
    if os.environ.get("SPIKEFLOW_REWRITE"):
        PAGE.write_text(page(), encoding="utf-8")
    if PAGE.read_text(encoding="utf-8") != page():
        pytest.fail(f"docs/reference.md is behind: SPIKEFLOW_REWRITE=1 pytest tests/{Path(__file__).name}")


def test_every_kind_is_on_it_with_every_key() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for role in ROLES:
        for kind in kinds(role):
            cls = node_class(role, kind)
            assert f"### {role}: {kind}\n" in text
            assert all(f"`{key}`" in text for key in cls.model_fields if key != "inputs" or cls.most_inputs != 0)
    for kind, rule in rules().items():
        _, found, own = text.partition(f"### {RULE}: {kind}\n")
        own = own.partition("\n### ")[0]
        assert found and all(f"| `{key}` |" in own for key in rule.model_fields)
        assert "def trace_pre(" in own and "def trace_post(" in own and "def update(" in own
    for kind, of in formats().items():
        _, found, own = text.partition(f"### {FORMAT}: {kind}\n")
        shared = text.partition("Keys that every format has")[2].partition("\n### ")[0]
        own = own.partition("\n### ")[0] + shared
        assert found and all(f"| `{key}` |" in own for key in of.model_fields)
