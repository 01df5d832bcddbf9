"""What MQTT clients are measured with: a stub broker that pushes, and a publisher that keeps a pace."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from pathlib import Path

from tests.packets import length

_BLOCK = 1 << 16
_IDS = 65_535
_ARRIVES_S = 0.3


def publish(topic: str, payload: bytes, qos: int = 0, mid: int = 0, v5: bool = False) -> bytes:
    """A message as it is sent."""
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + (mid.to_bytes(2, "big") if qos else b"") + b"\0" * v5 + payload
    return bytes([0x30 | qos << 1]) + length(len(body)) + body


class Packets:
    """Packets out of a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._data = b""

    def read(self) -> list[tuple[int, bytes]]:
        """First byte and body of the next packets; all must be shorter than 128 bytes."""
        self._data += self._connection.recv(_BLOCK)
        found, at = [], 0
        while len(self._data) - at >= 2 and len(self._data) - at >= 2 + self._data[at + 1]:
            end = at + 2 + self._data[at + 1]
            found.append((self._data[at], self._data[at + 2 : end]))
            at = end
        self._data = self._data[at:]
        return found


def blast(port: int, topic: str, qos: int, count: int, template: Path) -> None:
    """Take one client, and push so many messages as fast as its socket takes them; TCP is the only brake."""
    payload = template.read_bytes()
    with socket.create_server(("127.0.0.1", port)) as server:
        print("listens", flush=True)
        connection, _ = server.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    packets = Packets(connection)
    v5 = subscribed = False
    while not subscribed:
        for head, body in packets.read():
            if head >> 4 == 1:
                v5 = body[6] == 5
                connection.sendall(b"\x20\x03\0\0\0" if v5 else b"\x20\x02\0\0")
            elif head >> 4 == 8:
                answer = body[:2] + (b"\0" if v5 else b"") + bytes([qos])
                connection.sendall(b"\x90" + bytes([len(answer)]) + answer)
                subscribed = True
    time.sleep(_ARRIVES_S)
    every = max(1, _BLOCK // len(publish(topic, payload, 1, 1, v5)))
    blocks = [
        b"".join(publish(topic, payload, qos, mid + 1, v5) for mid in range(first, min(first + every, _IDS)))
        for first in range(0, _IDS if qos else every, every)
    ]
    sizes = [min(every, _IDS - first) for first in range(0, _IDS if qos else every, every)]
    sent = turn = 0
    acknowledged = 0
    connection.setblocking(True)
    while sent < count:
        connection.sendall(blocks[turn % len(blocks)])
        sent += sizes[turn % len(sizes)]
        turn += 1
        while qos:  # what is answered must be read, else both sides fill up
            behind = sent - acknowledged > _IDS // 2
            acknowledged += _answered(connection, packets, behind)
            if not behind:
                break
    print(json.dumps({"pushed": sent}), flush=True)
    connection.settimeout(60.0)
    with contextlib.suppress(ConnectionResetError):  # a client that has had enough may leave answers unread
        while connection.recv(_BLOCK):
            pass


def _answered(connection: socket.socket, packets: Packets, wait: bool) -> int:
    """How many answers are there; waits for some where the client is far behind."""
    found = 0
    connection.setblocking(wait)
    try:
        while True:
            found += sum(head >> 4 in (4, 5) for head, _ in packets.read())
            connection.setblocking(False)
    except BlockingIOError:
        return found
    finally:
        connection.setblocking(True)


def pace(port: int, topic: str, qos: int, count: int, rate: float) -> None:
    """Publish numbers to a broker, and print when each was sent (ns, monotonic)."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04pace")
    connection.recv(4)
    sent = []
    began = time.monotonic_ns()
    for number in range(count):
        due = began + int(number * 1e9 / rate)
        while (left := due - time.monotonic_ns()) > 0:
            time.sleep(left / 1e9)
        sent.append(time.monotonic_ns())
        said = b'{"t":%d,"s":"imu/3","v":%d,"x":[1,2.5]}' % (sent[-1], number)
        message = publish(topic, said, qos, number % _IDS + 1)
        connection.sendall(message)
    print(json.dumps(sent), flush=True)
    time.sleep(_ARRIVES_S)


if __name__ == "__main__":
    if sys.argv[1] == "blast":
        blast(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), Path(sys.argv[6]))
    else:
        pace(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6]))
