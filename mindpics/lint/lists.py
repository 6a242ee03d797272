"""Lint of lists: the files that ImageData, HDF5Data and WindowData layers name, line by line."""

import math
import os
from pathlib import Path

import numpy as np

from mindpics.caffe_files.blobs import HDF5
from mindpics.caffe_files.lmdb_check import Records
from mindpics.files.bounded import read_bytes
from mindpics.lint.labels import check_labels, check_reader, reads_labels
from mindpics.lint.phases import SOURCES
from mindpics.lint.pictures import check_pictures, look
from mindpics.lint.windows import check_windows

VALUES_AT_ONCE = 1 << 22


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
    try:
        if layer.type == "WindowData":
            yield from check_windows(view, index, layer)
            return
        lines = read_bytes(source, "a list of files").decode(errors="surrogateescape").removesuffix("\n").split("\n")
        if layer.type == "ImageData":
            yield from check_labels(view, index, layer, _images(layer, lines))
            count = look(check_pictures, source, layer, [_split(line)[0] for line in lines])
            if count < len(lines):
                yield view.finding("note", "list", index, f"{source}: its first {count} pictures were looked at")
        else:
            yield from _hdf5(view, index, layer, _hdf5_files(source, lines))
    except ValueError as error:
        yield view.finding("error", "list", index, str(error), field, "source")


def _images(layer, lines):
    """Return the Records of a list of pictures and labels; ValueError where a picture is not there."""
    param, labels, runs, last = layer.image_data_param, {}, 0, None
    if not any(lines):
        raise ValueError(f"{param.source}: found an empty list; wanted pictures and labels")
    for number, line in enumerate(lines, 1):
        name, label = _split(line)
        if not os.path.isfile(param.root_folder + name):
            where = f"{param.source}:{number}"
            raise ValueError(f"{where}: found {param.root_folder + name!r}, which is not there; wanted PICTURE LABEL")
        label = _number(label)
        labels.setdefault(label, name)
        runs, last = runs + (label != last), label
    return Records(len(lines), {}, labels, 0 if param.shuffle else runs)


def _split(line):
    """Return (picture, label) of a line; one without a space is both."""
    name, space, label = line.rpartition(" ")
    return name if space else line, label


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
    return names


def _hdf5(view, index, layer, names):
    """Yield files that are read as something else than they hold, and labels that nobody knows; ValueError for none."""
    source = layer.hdf5_data_param.source
    readers = {top: [r for r in view.readers(top, index) if reads_labels(*r[1:])] for top in layer.top}
    rows, labels = look(_rows_and_labels, source, names, list(layer.top), [top for top in readers if readers[top]])
    for name, widths in zip(names, rows, strict=True):
        for top, width, first in zip(layer.top, widths, rows[0], strict=True):
            if width != first:
                text = f"{name} has {width} values a row of {top!r}, and {names[0]} {first}: Caffe reads other rows"
                yield view.finding("warning", "hdf5-width", index, text)
    for top, pairs in labels.items():
        for position, _, number in readers[top]:
            yield from check_reader(view, position, number, source, dict(pairs))


def _rows_and_labels(names, tops, label_tops):
    """Return values a row by file and top, and by top of labels (label, first file that has it) pairs."""
    import h5py  # in the child alone

    rows, labels = [], {top: {} for top in label_tops}
    for name in names:
        with h5py.File(name, "r") as file:
            sets = [_dataset(file, name, top) for top in tops]
            for top, values in zip(tops, sets, strict=True):
                if len(values) != len(sets[0]):
                    text = f"found {name} with {len(values)} rows of {top!r} and {len(sets[0])} of {tops[0]!r}"
                    raise ValueError(f"{text}; wanted as many")
            rows.append([math.prod(values.shape[1:]) for values in sets])
            for top in label_tops:
                for label in _labels(sets[tops.index(top)]):
                    labels[top].setdefault(label, name)
    return rows, {top: list(first.items()) for top, first in labels.items()}


def _dataset(file, name, top):
    import h5py

    values = file[top] if top in list(file) else None  # Caffe looks into no group
    if not isinstance(values, h5py.Dataset):
        raise ValueError(f"found {name} without a dataset {top!r}; wanted one for each top")
    if not values.shape or values.id.get_type().get_class() not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT):
        raise ValueError(f"found {name} with {top!r} of shape {values.shape}, {values.dtype}; wanted rows of numbers")
    if not len(values):
        raise ValueError(f"found {name} with no row of {top!r}; wanted some")
    return values


def _labels(values):
    """Return the labels that Caffe reads of a dataset: its float, cut to an int."""
    step = max(1, VALUES_AT_ONCE // max(1, math.prod(values.shape[1:])))
    parts = (np.unique(values[start : start + step].astype("f4")) for start in range(0, len(values), step))
    return sorted({int(label) if math.isfinite(label) else -(2**31) for part in parts for label in part})


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
