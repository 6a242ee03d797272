"""What stands between a browser and the page's answers: hosts, origins, sizes, a bounded queue, errors in JSON."""

import ctypes
import io
import threading
from contextlib import contextmanager
from http import HTTPStatus

from flask import Request, jsonify, request
from werkzeug.exceptions import Forbidden, HTTPException, RequestEntityTooLarge, ServiceUnavailable
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

HOSTS = ["127.0.0.1", "localhost"]  # any other name is DNS rebinding
CONNECTIONS = 64  # the next ones wait in the kernel
M_ARENA_MAX = -8  # of glibc's malloc.h
SILENCE = 30  # seconds of a connection that sends nothing
DRAINED = 64 << 20  # bytes of a refused upload that are read, so that its sender sees the answer
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
                               "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}  # fmt: skip


class InMemory(Request):
    """A request whose uploads stay in memory: no temporary file is written."""

    def _get_file_stream(self, total_content_length, content_type, filename=None, content_length=None):
        return io.BytesIO()


class Queue:
    """Requests at work or waiting; one more is refused rather than kept in memory."""

    def __init__(self, places):
        self.places, self.free = places, threading.BoundedSemaphore(places)

    @contextmanager
    def place(self):
        """Hold a place; 503 with Retry-After when none is free."""
        if not self.free.acquire(blocking=False):
            raise ServiceUnavailable(f"{self.places} requests are waiting already; try again in a moment.",
                                     retry_after=2)  # fmt: skip
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
    app.wsgi_app = _Drained(app.wsgi_app)
    app.config.update(MAX_CONTENT_LENGTH=max_bytes, MAX_FORM_MEMORY_SIZE=max_bytes, TRUSTED_HOSTS=HOSTS)
    app.json.sort_keys = False
    app.before_request(_check_origin)
    app.after_request(_add_headers)
    app.register_error_handler(RequestEntityTooLarge, lambda error: _too_large(error, max_bytes))
    app.register_error_handler(HTTPException, _as_json)
    app.register_error_handler(Exception, lambda error: _broken(app, error))


def make_server(app, port):
    """Return a server on 127.0.0.1 only; a taken port ends the process with a line that says so."""
    ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)  # else each thread's arena keeps what large uploads took
    return _Server(HOSTS[0], port, app, handler=_Handler)


class _Drained:
    """Read the rest of a refused upload before the answer: a browser looks at none until it has sent all."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"] = _Body(environ)
        try:
            return self.app(environ, start_response)
        finally:
            body.drain()


class _Body:
    """A request's body, of which it is known how much is still to come."""

    def __init__(self, environ):
        self.stream = environ["wsgi.input"]
        length = environ.get("CONTENT_LENGTH") or "0"
        self.left = int(length) if length.isdecimal() else 0

    def read(self, size=-1):
        piece = self.stream.read(size)
        self.left -= len(piece)
        return piece

    def drain(self):
        if self.left <= DRAINED:  # who sends more sees a closed connection
            while self.left > 0 and self.read(min(self.left, 1 << 16)):
                pass


class _Handler(WSGIRequestHandler):
    timeout = SILENCE

    def log_request(self, code="-", size="-"):
        """Say nothing of each request."""

    def version_string(self):
        return "mindpics"


class _Server(ThreadedWSGIServer):
    def __init__(self, *args, **options):
        self.free = threading.Semaphore(CONNECTIONS)
        super().__init__(*args, **options)

    def process_request(self, request, client_address):
        self.free.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.free.release()


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
