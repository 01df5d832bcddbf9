"""Paths in graph files: relative ones count from the folder of the graph file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo, WithJsonSchema


def _resolved(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    path = path.expanduser()
    return path if folder is None or path.is_absolute() else Path(folder) / path


GraphPath = Annotated[Path, AfterValidator(_resolved), WithJsonSchema({"type": "string"})]
"""A path; in a graph file it counts from the file's own folder, from Python from the working directory."""
