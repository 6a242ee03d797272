"""Lint of lists: the files that ImageData, HDF5Data and WindowData layers name, line by line."""

import os
from pathlib import Path

from mindpics.caffe_files.blobs import HDF5
from mindpics.caffe_files.lmdb_check import Records
from mindpics.files.bounded import read_bytes
from mindpics.lint.labels import check_labels

SOURCES = {"ImageData": "image_data_param", "HDF5Data": "hdf5_data_param", "WindowData": "window_data_param"}


def check_list(view, index, layer, required):
    """Yield what is wrong with the list of a layer; one that is not there is a note unless `required`.

    Parameters
    ----------
    view : NetPhase
    index : int
        Of the layer in its net.
    layer : LayerParameter
        ImageData, HDF5Data or WindowData.
    required : bool
        Caffe is about to read it: an absent file is an error.
    """
    field = SOURCES[layer.type]
    source = getattr(layer, field).source
    if not os.path.isfile(source):
        text = f"{source or 'its source'} is not there (relative to {Path.cwd()})"
        severity, check, note = ("error", "list-absent", "") if required else ("note", "data-absent", "; not checked")
        yield view.finding(severity, check, index, text + note, field, "source")
        return
    if layer.type == "WindowData":
        return
    try:
        lines = read_bytes(source, "a list of files").decode(errors="surrogateescape").removesuffix("\n").split("\n")
        if layer.type == "ImageData":
            yield from check_labels(view, index, layer, _images(layer, lines))
        else:
            _hdf5_files(source, lines)
    except ValueError as error:
        yield view.finding("error", "list", index, str(error), field, "source")


def _images(layer, lines):
    """Return the Records of a list of pictures and labels; ValueError where a picture is not there."""
    param, labels, runs, last = layer.image_data_param, {}, 0, None
    if not any(lines):
        raise ValueError(f"{param.source}: found an empty list; wanted pictures and labels")
    for number, line in enumerate(lines, 1):
        name, space, label = line.rpartition(" ")
        name = name if space else line  # which is the label as well
        if not os.path.isfile(param.root_folder + name):
            where = f"{param.source}:{number}"
            raise ValueError(f"{where}: found {param.root_folder + name!r}, which is not there; wanted PICTURE LABEL")
        label = _number(label)
        labels.setdefault(label, name)
        runs, last = runs + (label != last), label
    return Records(len(lines), {}, labels, 0 if param.shuffle else runs)


def _number(text):
    """Return a label as C's atoi reads it."""
    digits = text.strip()
    sign = digits[:1] in ("-", "+")
    length = next((i for i, c in enumerate(digits) if i >= sign and c not in "0123456789"), len(digits))
    return int(digits[:length]) if length > sign else 0


def _hdf5_files(source, lines):
    names = [name for line in lines for name in line.split()]
    if not names:
        raise ValueError(f"{source}: found an empty list; wanted HDF5 files")
    for name in names:
        if not os.path.isfile(name):
            raise ValueError(f"{source}: found {name}, which is not there; wanted HDF5 files")
        if not _is_hdf5(name):
            raise ValueError(f"{source}: found {name}; wanted an HDF5 file")


def _is_hdf5(path):
    """Tell whether a file has HDF5's signature where its format lets it be: at 0, or behind a block of the user's."""
    size, start = os.path.getsize(path), 0
    with open(path, "rb") as stream:
        while start + len(HDF5) <= size:
            stream.seek(start)
            if stream.read(len(HDF5)) == HDF5:
                return True
            start = 2 * start or 512
    return False
