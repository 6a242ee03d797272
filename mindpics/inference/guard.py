"""HTTP server of tools/serve: hosts, origins, sizes, time limits, a bounded queue, errors in JSON.

Flask answers; waitress reads requests, and calls Flask once the whole of one is here.
"""

import ctypes
import errno
import io
import json
import logging
import os
import socket
import threading
from contextlib import contextmanager
from http import HTTPStatus
from operator import attrgetter

from flask import Request, jsonify, request
from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import FixedStreamReceiver
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask
from waitress.utilities import BadRequest
from werkzeug.exceptions import Forbidden, HTTPException, RequestEntityTooLarge, ServiceUnavailable

HOSTS = ["127.0.0.1", "localhost"]  # any other name is DNS rebinding
CONNECTIONS = 64  # one more takes the place of the slowest to send its request
NO_CONNECTIONS = 2  # waitress counts its own socket and its pipe among them
THREADS = 8  # for the page and the refusals, beside those whose requests wait for a net
SECONDS = 60  # for a request to arrive, headers and body
HEADER = 16 << 10  # bytes
M_ARENA_MAX = -8  # of glibc's malloc.h
DRAINED = 64 << 20  # bytes of a refused upload that are read, so that its sender sees the answer
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class InMemory(Request):
    """A request whose uploads stay in memory: no temporary file is written."""

    def _get_file_stream(self, total_content_length, content_type, filename=None, content_length=None):
        return io.BytesIO()


class Queue:
    """Requests at work or waiting, all of whose bytes are here; one more is refused."""

    def __init__(self, places):
        self.places, self.free = places, threading.BoundedSemaphore(places)

    @contextmanager
    def place(self):
        """Hold a place; 503 with Retry-After when none is free."""
        if not self.free.acquire(blocking=False):
            raise ServiceUnavailable(
                f"{self.places} requests are waiting already; try again in a moment.", retry_after=2
            )
        try:
            yield
        finally:
            self.free.release()


def guard(app, max_bytes):
    """Set up a Flask app's limits, checks, headers and errors.

    Parameters
    ----------
    app : flask.Flask
    max_bytes : int
        Of a whole request.
    """
    app.request_class = InMemory
    app.config.update(MAX_CONTENT_LENGTH=max_bytes, MAX_FORM_MEMORY_SIZE=max_bytes, TRUSTED_HOSTS=HOSTS)
    app.json.sort_keys = False
    app.before_request(_check_origin)
    app.after_request(_add_headers)
    app.register_error_handler(RequestEntityTooLarge, lambda error: _too_large(error, max_bytes))
    app.register_error_handler(HTTPException, _as_json)
    app.register_error_handler(Exception, lambda error: _broken(app, error))


def listen(port):
    """Return a socket that listens on 127.0.0.1 only; who connects waits there until `make_server`'s server runs.

    Parameters
    ----------
    port : int
        0 for any free one.

    Raises
    ------
    ValueError
        In one line, of a port that there is not, is in use, or that this user may not take.
    """
    if not 0 <= port < 1 << 16:
        raise ValueError(f"port: found {port}; wanted 0 to 65535, 0 for any free one")
    try:
        return socket.create_server((HOSTS[0], port), backlog=CONNECTIONS)
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had: {os.strerror(error.errno)}"
        raise ValueError(f"Port {port} {reason}; port 0 takes a free one") from None


def make_server(app, listening, waiting, seconds=SECONDS):
    """Return a server, not yet run, of a guarded Flask app on a socket of `listen`.

    Parameters
    ----------
    app : flask.Flask
    listening : socket.socket
    waiting : int
        Requests that may hold a place in the app's `Queue`.
    seconds : int
        A request that is not whole by then is forgotten and its connection closed.
    """
    ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)  # else each thread's arena keeps what large uploads took
    logging.getLogger("waitress").setLevel(logging.ERROR)
    max_bytes = app.config["MAX_CONTENT_LENGTH"]
    return _Server(
        app,
        _sock=listening,
        bind_socket=False,
        sockinfo=(listening.family, listening.type, 0, None),
        host=HOSTS[0],
        server_name=HOSTS[0],
        ident="mindpics",
        log_socket_errors=False,
        threads=min(waiting, CONNECTIONS) + THREADS,
        connection_limit=CONNECTIONS + NO_CONNECTIONS,
        channel_timeout=seconds,
        cleanup_interval=1,
        max_request_header_size=HEADER,
        max_request_body_size=max(DRAINED, max_bytes) + 1,
        inbuf_overflow=max_bytes + 1,
        outbuf_overflow=DRAINED,
    )


class _Request(HTTPRequestParser):
    """A request whose body is as long as it says, and kept in memory, or dropped as it comes if it is too large."""

    def parse_header(self, header_plus):
        try:
            super().parse_header(header_plus)
        except ValueError:  # a number of thousands of digits
            raise ParsingError("The request cannot be read.") from None
        if self.chunked:
            self.error = _LengthRequired("An upload must say how long it is (Content-Length).")
            self.body_rcv, self.expect_continue = None, False  # answered now, with no look at the body
        elif self.content_length >= self.adj.inbuf_overflow:  # a browser looks at no answer until it has sent all
            self.body_rcv = FixedStreamReceiver(self.content_length, _Nowhere(1))


class _Nowhere(OverflowableBuffer):
    def append(self, data):
        pass


class _LengthRequired(BadRequest):
    code, reason = HTTPStatus.LENGTH_REQUIRED.value, HTTPStatus.LENGTH_REQUIRED.phrase


class _Refusal(ErrorTask):
    """What is no request at all is told so in the form of every other error."""

    def execute(self):
        error = self.request.error
        body = json.dumps({"error": error.body}).encode()
        self.status, self.content_length = f"{error.code} {error.reason}", len(body)
        self.response_headers += [*HEADERS.items(), ("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        self.set_close_on_finish()
        self.write(body)


class _Channel(HTTPChannel):
    """A connection whose time runs from its request's first byte; waitress's own starts anew with every byte."""

    parser_class, error_task_class = _Request, _Refusal

    def received(self, data):
        if self.request is None:
            self.begun = self.last_activity
        self.last_activity = self.begun
        return super().received(data)


class _Server(TcpWSGIServer):
    channel_class = _Channel

    def handle_accept(self):
        """Let a connection in; if it is the last one there may be, the slowest to send its request goes."""
        super().handle_accept()
        channels = [channel for channel in self.active_channels.values() if not channel.will_close]
        unfinished = [channel for channel in channels if not channel.requests]
        if len(channels) >= CONNECTIONS and unfinished:
            min(unfinished, key=attrgetter("last_activity")).will_close = True


def _check_origin():
    """Another site's page may not send anything here."""
    origin = request.headers.get("Origin")
    if origin and origin != request.host_url.rstrip("/"):
        raise Forbidden("Requests from other sites are refused.")


def _add_headers(response):
    response.headers.update(HEADERS)
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response


def _as_json(error):
    response = error.get_response()
    headers = [(key, value) for key, value in response.headers if key in ("Retry-After", "Allow")]
    return jsonify(error=error.description), error.code, headers


def _too_large(_, max_bytes):
    return jsonify(error=f"The upload is larger than {max_bytes / 1e6:g} MB."), HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def _broken(app, error):
    app.logger.error("%s %s", request.method, request.path, exc_info=error)
    return jsonify(error="Something broke here; the terminal says what."), HTTPStatus.INTERNAL_SERVER_ERROR
