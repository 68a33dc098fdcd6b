"""The wire format between judge and worker: a JSON header and plain arrays, both capped. Never pickle.

One message is two big-endian 32-bit lengths, then the header (UTF-8 JSON, an object), then the arrays (safetensors).
Both sides use this module; it imports neither torch nor anything of the judge.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from grader.errors import WireError

__all__ = ["Arrays", "ConnectionClosed", "Limits", "Message", "receive", "send"]

Arrays = Mapping[str, NDArray[Any]]
_LENGTHS = struct.Struct(">II")
_DTYPES = frozenset("?bBhHiIlLqQfd")


class ConnectionClosed(WireError):
    """The other side is gone."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest header and payload accepted, in bytes."""

    header: int = 4 << 20
    payload: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Message:
    """A header of JSON values and named arrays (bool, integers, float32, float64)."""

    header: Mapping[str, Any]
    arrays: Arrays = field(default_factory=dict)


def send(sock: socket.socket, message: Message, limits: Limits | None = None) -> None:
    """Send one message.

    Raises:
        WireError: an array has a dtype that does not cross, or the message is over ``limits``.
    """
    limits = limits or Limits()
    for name, array in message.arrays.items():
        if array.dtype.char not in _DTYPES:
            raise WireError(f"{name} has dtype {array.dtype}, which does not cross the wire")
    size = sum(array.nbytes for array in message.arrays.values())
    if size > limits.payload:
        raise WireError(f"the answer takes {size >> 20} MiB; at most {limits.payload >> 20} MiB are accepted")
    arrays = {name: np.asarray(a, order="C") for name, a in message.arrays.items()}
    header = json.dumps(dict(message.header)).encode()
    if len(header) > limits.header:
        raise WireError(f"the answer's text takes {len(header)} bytes; at most {limits.header} are accepted")
    payload = save(arrays) if arrays else b""
    sock.sendall(_LENGTHS.pack(len(header), len(payload)) + header + payload)


def receive(sock: socket.socket, deadline: float | None = None, limits: Limits | None = None) -> Message:
    """Receive one message, however the other side misbehaves.

    Args:
        sock: a connected stream socket.
        deadline: a value of ``time.monotonic()`` after which TimeoutError is raised; None waits for ever.
        limits: what is accepted; a length over it is refused before a byte of it is read.

    Raises:
        ConnectionClosed: the other side closed the connection.
        TimeoutError: the message is not complete at ``deadline``.
        WireError: the bytes are not a well-formed message within ``limits``.
    """
    limits = limits or Limits()
    header_size, payload_size = _LENGTHS.unpack(_read(sock, _LENGTHS.size, deadline))
    if header_size > limits.header or payload_size > limits.payload:
        raise WireError(f"a message of {header_size} + {payload_size} bytes is over the limit")
    header = _parse_header(_read(sock, header_size, deadline))
    return Message(header, _parse_arrays(_read(sock, payload_size, deadline)))


def _read(sock: socket.socket, size: int, deadline: float | None) -> bytes:
    buffer = bytearray()
    while len(buffer) < size:
        if deadline is None:
            sock.settimeout(None)
        else:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            sock.settimeout(remaining)
        try:
            chunk = sock.recv(min(size - len(buffer), 1 << 20))
        except ConnectionError:
            chunk = b""
        if not chunk:
            raise ConnectionClosed("the other side closed the connection")
        buffer += chunk
    return bytes(buffer)


def _parse_header(data: bytes) -> dict[str, Any]:
    try:
        # Escapes can spell half a surrogate pair, which no terminal or file takes.
        header = json.loads(json.dumps(json.loads(data), ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise WireError(f"the header is not JSON: {type(error).__name__}") from None
    if not isinstance(header, dict):
        raise WireError("the header is not a JSON object")
    return header


def _parse_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Plain, writable numpy arrays in the order of their names: whatever class they had on the other side is gone."""
    if not data:
        return {}
    try:
        return {name: np.array(array, copy=True, subok=False) for name, array in sorted(load(data).items())}
    except Exception as error:  # a Rust parser over hostile bytes: every failure means the same
        raise WireError(f"the arrays are malformed: {type(error).__name__}") from None
