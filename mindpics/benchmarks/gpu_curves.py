"""Curves of two engines: the losses of one short training by each, and how far they are apart."""

import caffe
import numpy as np
from caffe import layers as L
from caffe import params as P
from caffe.proto import caffe_pb2

from mindpics.benchmarks.gpu_agreement import BODIES, SEED, add_heads, without_dropout
from mindpics.caffe_files.messages import write_message
from mindpics.datasets.generated_lmdb import MEAN, write_generated
from mindpics.traits import TRAITS

LIMITS = {"float32": (1e-3, 0.05), "TF32": (2e-2, 0.15)}  # of the first ten losses, of the curve (`apart`)
SIDE, CROP = 112, 99
WINDOW = 20  # iterations over which a curve is averaged: single batches say little


def write(folder, body, count, batch, width):
    """Write LMDB, net and solver of a short training; `curve` runs it.

    Parameters
    ----------
    folder : Path
    body : str
        A key of `mindpics.benchmarks.gpu_agreement.BODIES`.
    count, batch : int
        Pictures generated, and of a step.
    width : float
        Of the layers, as a share of the published ones.
    """
    if not (folder / "curve_lmdb").exists():
        write_generated(folder / "curve_lmdb", count, SIDE)
    n = caffe.NetSpec()
    n.data, n.label = L.Data(
        ntop=2,
        source=str(folder / "curve_lmdb"),
        batch_size=batch,
        backend=P.Data.LMDB,
        transform_param={"mirror": True, "crop_size": CROP, "mean_file": str(folder / MEAN)},
    )
    add_heads(n, BODIES[body](n, width))
    write_message(without_dropout(n.to_proto()), folder / f"curve_{body}.prototxt")
    solver = caffe_pb2.SolverParameter(
        train_net=str(folder / f"curve_{body}.prototxt"),
        base_lr=0.001,
        lr_policy="fixed",
        momentum=0.9,
        weight_decay=5e-4,
        random_seed=SEED,
        max_iter=1,
        snapshot_after_train=False,
    )
    write_message(solver, folder / f"curve_{body}_solver.prototxt")


def curve(engine, folder, body, iterations):
    """Return the sum of the five heads' losses of each iteration.

    Parameters
    ----------
    engine : mindpics.benchmarks.gpu_engines.Engine
    folder : Path
        Where `write` has written net and solver.
    body : str
        A key of `mindpics.benchmarks.gpu_agreement.BODIES`.
    iterations : int
    """
    engine.start()
    solver = caffe.SGDSolver(str(folder / f"curve_{body}_solver.prototxt"))
    losses = []
    for _ in range(iterations):
        solver.step(1)
        losses.append(sum(float(solver.net.blobs[f"loss_{trait}"].data) for trait in TRAITS))
    return losses


def smoothed(losses):
    """Return the means over WINDOW iterations, or over all where there are fewer."""
    window = min(WINDOW, len(losses))
    return np.convolve(losses, np.full(window, 1 / window), mode="valid")


def apart(losses, reference):
    """Return how far two curves are apart: the first ten losses relatively, and the means as a share of the first."""
    losses, reference = np.array(losses), np.array(reference)
    first = np.abs(losses - reference)[:10] / reference[:10]
    return float(first.max()), float(np.abs(smoothed(losses) - smoothed(reference)).max() / reference[0])
