"""With `pytest --bvlc FOLDER`: trainings against a plain build of BVLC's source, whose package `caffe` is in FOLDER.

    tools/test --bvlc caffe/python tests/caffe/test_plain_build.py

With MINDPICS_ENGINE=caffe snapshots are equal to the byte; with the fast layers the same draws are made, and weights
are equal within rounding.
"""

import os
import subprocess
import sys
from pathlib import Path

import caffe
import cv2
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from caffe_nets import data_layer, make_net, write_lmdb, write_solver

pytestmark = pytest.mark.bvlc
SOLVERS = {
    "SGD": {"momentum": 0.9, "lr_policy": "step", "gamma": 0.1, "stepsize": 4},
    "Nesterov": {"momentum": 0.9, "lr_policy": "inv", "gamma": 0.01, "power": 0.75},
    "AdaGrad": {"lr_policy": "exp", "gamma": 0.95},
    "RMSProp": {"rms_decay": 0.98, "lr_policy": "poly", "power": 1},
    "AdaDelta": {"momentum": 0.95, "delta": 1e-6, "lr_policy": "multistep", "gamma": 0.5, "stepvalue": [3, 6]},
    "Adam": {"momentum": 0.9, "momentum2": 0.999, "lr_policy": "sigmoid", "gamma": 0.5, "stepsize": 5},
}
CONV = """layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}" param {{ lr_mult: 2 }}
  convolution_param {{ num_output: 16 {fields} weight_filler {{ type: "{filler}" std: 0.1 }} }} }}
"""
HEAD = """layer { name: "score" type: "InnerProduct" bottom: "last" top: "score" inner_product_param { num_output: 4
  weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "score" bottom: "label" top: "accuracy" include { phase: TEST } }
"""


def conv(name, bottom, fields, filler="gaussian"):
    return CONV.format(name=name, bottom=bottom, fields=fields, filler=filler)


def norm(name):
    kinds = ('type: "BatchNorm"', 'type: "Scale" scale_param { bias_term: true }', 'type: "ReLU"')
    return "".join(
        f'layer {{ name: "{name}{i}" bottom: "{name}" top: "{name}" {kind} }}\n' for i, kind in enumerate(kinds)
    )


NETS = {
    "alexnet": conv("conv1", "data", "kernel_size: 5 stride: 2")
    + """
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "norm1" type: "LRN" bottom: "conv1" top: "norm1" lrn_param { local_size: 5 alpha: 0.1 } }
layer { name: "pool1" type: "Pooling" bottom: "norm1" top: "pool1" pooling_param { kernel_size: 3 stride: 2 } }
"""
    + conv("conv2", "pool1", "kernel_size: 3 pad: 1 group: 2")
    + """
layer { name: "relu2" type: "ReLU" bottom: "conv2" top: "conv2" }
layer { name: "fc" type: "InnerProduct" bottom: "conv2" top: "last" inner_product_param { num_output: 32
  weight_filler { type: "gaussian" std: 0.05 } } }
layer { name: "relu3" type: "ReLU" bottom: "last" top: "last" }
layer { name: "drop" type: "Dropout" bottom: "last" top: "last" }
""",
    # A bias before BatchNorm has no gradient but rounding, which AdaGrad and its kin would bring up to full size.
    "resnet": conv("a", "data", "kernel_size: 3 stride: 2 bias_term: false", "msra")
    + norm("a")
    + conv("b", "a", "kernel_size: 3 pad: 1 bias_term: false", "msra")
    + norm("b")
    + """
layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum" }
layer { name: "relu" type: "ReLU" bottom: "sum" top: "sum" }
layer { name: "pool" type: "Pooling" bottom: "sum" top: "last" pooling_param { pool: AVE global_pooling: true } }
""",
}
SCRIPT = """import sys, caffe
caffe.set_mode_cpu()
solver = caffe.get_solver(sys.argv[1])
solver.solve()
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A function from a data layer's kind to its prototxt: 40 pictures of four classes, 3x24x24."""
    folder = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 4
    pictures = rng.integers(0, 60, (40, 3, 24, 24), dtype=np.uint8)
    pictures += (50 * labels).astype(np.uint8)[:, None, None, None]
    for encoded in (False, True):
        write_lmdb(folder / str(encoded), pictures, labels, encoded)
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{number}.png"), picture.transpose(1, 2, 0))
    (folder / "images.txt").write_text("".join(f"{n}.png {label}\n" for n, label in enumerate(labels)))
    write_hdf5(folder, pictures / 255, labels)
    (folder / "hdf5.txt").write_text(f"{folder / 'data.h5'}\n")
    mean = caffe_pb2.BlobProto(num=1, channels=3, height=24, width=24, data=np.full(3 * 24 * 24, 100.0))
    (folder / "mean.binaryproto").write_bytes(mean.SerializeToString())
    crop = {"crop_size": 19, "mirror": True, "scale": 1 / 64}
    return {
        "raw": data_layer(folder / "False", 8, mean_file=str(folder / "mean.binaryproto"), **crop),
        "encoded": data_layer(folder / "True", 8, mean_value=[100, 110, 120], **crop),
        "images": f"""layer {{ name: "data" type: "ImageData" top: "data" top: "label"
          transform_param {{ crop_size: 19 mirror: true scale: 0.015625 }} image_data_param {{ batch_size: 8
          shuffle: true source: "{folder / "images.txt"}" root_folder: "{folder}/" }} }}\n""",
        "hdf5": f"""layer {{ name: "data" type: "HDF5Data" top: "data" top: "label"
          hdf5_data_param {{ source: "{folder / "hdf5.txt"}" batch_size: 8 shuffle: true }} }}\n""",
    }


