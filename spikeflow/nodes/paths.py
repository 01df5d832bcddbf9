"""Paths in graph files: relative ones count from the folder of the graph file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo, WithJsonSchema

from spikeflow.errors import shown


def _resolved(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    path = path.expanduser()
    return path if folder is None or path.is_absolute() else Path(folder) / path


GraphPath = Annotated[Path, AfterValidator(_resolved), WithJsonSchema({"type": "string"})]
"""A path; in a graph file it counts from the file's own folder, from Python from the working directory."""


def written(path: Path) -> Mapping[str, str]:
    """What a node claims that writes the file at its key `path`: of two, one would write over the other."""
    return {"path": f"the file {shown(Path(os.path.normpath(path)))!r}"}
