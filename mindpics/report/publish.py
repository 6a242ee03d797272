"""Model-zoo folders of a trained row, one a net.

Names, front matter and SHA-1 are what Caffe's scripts/download_model_binary.py reads.
"""

import hashlib
import re
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
from caffe.proto import caffe_pb2

from mindpics.caffe_files.blobs import read_mean
from mindpics.caffe_files.messages import read_message, write_message
from mindpics.files import own_folder
from mindpics.files.fingerprints import sha256
from mindpics.files.layout import DataFiles, NetFiles, TrainingFiles
from mindpics.files.own_folder import Kind
from mindpics.report.model_card import card_facts, render_card

MODEL = Kind(
    "a model that was being written",
    ("*.caffemodel", "*.prototxt", "*.onnx", DataFiles.mean, "mean.npy", "readme.md"),
)
HERE = "Paths are relative to this folder; start Caffe in it."


def publish_row(row, out, url="", license=None, write_onnx=None):
    """Write OUT/NAME for each net of a row.

    Parameters
    ----------
    row : mindpics.results.trained_row.TrainedRow
    out : path
        Like Caffe's models/.
    url : str
        Where NAME.caffemodel will lie; NAME is added to it. "" when it is not uploaded.
    license : str, optional
        Of the weights.
    write_onnx : callable, optional
        ``(deploy, caffemodel, out, [mean])`` writes NAME.onnx: `mindpics.onnx.export.export_onnx`.

    Returns
    -------
    list of Path

    Raises
    ------
    ValueError
        When a folder is there already, the row has no numbers, or they are not those of its weights.
    """
    out = Path(out)
    if re.search(r"\s", url):
        raise ValueError(f"url {url!r}: found white space in it; wanted none")
    folders = [out / net.model.name for net in row.nets]
    for folder in folders:
        if folder.exists():
            raise ValueError(f"{folder}: found it there already; wanted none: move it away, or choose another folder")
    for net in row.nets:
        _check_weights(net)
    told = [card_facts(row, net) for net in row.nets]  # before anything is written
    for net, facts, folder in zip(row.nets, told, folders, strict=True):
        address = f"{url.rstrip('/')}/{net.model.name}.caffemodel" if url else ""
        _publish(row, net, folder, facts, {"url": address, "license": license}, write_onnx)
    return folders


def _publish(row, net, folder, facts, asked, write_onnx):
    name = net.model.name
    partial = folder.with_name(f".{name}.partial")
    own_folder.remove(partial, MODEL)  # of a call that was killed
    partial.mkdir(parents=True)
    files, mean = NetFiles(partial), DataFiles(partial).mean
    try:
        shutil.copyfile(net.caffemodel, partial / f"{name}.caffemodel")
        shutil.copyfile(net.deploy, files.deploy)
        shutil.copyfile(row.mean, mean)
        np.save(partial / "mean.npy", read_mean(row.mean))  # for OpenCV, which reads no binaryproto
        write_message(_train_val(net), files.train_val, [HERE])
        write_message(_solver(net), files.solver, [HERE])
        if write_onnx:
            write_onnx(files.deploy, partial / f"{name}.caffemodel", partial / f"{name}.onnx", [mean])
        digests = {path.name: sha1(path) for path in sorted(partial.iterdir())}
        (partial / "readme.md").write_text(render_card(facts, digests, **asked), encoding="utf-8")
        partial.rename(folder)
    except BaseException:
        with suppress(ValueError):  # why it failed is told, not what stays; that the next call names
            own_folder.remove(partial, MODEL)
        raise


def sha1(path):
    """Return the SHA-1 of a file, as the zoo's front matter has it."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha1").hexdigest()


def _check_weights(net):
    recorded, digest = net.facts.get("caffemodel_sha256"), sha256(net.caffemodel)
    if recorded != digest:
        raise ValueError(f"{net.caffemodel}: found the SHA-256 {digest}; wanted run.json's {recorded}: train it again")


def _train_val(net):
    """Return the net that was trained, its files by their names alone."""
    message = read_message(TrainingFiles(net.folder).net, caffe_pb2.NetParameter())
    for layer in message.layer:
        if layer.data_param.source:
            layer.data_param.source = Path(layer.data_param.source).name
        if layer.transform_param.mean_file:
            layer.transform_param.mean_file = DataFiles.mean
    return message


def _solver(net):
    message = read_message(TrainingFiles(net.folder).solver, caffe_pb2.SolverParameter())
    message.net, message.snapshot_prefix = NetFiles.train_val, net.model.name
    return message