def write_hdf5(folder, pictures, labels):
    net = make_net(
        folder,
        f"""
        layer {{ name: "in" type: "Input" top: "data" top: "label" input_param {{
          shape {{ dim: 40 dim: 3 dim: 24 dim: 24 }} shape {{ dim: 40 }} }} }}
        layer {{ name: "out" type: "HDF5Output" bottom: "data" bottom: "label"
          hdf5_output_param {{ file_name: "{folder / "data.h5"}" }} }}""",
    )
    net.blobs["data"].data[...], net.blobs["label"].data[...] = pictures, labels
    net.forward()


def train(folder, text, solver, package="", engine="fast"):
    """Train in a process of its own; return {file: bytes} of its snapshots."""
    folder.mkdir()
    fields = {
        "base_lr": 0.01,
        "weight_decay": 0.001,
        "max_iter": 10,
        "snapshot": 5,
        "snapshot_after_train": True,
        "test_iter": [3],
        "test_interval": 4,
        "iter_size": 2,
        "snapshot_prefix": "it",
        **solver,
    }
    path = Path(write_solver(folder, text, **fields))
    path.write_text(path.read_text().replace(f"{folder}/", ""))  # the same text in each folder, as snapshots repeat it
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, path.name],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={
            **os.environ,
            "PYTHONPATH": str(package),
            "MINDPICS_ENGINE": engine,
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        },
    )
    assert done.returncode == 0, done.stderr[-2000:]
    files = sorted(folder.glob("it_iter_*"))
    assert len(files) == 4
    return {file.name: file.read_bytes() for file in files}


def weights_of(snapshots):
    net = caffe_pb2.NetParameter.FromString(snapshots["it_iter_10.caffemodel"])
    return {f"{layer.name}[{i}]": np.array(blob.data) for layer in net.layer for i, blob in enumerate(layer.blobs)}


CASES = [
    *((net, "raw", kind) for net in NETS for kind in SOLVERS),
    *((net, source, "SGD") for net in NETS for source in ("encoded", "images", "hdf5")),
]


@pytest.mark.parametrize(("net", "source", "kind"), CASES)
def test_a_training_is_that_of_a_plain_build(request, sources, tmp_path, net, source, kind):
    text = sources[source] + NETS[net] + HEAD
    solver = {"type": kind, **SOLVERS[kind]}
    wanted = train(tmp_path / "plain", text, solver, Path(request.config.getoption("--bvlc")).resolve())
    assert train(tmp_path / "stock", text, solver, engine="caffe") == wanted, "not the same bytes"
    found = weights_of(train(tmp_path / "fast", text, solver))
    for name, values in weights_of(wanted).items():
        np.testing.assert_allclose(found[name], values, atol=2e-3 * max(1, abs(values).max()), err_msg=name)


def test_the_plain_build_is_plain(request):
    """Not this package by another name: it has no fast layers."""
    script = "import caffe; print(hasattr(caffe.Layer, 'engine'), caffe.__version__)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(request.config.getoption("--bvlc")).resolve())},
    )
    assert done.stdout.split() == ["False", "1.0.0"]
    assert hasattr(caffe.Layer, "engine")
