"""Flask app of tools/serve: a picture's five traits, and who would post a pin; page and JSON.

Works on any two objects that answer: `mindpics.inference.picture_traits.PictureTraits`, and one that ranks users. One
worker thread holds the Caffe nets, so requests are answered in the order in which they came.
"""

import io
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib.resources import files

from flask import Flask, Response, abort, jsonify, render_template, request, url_for
from PIL import Image
from werkzeug.exceptions import UnprocessableEntity

from mindpics.inference.guard import Queue, guard
from mindpics.inference.uploads import Decoder
from mindpics.posts.picture_files import read_picture

MAX_MEGABYTES = 10
MAX_PIXELS = 25_000_000  # a phone's photograph has 12
MAX_LETTERS = 2000  # of a pin's text
WAITING = 8  # requests at work or waiting
THUMBNAIL = 128  # pixels, longer side
ASSETS = {"serve.css": "text/css", "serve.js": "text/javascript"}


def create_app(
    traits=None,
    users=None,
    *,
    about=None,
    max_megabytes=MAX_MEGABYTES,
    max_pixels=MAX_PIXELS,
    waiting=WAITING,
    prepare=None,
):
    """Return the Flask app.

    Parameters
    ----------
    traits : optional
        Has `shape`, `fit`, `answer(pixels)` -> dict with "nearest", and `paths()`, as `PictureTraits`.
    users : optional
        Has `shape`, `fit`, `answer(text, pixels or None)` -> dict with "users", and `paths()`.
    about : dict, optional
        Of each part, "traits" and "users", what the page says of it, or why it is not there; "stand_in": {part: what
        stands in for the paper's data or weights, or ""}.
    max_megabytes : float
        Of a request; a larger one gets 413.
    max_pixels : int
    waiting : int
        Requests at work or waiting; one more gets 503.
    prepare : callable, optional
        Called once in the thread that runs the nets.
    """
    app = Flask("mindpics.report", static_folder=None)  # whose templates it has
    guard(app, int(max_megabytes * 1e6))
    parts = {"traits": traits, "users": users}
    desk = Desk(parts, Decoder(max_pixels), waiting, prepare)
    app.extensions["desk"] = desk
    _add_page(
        app,
        {
            "stand_in": {},
            **(about or {}),
            "has": {name: part is not None for name, part in parts.items()},
            "max_megabytes": max_megabytes,
            "max_letters": MAX_LETTERS,
        },
    )
    app.add_url_rule("/api/traits", view_func=desk.traits, methods=["POST"])
    app.add_url_rule("/api/users", view_func=desk.users, methods=["POST"])
    app.add_url_rule("/thumbnails/<name>/<int:index>", "thumbnail", desk.thumbnail)
    return app


def _add_page(app, about):
    app.add_url_rule("/", "page", lambda: render_template("serve.html", about=about))
    app.add_url_rule("/api/about", "about", lambda: jsonify(about))

    @app.route("/static/<name>")
    def asset(name):
        if name not in ASSETS:
            abort(404, "No such file.")
        return Response((files("mindpics.report") / "templates" / name).read_bytes(), mimetype=ASSETS[name])


class Desk:
    """Takes requests, one worker at their answers."""

    def __init__(self, parts, decoder, waiting, prepare):
        self.parts, self.decoder, self.queue = parts, decoder, Queue(waiting)
        self.worker = ThreadPoolExecutor(1, "caffe", initializer=prepare)  # a net serves one caller at a time
        self.files = {name: part.paths() for name, part in parts.items() if part is not None}
        self.small = lru_cache(512)(lambda name, index: small_png(self.files[name][index]))

    def traits(self):
        """POST /api/traits: picture (multipart, or the body itself)."""
        return self._answer("traits", lambda part: [self._pixels(part, needed=True)])

    def users(self):
        """POST /api/users: text, picture, or both."""

        def text_and_pixels(part):
            text = request.form.get("text", "").strip()
            if len(text) > MAX_LETTERS:
                raise ValueError(f"The text has {len(text)} letters; at most {MAX_LETTERS} are taken.")
            pixels = self._pixels(part, needed=False)
            if not text and pixels is None:
                raise ValueError("Neither a text nor a picture was given.")
            return text, pixels

        return self._answer("users", text_and_pixels)

    def thumbnail(self, name, index):
        """GET /thumbnails/NAME/INDEX: a picture of the run, by its place in a table."""
        if not 0 <= index < len(self.files.get(name, ())):
            abort(404, "No such picture.")
        try:
            png = self.small(name, index)
        except ValueError as error:
            abort(404, f"The picture cannot be read: {error}")
        return Response(png, mimetype="image/png", headers={"Cache-Control": "private, max-age=3600"})

    def close(self):
        """End the worker and the decoder."""
        self.worker.shutdown(cancel_futures=True)
        self.decoder.close()

    def _answer(self, name, arguments_of):
        part = self.parts[name]
        if part is None:
            abort(404, "The run has no such model; /api/about says why.")
        with self.queue.place():
            begun = time.perf_counter()
            try:
                answer = self.worker.submit(part.answer, *arguments_of(part)).result()
            except ValueError as error:
                raise UnprocessableEntity(str(error)) from None
        return jsonify({**_with_thumbnails(answer), "seconds": round(time.perf_counter() - begun, 3)})

    def _pixels(self, part, needed):
        data = self._upload()
        if not data:
            if needed or data is not None:
                raise ValueError("The file is empty." if data is not None else "No picture was given.")
            return None
        return self.decoder(data, part.shape, part.fit)

    def _upload(self):
        """Return the bytes of the field "picture" or of an image that is the body; None when there is neither."""
        if request.mimetype.startswith("image/"):
            return request.get_data()
        stored = request.files.get("picture")
        return stored.read() if stored and stored.filename else None


def _with_thumbnails(answer):
    """Give each picture of the run that an answer names its address."""
    for picture in answer.get("nearest", ()):
        picture["thumbnail"] = url_for("thumbnail", name="traits", index=picture["index"])
    for user in answer.get("users", ()):
        for pin in user["pins"]:
            pin["thumbnail"] = url_for("thumbnail", name="users", index=pin["index"])
    return answer


def small_png(path):
    """Return a picture file as PNG, its longer side at most THUMBNAIL pixels. ValueError as `read_picture`."""
    picture = Image.fromarray(read_picture(path)[:, :, ::-1])
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()
