"""Caffe messages as prototxt files: written whole, and read with file and line in every error."""

from pathlib import Path

from google.protobuf import text_format

from mindpics.files.atomic import atomic_write


def write_message(message, path, comment=()):
    """Write a message as prototxt, with comment lines on top; whole or not at all."""
    with atomic_write(path) as stream:
        stream.writelines(f"# {line}\n" for line in comment)
        stream.write(text_format.MessageToString(message))


def read_message(path, message):
    """Read a prototxt into `message` and return it.

    Raises
    ------
    ValueError
        Names the file, the line and what is wrong with it.
    """
    try:
        return text_format.Parse(Path(path).read_text(encoding="utf-8"), message)
    except (text_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not a {type(message).__name__} prototxt: {error}") from None
