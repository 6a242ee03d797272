"""Speed of an engine: passes and steps of the published nets, and trainings that read LMDBs or do not."""

import time

import caffe
import numpy as np
from caffe.proto import caffe_pb2

from mindpics.benchmarks import net_runs
from mindpics.benchmarks.gpu_agreement import fill
from mindpics.caffe_files.messages import write_message
from mindpics.datasets.generated_lmdb import MEAN, write_generated
from mindpics.nets.whole import Data, train_val

SIDE = 256  # section 4
RAW, JPEG, RESIDENT, PYTHON = "raw LMDB", "JPEG LMDB", "on the device", "on the device, Python losses"
SOURCES = {RAW: ("raw", "native"), JPEG: ("jpeg", "native"), RESIDENT: (None, "native"), PYTHON: (None, "python")}


def passes_and_steps(engine, folder, body, batch, repeats):
    """Return median seconds of a forward pass and of a training step, and the first picture's features.

    Parameters
    ----------
    engine : mindpics.benchmarks.gpu_engines.Engine
    folder : Path
        Where `mindpics.benchmarks.net_runs.write_nets` has written the nets.
    body : {"alexnet", "resnet50"}
    batch, repeats : int
    """
    engine.start()
    layers = engine.environment["MINDPICS_ENGINE"]
    forward, features = net_runs.caffe_forward(layers, folder, body, batch, repeats)
    return _medians(forward, net_runs.caffe_step(layers, folder, body, batch, repeats)[0], features)


def torch_passes_and_steps(gpu, folder, body, batch, repeats):
    """As `passes_and_steps`, by PyTorch in float32.

    Parameters
    ----------
    gpu : int or None
        CUDA device; None for the CPU.
    folder, body, batch, repeats
        As `passes_and_steps` has them.
    """
    device = "cpu" if gpu is None else f"cuda:{gpu}"
    forward, features = net_runs.torch_forward(folder, body, batch, repeats, device)
    return _medians(forward, net_runs.torch_step(folder, body, batch, repeats, device)[0], features)


def step_only(engine, folder, body, batch, repeats):
    """Take some training steps, for what memory they take; return their median seconds.

    Parameters
    ----------
    engine, folder, body, batch, repeats
        As `passes_and_steps` has them.
    """
    engine.start()
    return float(np.median(net_runs.caffe_step(engine.environment["MINDPICS_ENGINE"], folder, body, batch, repeats)[0]))


def _medians(forward, step, features):
    return {"forward_s": float(np.median(forward)), "step_s": float(np.median(step)), "features": features}


def write_trainings(folder, pictures, batch, crop, width):
    """Write LMDBs, and AlexNet's all-in-one net and solver for each of SOURCES; `training` runs one.

    Parameters
    ----------
    folder : Path
    pictures, batch, crop : int
        Pictures generated, and of a step; side of a crop.
    width : float
        Of the layers, as a share of the published ones.
    """
    for kind in ("raw", "jpeg"):
        write_generated(folder / f"{kind}_lmdb", pictures, SIDE, encoded=kind == "jpeg")
    for number, (kind, loss) in enumerate(SOURCES.values()):
        data = Data(str(folder / f"{kind}_lmdb"), "", str(folder / MEAN), batch, 1, crop)
        net = train_val("alexnet", data, width=width, loss=loss)
        if kind is None:
            net = _with_inputs(net, batch, crop)
        else:
            del net.layer[1]  # of TEST
        write_message(net, folder / f"training_{number}.prototxt")
        solver = caffe_pb2.SolverParameter(
            **net_runs.SOLVER,
            train_net=str(folder / f"training_{number}.prototxt"),
            max_iter=1,
            snapshot_after_train=False,
        )
        write_message(solver, folder / f"training_{number}_solver.prototxt")


def _with_inputs(net, batch, crop):
    """Return the TRAIN part of a train_val net with ``data`` and ``label`` to be set from outside."""
    fed = caffe_pb2.NetParameter(name=net.name)
    for top, dim in (("data", [batch, 3, crop, crop]), ("label", [batch])):
        fed.layer.add(name=top, type="Input", top=[top]).input_param.shape.add(dim=dim)
    fed.layer.extend(
        layer for layer in net.layer if layer.type != "Data" and all(rule.phase != caffe.TEST for rule in layer.include)
    )
    return fed


def training(engine, folder, source, repeats):
    """Return the seconds of each step, when they began and when they ended.

    As many steps go before as batches may lie ready: those would not have been waited for.

    Parameters
    ----------
    engine : mindpics.benchmarks.gpu_engines.Engine
    folder : Path
        Where `write_trainings` has written nets and solvers.
    source : str
        A key of SOURCES.
    repeats : int
        Steps.
    """
    engine.start()
    solver = caffe.SGDSolver(str(folder / f"training_{list(SOURCES).index(source)}_solver.prototxt"))
    if SOURCES[source][0] is None:
        fill(solver.net)
    solver.step(min(10, repeats))
    began = time.time()
    seconds, _ = net_runs.timed(lambda: solver.step(1), repeats)
    return seconds, began, time.time()
