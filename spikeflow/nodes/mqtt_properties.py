"""MQTT 5: the user properties of a message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paho.mqtt.exception import MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers


def user_properties(data: bytes) -> Sequence[tuple[str, str]]:
    """Names and values, in order, of the user properties among the properties of a message.

    Args:
        data: the properties as they came, without their length; what is broken has none.
    """
    found: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    try:
        found.unpack(VariableByteIntegers.encode(len(data)) + data)  # type: ignore[no-untyped-call]
    except (MQTTException, ValueError, LookupError):
        return ()
    pairs: Sequence[tuple[str, str]] = getattr(found, "UserProperty", ())
    return pairs


def with_user_properties(pairs: Sequence[tuple[str, str]]) -> Properties | None:
    """The properties of a message with these names and values; None where there are none."""
    if not pairs:
        return None
    found: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    found.UserProperty = list(pairs)
    properties: Properties = found
    return properties


__all__ = ["user_properties", "with_user_properties"]
