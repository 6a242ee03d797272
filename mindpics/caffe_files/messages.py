"""Caffe messages as prototxt files: written whole, and read with file and line in every error."""

from caffe.proto import caffe_pb2
from google.protobuf import text_format

from mindpics.caffe_files.upgrade import upgrade_net, upgrade_solver
from mindpics.files.atomic import atomic_write
from mindpics.files.bounded import read_prototxt_text


def write_message(message, path, comment=()):
    """Write a message as prototxt, with comment lines on top; whole or not at all.

    Parameters
    ----------
    message : protobuf message
    path : path
    comment : sequence of str
        Lines, without their "#".
    """
    with atomic_write(path) as stream:
        stream.writelines(f"# {line}\n" for line in comment)
        stream.write(text_format.MessageToString(message))


def read_message(path, message):
    """Read a prototxt into `message` and return it; old nets and solvers are upgraded, as Caffe does.

    Raises
    ------
    ValueError
        Names the file, the line and what is wrong with it.
    """
    file_type = f"a {type(message).__name__} prototxt"
    text = read_prototxt_text(path, file_type)
    try:
        text_format.Parse(text, message)
    except (text_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: found what cannot be read ({error}); wanted {file_type}") from None
    try:
        _upgrade(message)
    except ValueError as error:
        raise ValueError(
            f"{path}: found an old {type(message).__name__} that Caffe cannot upgrade ({error}); wanted one that it can"
        ) from None
    return message


def _upgrade(message):
    if isinstance(message, caffe_pb2.NetParameter):
        message.CopyFrom(upgrade_net(message).net)
    elif isinstance(message, caffe_pb2.SolverParameter):
        upgrade_solver(message)
