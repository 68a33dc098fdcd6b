"""The wire format: what crosses, and what hostile bytes do."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from grader.errors import WireError
from grader.worker import wire

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    a, b = socket.socketpair()
    with a, b:
        yield a, b


def _soon() -> float:
    return time.monotonic() + 0.2


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64, np.float32, np.float64])
def test_arrays_cross_with_dtype_shape_and_values(pair: Pair, dtype: type) -> None:
    sent = np.arange(6).reshape(2, 3).astype(dtype)
    wire.send(pair[0], wire.Message({"a": [1, "é"]}, {"x": sent, "scalar": np.array(2.5), "none": np.zeros((0, 3))}))
    got = wire.receive(pair[1])
    assert got.header == {"a": [1, "é"]}
    np.testing.assert_array_equal(got.arrays["x"], sent)
    assert got.arrays["x"].dtype == dtype
    assert got.arrays["scalar"].shape == ()
    assert got.arrays["none"].shape == (0, 3)


def test_nan_and_infinity_cross(pair: Pair) -> None:
    wire.send(pair[0], wire.Message({"v": float("nan")}, {"x": np.array([np.nan, np.inf])}))
    got = wire.receive(pair[1])
    assert np.isnan(got.header["v"])
    assert np.isnan(got.arrays["x"][0])


def test_subclasses_become_plain_arrays(pair: Pair) -> None:
    class Liar(np.ndarray):
        def __eq__(self, other: object) -> bool:  # type: ignore[override]
            return True

        __hash__ = None  # type: ignore[assignment]

    wire.send(pair[0], wire.Message({}, {"x": np.zeros(3).view(Liar)}))
    assert type(wire.receive(pair[1]).arrays["x"]) is np.ndarray


def test_received_arrays_are_writable_copies(pair: Pair) -> None:
    wire.send(pair[0], wire.Message({}, {"x": np.zeros(3)}))
    received = wire.receive(pair[1]).arrays["x"]
    received[0] = 1
    assert received[0] == 1


def test_object_arrays_do_not_cross(pair: Pair) -> None:
    with pytest.raises(WireError, match="x has dtype object"):
        wire.send(pair[0], wire.Message({}, {"x": np.array([object()])}))


def test_a_large_answer_is_refused_before_it_is_serialised(pair: Pair) -> None:
    huge = np.broadcast_to(np.zeros(1), (2**20, 2**10))  # 8 GiB, were it copied
    with pytest.raises(WireError, match="takes 8192 MiB; at most 64 MiB"):
        wire.send(pair[0], wire.Message({}, {"x": huge}))


def test_a_length_over_the_limit_is_refused_unread(pair: Pair) -> None:
    pair[0].sendall(struct.pack(">II", 2**32 - 1, 2**32 - 1))
    with pytest.raises(WireError, match="over the limit"):
        wire.receive(pair[1], _soon())


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (b"not json", b""),
        (b"[1]", b""),
        (b"[" * 100_000, b""),
        (b'{"a": ' + b"9" * 10_000 + b"}", b""),
        (b"\xff\xfe", b""),
        (b"{}", b"short"),
        (b"{}", struct.pack("<Q", 2**60) + b"{}"),
        (b"{}", struct.pack("<Q", 2) + b"{}trailing"),
        (b"{}", b"\x80\x04cos\nsystem\n(S'true'\ntR."),
    ],
)
def test_malformed_messages_are_refused(pair: Pair, header: bytes, payload: bytes) -> None:
    threading.Thread(
        target=pair[0].sendall, args=(struct.pack(">II", len(header), len(payload)) + header + payload,)
    ).start()
    with pytest.raises(WireError):
        wire.receive(pair[1], time.monotonic() + 5)


def test_a_dtype_that_numpy_lacks_is_refused(pair: Pair) -> None:
    index = json.dumps({"x": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    payload = struct.pack("<Q", len(index)) + index + b"\0\0"
    pair[0].sendall(struct.pack(">II", 2, len(payload)) + b"{}" + payload)
    with pytest.raises(WireError, match="arrays are malformed"):
        wire.receive(pair[1], _soon())


def test_a_truncated_message_times_out(pair: Pair) -> None:
    pair[0].sendall(struct.pack(">II", 100, 0) + b"{")
    with pytest.raises(TimeoutError):
        wire.receive(pair[1], _soon())


def test_a_dripping_message_times_out_in_all(pair: Pair) -> None:
    """A deadline for each read would let one byte a moment keep the judge for ever."""
    stop = threading.Event()

    def drip() -> None:
        pair[0].sendall(struct.pack(">II", 1000, 0))
        while not stop.wait(0.02):
            pair[0].sendall(b" ")

    thread = threading.Thread(target=drip)
    thread.start()
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        wire.receive(pair[1], _soon())
    assert time.monotonic() - started < 2
    stop.set()
    thread.join()


def test_a_closed_connection_is_its_own_error(pair: Pair) -> None:
    pair[0].close()
    with pytest.raises(wire.ConnectionClosed):
        wire.receive(pair[1], _soon())
