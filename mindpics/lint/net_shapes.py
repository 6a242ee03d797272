"""Blob shapes of a net's layers, asked of Caffe in a process of its own."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import caffe
from caffe.proto import caffe_pb2

from mindpics.caffe_files.messages import write_message
from mindpics.files.layout import TrainingFiles
from mindpics.jobs.fork_first import last_words


def net_shapes(net):
    """Return {layer name: [shape, ...]} of a NetParameter without data layers, in phase TRAIN.

    Raises
    ------
    ValueError
        With Caffe's own words, when it refuses the net.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = TrainingFiles(Path(folder)).net
        write_message(net, path)
        command = [sys.executable, "-m", "mindpics.lint.net_shapes", str(path)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise ValueError(last_words(run.stderr))
    return {name: [tuple(shape) for shape in shapes] for name, shapes in json.loads(run.stdout).items()}


def without_data(net, sizes):
    """Return a net with its TRAIN Data layers turned to Input, one picture each, and no fillers to wait for.

    Parameters
    ----------
    net : NetParameter
    sizes : dict
        Index of a Data layer -> (channels, height, width).
    """
    copy = caffe_pb2.NetParameter()
    copy.CopyFrom(net)
    for index, size in sizes.items():
        tops = list(copy.layer[index].top)
        layer = caffe_pb2.LayerParameter(name=copy.layer[index].name, type="Input", top=tops)
        layer.input_param.shape.add(dim=[1, *size])
        for _ in tops[1:]:
            layer.input_param.shape.add(dim=[1])
        copy.layer[index].CopyFrom(layer)
    for layer in copy.layer:
        layer.convolution_param.ClearField("weight_filler")
        layer.inner_product_param.ClearField("weight_filler")
        if layer.type not in ("Convolution", "Deconvolution"):
            layer.ClearField("convolution_param")
        if layer.type != "InnerProduct":
            layer.ClearField("inner_product_param")
    return copy


if __name__ == "__main__":
    loaded = caffe.Net(sys.argv[1], caffe.TRAIN)
    print(json.dumps({name: [list(blob.data.shape) for blob in blobs] for name, blobs in loaded.params.items()}))
