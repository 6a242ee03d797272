"""Lint of Data layers, and of the LMDBs and means they read where those are there."""

import os
import re
from pathlib import Path

from mindpics.caffe_files.lmdbs import count_lmdb, is_lmdb, read_mean
from mindpics.lint import preflight
from mindpics.lint.heads import check_head_outputs
from mindpics.lint.labels import check_labels
from mindpics.lint.lists import check_list
from mindpics.lint.phases import SOURCES, TEST, TRAIN

PREFETCH = ("Data", "ImageData", "WindowData")  # as many batches as data_param says, whatever their own parameters


def check_data(views, solver, required=False):
    """Yield what is wrong with the data of a net, as NetPhases; missing files are notes unless `required`.

    Parameters
    ----------
    views : list of NetPhase
    solver : Prototxt or None
        For how many pictures its lengths were made, and how many it tests.
    required : bool
        Caffe is about to read them: an absent file is an error.
    """
    layers = {}
    for view in views:
        yield from check_head_outputs(view)
        for index, layer in view.layers:
            if layer.type in SOURCES:
                yield from check_list(view, index, layer, required)
            if layer.type in PREFETCH and not layer.data_param.prefetch:
                text = "prefetch: 0 leaves no batch to fill: Caffe waits for ever"
                yield view.finding("error", "prefetch", index, text, "data_param", "prefetch")
            if layer.type != "Data":
                continue
            layers.setdefault(view.phase, (view, index, layer))
            for severity, name, text, *where in _fields(layer):
                yield view.finding(severity, name, index, text, *where)
            yield from _files(view, index, layer, required)
            if view.phase == TRAIN and solver is not None:
                yield from _made_for(solver, layer)
            if view.test is not None and view.test < len(solver.message.test_iter):
                yield from _test_iter(solver, view.test, layer)
    if len(layers) == 2:
        yield from _both_phases(layers[TRAIN][2], *layers[TEST])


def check_fed(view):
    """Yield the layers of a NetPhase that a program of the user's feeds, which a training by its solver has not."""
    for index, layer in view.layers:
        if layer.type == "MemoryData":
            text = "MemoryData has no data until a program gives it some: Caffe aborts; a layer that reads is wanted"
            yield view.finding("error", "memory-data", index, text, "type")


def _fields(layer):
    data, transform = layer.data_param, layer.transform_param
    if not data.source:
        yield "error", "no-source", "data_param without source", "data_param"
    if not data.batch_size:
        yield "error", "no-batch-size", "data_param without batch_size", "data_param"
    if data.backend != data.LMDB:
        text = "backend is LEVELDB (Caffe's default); backend: LMDB is wanted"
        yield "error", "backend", text, "data_param", "backend"
    if transform.mean_file and transform.mean_value:
        yield "error", "two-means", "mean_file and mean_value; Caffe takes one", "transform_param", "mean_value"


def _both_phases(train, view, index, test):
    for name in ("crop_size", "mean_file", "scale"):
        train_value, test_value = getattr(train.transform_param, name), getattr(test.transform_param, name)
        if train_value != test_value:
            text = f"{name} is {train_value!r} in TRAIN and {test_value!r} in TEST"
            yield view.finding("warning", "phases-differ", index, text, "transform_param", name)
    if list(train.transform_param.mean_value) != list(test.transform_param.mean_value):
        yield view.finding("warning", "phases-differ", index, "mean_value differs from TRAIN's", "transform_param")
    if train.data_param.source == test.data_param.source:
        text = f"tests on the training pictures, {test.data_param.source}"
        yield view.finding("warning", "same-source", index, text, "data_param", "source")


def _files(view, index, layer, required):
    source, mean = layer.data_param.source, layer.transform_param.mean_file
    there = {path: os.path.exists(path) for path in (source, mean) if path}
    if not required:
        for path in (path for path, is_there in there.items() if not is_there):
            text = f"{path} is not there (relative to {Path.cwd()}); not checked"
            yield view.finding("note", "data-absent", index, text)
        if mean and there[mean] and not there.get(source):
            yield from _mean_alone(view, index, layer)
        if not all(there.values()):
            return
    if source:
        try:
            preflight.check_data_layer(layer)
            yield from check_labels(view, index, layer, preflight.records_of(layer))
        except ValueError as error:
            yield view.prototxt.finding("error", "data", str(error), ("layer", index))


def _mean_alone(view, index, layer):
    transform = layer.transform_param
    try:
        shape = read_mean(transform.mean_file).shape
    except ValueError as error:
        yield view.prototxt.finding("error", "data", str(error), ("layer", index))
        return
    if transform.crop_size > min(shape[1:]):
        text = f"crop_size {transform.crop_size} is larger than the mean {shape} of {transform.mean_file}"
        yield view.finding("error", "data", index, text, "transform_param", "crop_size")


def _test_iter(solver, test, layer):
    """test_iter x batch should go through the test set once, the last batch wrapping around."""
    iterations, source, batch = solver.message.test_iter[test], layer.data_param.source, layer.data_param.batch_size
    pictures, tested = _pictures_in(source), iterations * batch
    if not batch or pictures is None:
        return
    if not pictures <= tested < pictures + batch:
        text = (
            f"test_iter {iterations} x batch {batch} = {tested}, but {source} has {pictures} pictures; "
            f"test_iter {-(-pictures // batch)} sees each once"
        )
        yield solver.finding("warning", "test-set", text, ("test_iter", test))


def _made_for(solver, layer):
    """The lengths of a solver that tools/make_nets wrote are epochs of as many pictures as it says."""
    source, batch = layer.data_param.source, layer.data_param.batch_size * max(1, solver.message.iter_size)
    pictures = _pictures_in(source)
    if not os.path.isfile(solver.path) or not batch or not pictures:
        return
    comment = re.search(r"^# Made for (\d+) training pictures", Path(solver.path).read_text("utf-8", "replace"), re.M)
    if comment and int(comment[1]) != pictures:
        text = (
            f"made for {int(comment[1]):,} training pictures, but {source} has {pictures:,}: max_iter "
            f"{solver.message.max_iter:,} is {solver.message.max_iter * batch / pictures:,.0f} epochs; "
            "tools/make_nets --csv MINDPICS.csv --data FOLDER --out build/mine makes solvers that fit"
        )
        yield solver.finding("warning", "made-for", text, "max_iter")


def _pictures_in(source):
    """Return how many pictures an LMDB has; None where it is not there, or is none, which `_files` says."""
    try:
        return count_lmdb(source) if is_lmdb(source) else None
    except ValueError:
        return None
