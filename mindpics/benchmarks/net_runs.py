"""Timed run of one net by one library, in a process of its own.

Each function is called in a fresh process (`mindpics.benchmarks.machine.in_child`) and imports its library
there, so that no library's threads disturb another's. A first run, which sets up memory, is not timed.
"""

import importlib.util
import os
import re
import time
from pathlib import Path

import numpy as np

from mindpics.nets.inputs import fill

FEATURES = {"alexnet": "fc7", "resnet50": "pool5"}
LAST_LAYER = {"alexnet": "relu7", "resnet50": "pool5"}  # OpenCV's outputs are layers', not blobs
CLASSES = 1000
SOLVER = {"base_lr": 1e-3, "lr_policy": "fixed", "momentum": 0.9, "weight_decay": 5e-4, "random_seed": 1}


def is_installed(library):
    return importlib.util.find_spec(library) is not None


def write_nets(folder, body, seed, width=1.0):
    """Write NAME.prototxt, its weights, and a net to train; return the GFLOP of each of its layers for a picture.

    The weights are random (msra): what is timed does not depend on them.

    Parameters
    ----------
    folder : Path
    body : {"alexnet", "resnet50"}
    seed : int
        Of the weights.
    width : float
        Of the layers, as a share of the published ones.
    """
    import caffe

    from mindpics.caffe_files.messages import write_message
    from mindpics.nets.whole import Data, classification_train_val, features_deploy

    folder.mkdir(parents=True, exist_ok=True)
    net = features_deploy(body, width=width)
    crop = net.layer[0].input_param.shape[0].dim[-1]
    write_message(net, folder / f"{body}.prototxt")
    net = caffe.Net(str(folder / f"{body}.prototxt"), caffe.TEST)
    rng = np.random.default_rng(seed)
    for layer in net.layers:
        for i, blob in enumerate(layer.blobs):
            blob.data[...] = _values(layer.type, i, blob.data.shape, rng)
    gflop = [_gflop(net, name, layer) for name, layer in zip(net._layer_names, net.layers, strict=True)]
    net.save(str(folder / f"{body}.caffemodel"))
    train = classification_train_val(body, Data("", "", "", 1, 1, crop), CLASSES, width=width)
    write_message(_with_inputs(train, crop), folder / f"{body}_train.prototxt")
    return [float(work) for work in gflop if work]


def _values(kind, index, shape, rng):
    if kind == "BatchNorm":
        return (0, 1, 1)[index]  # mean, variance, their factor
    if kind == "Scale":
        return (1, 0)[index]
    if index:
        return 0
    return rng.standard_normal(shape, np.float32) * np.sqrt(2 / np.prod(shape[1:]))


def _gflop(net, name, layer):
    if layer.type not in ("Convolution", "InnerProduct"):
        return 0
    top = net.blobs[net.top_names[name][0]].data
    return 2e-9 * np.prod(top.shape[2:]) * layer.blobs[0].data.size


def _with_inputs(net, crop):
    """Return a train_val net without databases and accuracies: ``data`` and ``label`` are set from outside."""
    from caffe.proto import caffe_pb2

    fed = caffe_pb2.NetParameter(name=net.name)
    for top, dim in (("data", [1, 3, crop, crop]), ("label", [1])):
        layer = fed.layer.add(name=top, type="Input", top=[top])
        layer.input_param.shape.add(dim=dim)
    fed.layer.extend(layer for layer in net.layer if layer.type not in ("Data", "Accuracy"))
    return fed


def pictures(shape):
    """Return pictures as a net sees them: noise with the mean of the colours subtracted."""
    return np.random.default_rng(0).normal(0, 60, shape).astype(np.float32)


def timed(function, repeats):
    """Return the seconds of `repeats` calls, after one that is not counted, and the last result."""
    function()
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - begun)
    return seconds, result


def caffe_forward(engine, folder, body, batch, repeats):
    """Return the seconds of each forward pass to the features, and the first picture's features.

    Parameters
    ----------
    engine : {"fast", "caffe"}
        MINDPICS_ENGINE: our layers, or stock's.
    folder : Path
        Where `write_nets` has written the nets.
    body : {"alexnet", "resnet50"}
    batch, repeats : int
    """
    net = _caffe(engine).Net(str(folder / f"{body}.prototxt"), str(folder / f"{body}.caffemodel"), 1)  # TEST
    fill(net.blobs["data"], pictures((batch, *picture_shape(folder, body))))
    seconds, tops = timed(net.forward, repeats)
    return seconds, tops[FEATURES[body]][0].ravel().copy()


