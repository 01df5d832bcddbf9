"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import settings

# a slow machine is no failure; and what is drawn there is the same at every run, so that a red run is somebody's doing
settings.register_profile("spikeflow", deadline=None, print_blob=True, derandomize=bool(os.environ.get("CI")))
settings.load_profile("spikeflow")
