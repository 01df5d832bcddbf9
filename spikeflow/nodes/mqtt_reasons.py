"""MQTT: why a broker says no, and why a connection fails, a sentence each."""

from __future__ import annotations

import re
import ssl

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.reasoncodes import ReasonCode

_CODE = re.compile(r"\[(Errno -?|code:)\d+\]\s*")
_TLS = re.compile(r"\[[A-Z_0-9: ]+\]\s*|\s*\(_ssl\.c:\d+\)")

REFUSED = 128
"""Codes from here on are refusals."""
TOO_LARGE = 149
BREAKS = 256
"""No code of MQTT: the broker says nothing to a message, and closes the connection."""

SENTENCES = {
    16: "nobody listens there",
    128: "the broker gives no reason",
    129: "the broker could not read what was sent",
    130: "the broker says that the protocol was broken",
    131: "the broker has a reason of its own",
    132: "the broker does not speak this version of MQTT",
    133: "the broker does not take this client id",
    134: "the user name or the password is wrong",
    135: "the user is not allowed to do that",
    136: "the broker is not available",
    137: "the broker is busy",
    138: "the broker has banned this client",
    139: "the broker shuts down",
    140: "the broker wants another way to log in",
    141: "the broker has heard nothing for too long",
    142: "another client has come with the same client id",
    143: "the broker does not take this topic filter",
    144: "the broker does not take this topic",
    145: "the number of the message is in use",
    146: "the number of the message is unknown",
    147: "more messages were under way than the broker takes",
    148: "the broker does not take this topic alias",
    149: "the message is larger than the broker takes",
    150: "messages come faster than the broker takes",
    151: "a quota of the broker is used up",
    152: "an administrator has ended it",
    153: "the payload is not what was said",
    154: "the broker keeps no retained messages",
    155: "the broker does not have this QoS",
    156: "the broker asks to use another one for now",
    157: "the broker has moved for good",
    158: "the broker has no shared subscriptions",
    159: "connections come faster than the broker takes",
    160: "the broker ends connections after a time",
    161: "the broker has no subscription identifiers",
    162: "the broker has no subscriptions with wildcards",
    BREAKS: "the broker closes the connection on it",
}
"""Reason code of MQTT 5 to what it means; those of 3.1.1 are given as these."""

_NO_VERSION = 132
_OLD = {1: 132, 2: 133, 3: 136, 4: 134, 5: 135}
"""What a broker of 3.1.1 says to a connection."""
_OF_CONNECTIONS = {135: "the broker does not let this user in, or the password is wrong"}
_FINAL = frozenset((132, 133, 134, 135, 138, 140, 157))
"""Refusals of a connection that stay the same however often one asks."""

_ALERTS = {
    "CERTIFICATE_REQUIRED": "it wants a certificate of the client; name one under tls",
    "HANDSHAKE_FAILURE": "they agree on no way to encrypt, or it wants a certificate of the client",
    "UNKNOWN_CA": "it does not know who has signed the certificate of the client",
    "CERTIFICATE_EXPIRED": "the certificate of the client has expired",
    "CERTIFICATE_REVOKED": "the certificate of the client has been revoked",
    "BAD_CERTIFICATE": "it does not take the certificate of the client",
    "CERTIFICATE_UNKNOWN": "it does not take the certificate of the client",
    "ACCESS_DENIED": "it does not take the certificate of the client",
    "PROTOCOL_VERSION": "it does not have this version of TLS",
    "UNSUPPORTED_PROTOCOL": "it has only versions of TLS below the least one that is allowed here",
    "WRONG_VERSION_NUMBER": "what answers there does not speak TLS; is it the port for it?",
}


def sentence(code: int) -> str:
    """What a reason code means."""
    return SENTENCES.get(code, f"the broker gives reason {code}")


def short(code: int) -> str:
    """What a refused message is counted under."""
    return f"refused: {sentence(code)}"


def reason(error: BaseException) -> str:
    """Why a connection failed, in words."""
    cause = error.__cause__ or error
    if isinstance(cause, MqttConnectError):
        return _OF_CONNECTIONS.get(_number(cause)) or sentence(_number(cause))
    if isinstance(cause, ssl.SSLError):
        return _of_tls(cause)
    if isinstance(cause, aiomqtt.MqttCodeError) and isinstance(cause.rc, ReasonCode) and cause.rc.value > REFUSED:
        return sentence(cause.rc.value)  # 128 is also what the library says of a connection that just broke
    text = _CODE.sub("", str(cause).strip()) or type(cause).__name__
    return "the connection broke" if text == "Unspecified error" else text


class VersionError(aiomqtt.MqttError):
    """A broker does not speak the version of MQTT that is asked for."""


def is_of_version(error: BaseException) -> bool:
    """Whether a broker says that it does not speak a version of MQTT."""
    cause = error.__cause__ or error
    return isinstance(cause, MqttConnectError) and _number(cause) == _NO_VERSION


def is_final(error: BaseException) -> bool:
    """Whether asking again changes nothing: a certificate, a name or a password is wrong."""
    cause = error.__cause__ or error
    if isinstance(cause, MqttConnectError):
        return _number(cause) in _FINAL
    if isinstance(cause, VersionError):
        return True
    return isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError)


def _number(error: MqttConnectError) -> int:
    code = getattr(error.rc, "value", error.rc)
    number = int(code) if isinstance(code, int) else 0
    return _OLD.get(number, number)


def _of_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        said = error.verify_message.rstrip(".")
        return f"the broker's certificate is not to be trusted: {said}"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "it hung up while the encrypted connection was made; does it speak this version of TLS?"
    name = error.reason or ""
    for alert, meaning in _ALERTS.items():
        if name.endswith(alert):
            return f"the broker refuses the encrypted connection: {meaning}" if "ALERT" in name else meaning
    return f"no encrypted connection: {_TLS.sub('', str(error)).strip() or type(error).__name__}"
