"""JSON."""

from __future__ import annotations

import json
from typing import Any

import orjson

from spikeflow.errors import PayloadError
from spikeflow.nodes.payload import start_of
from spikeflow.nodes.payload_trees import TreeFormat


class Json(TreeFormat):
    """JSON; paths such as `$.acc` or `$.samples[*].v` say where the numbers are.

    A number is one event; an array gives one event a channel, in order, and an object of numbers one a channel, by
    name. With `channel`, or a `time` that is an array too, arrays hold events one after the other, and `[*]` gathers
    what each object of an array holds: `value: $.samples[*].v, time: $.samples[*].t`. With `every`, an array holds
    samples of one channel, the first of them at `time`. Of a key that is there twice the last one counts. What is
    written has the same paths; without any it is `{"stream": …, "t": …, "channel": …, "value": …}`, `neuron` instead
    of `channel` for spikes, and no `value` where they have none; each is an array where a message is a window.
    """

    def unpack(self, data: bytes) -> Any:
        """The tree; `NaN` and `Infinity`, which JSON does not have, are let through to be rejected one by one."""
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError as error:
            if "infinity" in str(error):
                raise PayloadError("not finite", start_of(data)) from None
            if b"NaN" not in data and b"Infinity" not in data:
                raise PayloadError("not json", start_of(data)) from None
        try:  # programs write such words all the same, and other numbers of the message are good
            return json.loads(data)
        except (ValueError, RecursionError):
            raise PayloadError("not json", start_of(data)) from None

    def pack(self, tree: Any) -> bytes:
        """The text; numbers that are not finite become null."""
        return orjson.dumps(tree, option=orjson.OPT_SERIALIZE_NUMPY)
