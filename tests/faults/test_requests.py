"""What a neighbour may send to tools/serve, by raw sockets against the real process: it answers everyone else."""

import errno
import json
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from page_server import TOOL, serving

from mindpics.inference import guard

POST = "POST /api/traits HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"
CHUNKED = POST + "Transfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module")
def server(small_run):
    """A server that gives a request three seconds to arrive."""
    with serving(small_run, "--max-megabytes", "1", "--waiting", "4", "--seconds", "3") as client:
        yield client
        assert client.process.poll() is None


@pytest.fixture(scope="module")
def picture(small_run):
    return (small_run.parent / "emoji" / "images" / "0.png").read_bytes()


def connect(server, text=""):
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall(text.encode())
    return connection


def answer(connection):
    """Return (status, JSON) of what comes until the server closes."""
    with connection, connection.makefile("rb") as stream:
        head, _, body = stream.read().partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@contextmanager
def hanging(server, count, text):
    connections = [connect(server, text) for _ in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.parametrize("headers", ["", "Content-Length: 3\r\n", "Expect: 100-continue\r\n"])
@pytest.mark.parametrize("size", ["ffff", "400", "7fffffffffffffff", "ffffffffffffffffffff", "-1", "0x3", "", "3;a=b"])
def test_a_chunk_that_says_it_is_larger_than_what_follows_is_not_even_read(server, size, headers):
    """werkzeug's server ended with a segmentation fault."""
    connection = connect(server, f"{CHUNKED}{headers}\r\n{size}\r\nabc\r\n0\r\n\r\n")
    connection.shutdown(socket.SHUT_WR)
    assert answer(connection) == (411, {"error": "An upload must say how long it is (Content-Length)."})
    assert server.process.poll() is None and server.get("/api/about")[0] == 200


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        ("\x16\x03\x01\r\n\r\n", 400),
        (POST + "Content-Length: -1\r\n\r\n", 400),
        (POST + f"Content-Length: {'9' * 5000}\r\n\r\n", 400),
        (POST + "Content-Length: 99999999999\r\n\r\n", 413),
        (POST + "Transfer-Encoding: gzip\r\n\r\n", 501),
        ("GET / HTTP/1.1\r\nLong: ".ljust(1 << 14, "x"), 431),
    ],
)
def test_what_is_no_request_is_told_so_in_json(server, text, status):
    found, said = answer(connect(server, text))
    assert found == status and said["error"]
    assert server.get("/api/about")[0] == 200


def test_eleven_uploads_that_hang_hold_no_places(server, picture):
    with hanging(server, 11, POST + "Content-Length: 900\r\n\r\n\x89PNG"):
        time.sleep(0.3)
        assert [server.post("/api/traits", picture=picture)[0] for _ in range(3)] == [200] * 3


def test_an_upload_shorter_than_it_says_gets_no_answer_and_harms_nobody(server, picture):
    connection = connect(server, POST + "Content-Length: 900\r\n\r\nabc")
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(1) == b""
    assert server.post("/api/traits", picture=picture)[0] == 200


@contextmanager
def dripping(server, count, text, drop):
    """Connections that begin with a text and then send a drop ten times a second each."""
    over = threading.Event()

    def drip(connections):
        while not over.wait(0.1):
            for connection in connections:
                try:
                    connection.sendall(drop)
                except OSError:
                    continue  # it was closed, as it should be

    with hanging(server, count, text) as connections:
        thread = threading.Thread(target=drip, args=[connections])
        thread.start()
        try:
            yield connections
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("count", [guard.CONNECTIONS, 3 * guard.CONNECTIONS])
@pytest.mark.parametrize(
    ("text", "drop"),
    [
        ("GET / HTTP/1.1\r\nLong: ", b"x"),
        (POST + "Content-Length: 99999\r\n\r\n", b"x"),
        ("", b"\r\n\r\n"),
    ],
)
def test_connections_that_drip_do_not_stop_answers(server, picture, text, drop, count):
    with dripping(server, count, text, drop):
        time.sleep(0.3)
        for _ in range(5):
            assert server.get("/")[0] == 200
            assert server.post("/api/traits", picture=picture)[0] == 200


@pytest.mark.parametrize("text", ["GET / HTTP/1.1\r\nLong: ", POST + "Content-Length: 99999\r\n\r\n"])
def test_a_request_that_drips_is_closed_when_its_time_is_over(server, text):
    with dripping(server, 1, text, b"x") as [connection]:
        assert connection.recv(1) == b""  # or a timeout after 20 seconds


@pytest.mark.parametrize(
    ("port", "message"),
    [
        ("99999", "port: found {}; wanted 0 to 65535"),
        (None, "Port {} is in use; port 0 takes a free one"),
    ],
)
def test_a_port_that_cannot_be_had_is_one_line_and_no_other_port(server, small_run, port, message):
    port = port or str(server.port)
    done = subprocess.run([sys.executable, TOOL, small_run, "--port", port], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "http://" not in done.stdout
    assert re.fullmatch(f"serve: {re.escape(message.format(port))}[^\n]*\n", done.stderr)


def test_a_port_that_this_user_may_not_take_is_told_so(monkeypatch):
    """The system's refusal is played, since in a container everyone may take port 80."""

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied (while attempting to bind)")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(ValueError, match="Port 80 cannot be had: Permission denied; port 0 takes a free one"):
        guard.listen(80)
