"""Graph files: YAML with positions to a checked, frozen graph."""

from spikeflow.spec.load import load
from spikeflow.spec.mermaid import to_mermaid
from spikeflow.spec.model import GraphSpec, Link, NodeSpec
from spikeflow.spec.schema import schema

__all__ = ["GraphSpec", "Link", "NodeSpec", "load", "schema", "to_mermaid"]