def opencv_forward(folder, body, batch, repeats):
    """As `caffe_forward`, by OpenCV's reader of Caffe nets.

    Parameters
    ----------
    folder, body, batch, repeats
        As `caffe_forward` has them.
    """
    import cv2

    net = cv2.dnn.readNetFromCaffe(str(folder / f"{body}.prototxt"), str(folder / f"{body}.caffemodel"))
    x = pictures((batch, *picture_shape(folder, body)))

    def forward():
        net.setInput(x)
        return net.forward(LAST_LAYER[body])

    seconds, top = timed(forward, repeats)
    return seconds, top[0].ravel()


def torch_forward(folder, body, batch, repeats, device="cpu"):
    """As `caffe_forward`, by PyTorch.

    Parameters
    ----------
    folder, body, batch, repeats
        As `caffe_forward` has them.
    device : str
        PyTorch's name of it: "cpu", "cuda:0".
    """
    torch = _torch()
    net = _torch_net(folder, body).eval().to(device)
    x = torch.tensor(pictures((batch, *picture_shape(folder, body))), device=device)
    with torch.inference_mode():
        seconds, top = timed(lambda: net(x).cpu(), repeats)
    return seconds, top[0].numpy().ravel()


def caffe_step(engine, folder, body, batch, repeats):
    """Return the seconds of each training step, and nothing: what a step finds is held to account by tests.

    Parameters
    ----------
    engine, folder, body, batch, repeats
        As `caffe_forward` has them.
    """
    caffe = _caffe(engine)
    solver = caffe.SGDSolver(_solver(folder, body, engine))
    solver.net.release_diffs(True)  # as tools/train_net does
    fill(solver.net.blobs["data"], pictures((batch, *picture_shape(folder, body))))
    fill(solver.net.blobs["label"], np.arange(batch) % CLASSES)
    return timed(lambda: solver.step(1), repeats)


def torch_step(folder, body, batch, repeats, device="cpu"):
    """As `caffe_step`, by PyTorch.

    Parameters
    ----------
    folder, body, batch, repeats, device
        As `torch_forward` has them.
    """
    torch = _torch()
    features = _torch_net(folder, body).to(device)
    x = torch.tensor(pictures((batch, *picture_shape(folder, body))), device=device)
    labels = torch.arange(batch, device=device) % CLASSES
    width = features.eval()(x[:1]).flatten(1).shape[1]
    net = torch.nn.Sequential(features.train(), torch.nn.Flatten(), torch.nn.Linear(width, CLASSES)).to(device)
    solver = torch.optim.SGD(net.parameters(), SOLVER["base_lr"], SOLVER["momentum"], 0, SOLVER["weight_decay"])

    def step():
        solver.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), labels)
        loss.item()  # Caffe, too, waits for the loss before it goes back
        loss.backward()
        solver.step()

    return timed(step, repeats)


def _torch():
    """Return PyTorch in true float32; on a GPU it picks the fastest of cuDNN's algorithms."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    return torch


def _caffe(engine):
    os.environ["MINDPICS_ENGINE"] = engine
    import caffe

    return caffe


def _solver(folder, body, engine):
    from caffe.proto import caffe_pb2

    from mindpics.caffe_files.messages import write_message

    fields = {"net": str(folder / f"{body}_train.prototxt"), "max_iter": 1, "snapshot_after_train": False}
    path = folder / f"{body}_{engine}_solver.prototxt"
    write_message(caffe_pb2.SolverParameter(**SOLVER, **fields), path)
    return str(path)


def picture_shape(folder, body):
    """Read it from the prototxt's text: OpenCV and Caffe's messages do not share a process."""
    text = Path(folder / f"{body}.prototxt").read_text(encoding="utf-8")
    return tuple(int(side) for side in re.findall(r"dim: (\d+)", text)[1:4])


def _torch_net(folder, body):
    from caffe.proto import caffe_pb2

    from mindpics.benchmarks.torch_net import TorchNet

    return TorchNet(caffe_pb2.NetParameter.FromString((folder / f"{body}.caffemodel").read_bytes()))
