"""Python surface: train, read back, predict, sweep.

    from mindpics.api import Predictor, load_run, solve
    history = solve("solver.prototxt", "runs/mine", base_lr=0.001, max_iter=200)
    history.frame("test"), history.plot()
    Predictor("deploy.prototxt", history.caffemodel, "mean.binaryproto").predict(["a.jpg", "b.jpg"])

Errors are exceptions (ValueError names what was found and what is wanted); Caffe's own log stays in the run's folder.
"""

from mindpics.inference.predictor import Predictor
from mindpics.results.metrics import load_scores as read_scores
from mindpics.results.table3 import read_table3
from mindpics.sweeps.sweep import sweep
from mindpics.training.divergence import DivergedError
from mindpics.training.history import History, Interrupted, load_run
from mindpics.training.train import solve

__all__ = [
    "DivergedError",
    "History",
    "Interrupted",
    "Predictor",
    "load_run",
    "read_scores",
    "read_table3",
    "solve",
    "sweep",
]
