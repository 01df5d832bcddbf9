"""SenML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar, Literal

import orjson
from pydantic import Field

from spikeflow.errors import PayloadError, Problem
from spikeflow.nodes.cbor_items import load_cbor
from spikeflow.nodes.payload import Envelope, Events, Format, Reading, reading_of, start_of
from spikeflow.nodes.payload_times import NOTHING, short, stamp_of
from spikeflow.nodes.wanted import wanted

_VERSION = 10
_RELATIVE_BELOW = 2**28
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-:./_]*")
_LABELS = {-1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs", 0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb"}
_LABELS |= {5: "s", 6: "t", 7: "ut", 8: "vd"}
_NUMBERS = {label: number for number, label in _LABELS.items()}
_LONGEST_BINARY = 65_536


class Senml(Format):
    """SenML (RFC 8428): named and timed measurements, with base fields.

    The name of a measurement, its base name before it, is the name of a channel; `vb` counts as 0 or 1, texts and data
    are rejected. Times are those of the records: seconds since 1970, or, below 2^28, seconds from now. What is
    written has the name of the stream as base name, and the number of the channel or neuron behind it.
    """

    own_times: ClassVar[bool] = True

    encoding: Literal["json", "cbor"] = Field("json", description="the representation; one in CBOR has at most 64 kB")
    value: Literal["v", "s"] = Field("v", description="values, or the sums over time that some sensors send")

    def problems(self) -> Iterable[Problem]:
        """A time that is said twice, or a package that is missing."""
        yield from super().problems()
        if self.time is not None:
            yield Problem(("time",), "SenML says its times itself", "leave it out")
        if self.encoding == "cbor":
            yield from self.missing("cbor2")

    def read(self, data: bytes, envelope: Envelope) -> Reading:
        """The measurements of a pack."""
        records = self._records(data)
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise PayloadError("not senml", "it is no array of records")
        if not records:
            raise PayloadError("no value", "it is empty")
        now = Decimal(envelope.now_ns) / 1_000_000_000
        stamp = stamp_of("s") if envelope.timed else None
        return reading_of(self._resolved(records, now), stamp)

    def _records(self, data: bytes) -> Any:
        if self.encoding == "json":
            try:
                return orjson.loads(data)
            except orjson.JSONDecodeError:
                raise PayloadError("not json", start_of(data)) from None
        if len(data) > _LONGEST_BINARY:
            raise PayloadError("too large", f"{len(data)} bytes, and a binary pack has {_LONGEST_BINARY} at most")
        found = load_cbor(data, text_keys_above=_LONGEST_BINARY)
        if not isinstance(found, list):
            return found
        return [{_LABELS.get(k, k): v for k, v in one.items()} if isinstance(one, dict) else one for one in found]

    def _resolved(self, records: list[dict[Any, Any]], now: Decimal) -> Iterator[tuple[Any, Any, Any]]:
        """Name, value and time (s) of each record, the base fields so far put in."""
        base: dict[str, Any] = {}
        for record in records:
            self._know(record)
            base.update((label, value) for label, value in record.items() if label in ("bn", "bt", "bv", "bs"))
            if record.keys() <= {"bn", "bt", "bu", "bv", "bs", "bver"}:
                continue  # only says what holds for those that follow
            name, more = base.get("bn", ""), record.get("n", "")
            full = name + more if isinstance(name, str) and isinstance(more, str) else ""
            time = _sum(base.get("bt", 0), record.get("t", 0))
            if isinstance(time, Decimal) and time < _RELATIVE_BELOW:
                time = _sum(now, time)
            yield full if _NAME.fullmatch(full) else NOTHING, self._value(record, base), time

    def _know(self, record: Mapping[Any, Any]) -> None:
        """Refuse what must be understood and is not.

        Raises:
            PayloadError: a later version, or a label that ends with `_`.
        """
        version = record.get("bver", _VERSION)
        if isinstance(version, bool) or not isinstance(version, int) or version > _VERSION:
            raise PayloadError("version", f"{short(version)}, and {_VERSION} is known")
        for label in record:
            if isinstance(label, str) and label.endswith("_"):
                raise PayloadError("version", f"{short(label)} has to be understood, and is not")

    def _value(self, record: Mapping[Any, Any], base: Mapping[str, Any]) -> Any:
        if self.value == "s":
            return _sum(base.get("bs", 0), record["s"]) if "s" in record else NOTHING
        if "v" in record:
            return _sum(base["bv"], record["v"]) if "bv" in base else record["v"]
        for label in ("vb", "vs", "vd"):
            if label in record:
                return record[label]
        return base["bv"] if "bv" in base and "s" not in record else NOTHING

    def write(self, events: Events) -> bytes:
        """A pack with a record for each event."""
        # whole seconds once, and what is left of them exactly: a float of seconds since 1970 is only good to 0.2 µs
        whole = int(events.t_ns[0]) // 1_000_000_000
        records: list[dict[str, Any]] = [{"bn": f"{events.stream}:", "bt": whole}]
        label = self.value
        for t_ns, index, value in zip(events.t_ns.tolist(), events.index.tolist(), events.values.tolist(), strict=True):
            after = t_ns - whole * 1_000_000_000
            record = {"n": str(index), label: value, "t": after / 1e9}
            if records[-1].keys() == {"bn", "bt"}:
                record = records.pop() | record
            records.append(record)
        if self.encoding == "json":
            return orjson.dumps(records)
        packed: bytes = wanted("cbor2", "formats").dumps([{_NUMBERS[k]: v for k, v in one.items()} for one in records])
        return packed


def _sum(base: Any, more: Any) -> Any:
    """What both add up to, exactly; whichever is no number where one is not."""
    for one in (base, more):
        if isinstance(one, bool) or not isinstance(one, int | float | Decimal):
            return one if one is not None else NOTHING
    try:
        return Decimal(repr(base) if isinstance(base, float) else base) + Decimal(
            repr(more) if isinstance(more, float) else more
        )
    except ArithmeticError:
        return NOTHING
