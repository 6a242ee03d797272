"""Correctness and speed check of a GPU (tools/gpu_check): its parts, each in a process of its own, and their targets.

A part that fails costs its own figures only. Without a GPU the same parts run small on the CPU, our layers held
against stock Caffe's: a rehearsal, which says nothing of a GPU.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mindpics.benchmarks import gpu_agreement as agreement
from mindpics.benchmarks import gpu_curves as curves
from mindpics.benchmarks import gpu_speed as speed
from mindpics.benchmarks import net_runs
from mindpics.benchmarks.gpu_engines import CUDNN, engines
from mindpics.benchmarks.gpu_report import PAPER_GB, wanted
from mindpics.benchmarks.machine import GpuWatch, describe, describe_gpu, in_child
from mindpics.jobs.bars import bar_of

BODIES = {"alexnet": 227, "resnet50": 224}
SAME_NET = 1e-3  # most that PyTorch's features may differ from ours, relative to the largest


@dataclass(frozen=True)
class Sizes:
    """The sizes of all parts; figures are wanted of scale 1, the others run through the same code."""

    scale: float

    def __post_init__(self):
        if not 0 < self.scale <= 1:
            raise ValueError(f"scale: found {self.scale:g}; wanted above 0 and at most 1")

    def of(self, size, least=1):
        return max(least, round(size * self.scale))

    @property
    def width(self):
        return max(1 / 16, self.scale)

    @property
    def crop(self):
        return BODIES["alexnet"] if self.scale == 1 else 99

    def batch(self, body):
        return self.of({"alexnet": 128, "resnet50": 32}[body], 2)


@dataclass(frozen=True)
class Part:
    """What a child process returned, and what was seen of the device the while."""

    result: object
    watch: GpuWatch
    host_gb: float

    @property
    def peak_gb(self):
        return self.host_gb if self.watch.gpu is None else self.watch.peak_gb


class Parts:
    """Runs parts one after the other; `failures` are those that ended without a result."""

    def __init__(self, gpu, total):
        self.gpu, self.failures = gpu, []
        self.bar = bar_of(total=total, unit="part")

    def __call__(self, name, function, *args):
        self.bar.set_description(name)
        try:
            with GpuWatch(self.gpu) as watch:
                result, host_gb = in_child(function, *args)
            return Part(result, watch, host_gb)
        except RuntimeError as error:
            self.failures.append(f"{name}: {error}")
            return None
        finally:
            self.bar.update()


def run(folder, gpu=0, scale=1.0, keep=lambda result: None):
    """Return a JSON-able dict of all comparisons, speeds, memory, and what was wanted.

    Parameters
    ----------
    folder : path
        An empty one, for generated nets, weights and LMDBs: 1.2 GB at scale 1.
    gpu : int or None
        CUDA device, which must be there; None for the rehearsal on the CPU.
    scale : float
        Of batches, widths, iterations and pictures; 1 is what figures are wanted of.
    keep : callable
        Called with the result so far, whose "failures" are not final, after each group of parts: minutes of a GPU.

    Raises
    ------
    ValueError
        For a scale that is none.
    """
    sizes, begun = Sizes(scale), time.perf_counter()
    reference, compared = engines(gpu)
    peers = len(compared) + (gpu is None) + net_runs.is_installed("torch")
    parts = Parts(gpu, 5 * (1 + len(compared)) + 2 * (1 + peers) + 1 + len(speed.SOURCES))
    for part in ("agreement", "curve", "speed", "training"):
        (Path(folder) / part).mkdir(parents=True, exist_ok=True)
    result = {
        "gpu": gpu,
        "scale": scale,
        "device": describe_gpu(gpu) if gpu is not None else {},
        "machine": describe(),
        "reference": reference.name,
        "engines": [engine.name for engine in compared],
    }

    def add(name, value):
        result.update({name: value, "failures": parts.failures})
        keep(result)

    with parts.bar:
        add("comparisons", _agreement(parts, Path(folder), sizes, reference, compared))
        timed = compared if gpu is not None else [reference, *compared]
        speeds = _speed(parts, Path(folder) / "speed", sizes, timed, gpu)
        result["comparisons"] += _same_net(speeds)
        add("speed", speeds)
        add("training", _training(parts, Path(folder) / "training", sizes, _best(compared)))
        add("smaller_batches", _smaller_batches(parts, Path(folder) / "speed", sizes, _best(compared), result))
    result |= {"wanted": wanted(result), "seconds": round(time.perf_counter() - begun)}
    return result


def _best(compared):
    """Return cuDNN in float32 where it is there: what a user gets without asking."""
    return next((engine for engine in compared if engine.name == CUDNN), compared[0])


def _kind(engine):
    return "TF32" if engine.environment.get("MINDPICS_TF32") == "1" else "float32"


def _agreement(parts, folder, sizes, reference, compared):
    rows = []
    for body in agreement.BODIES:
        agreement.write_whole(folder / "agreement", body, 4, sizes.crop, sizes.width)
        moved = parts(f"{body}, {reference.name}", agreement.whole, reference, folder / "agreement", body)
        for engine in compared:
            part_run = parts(f"{body}, {engine.name}", agreement.whole, engine, folder / "agreement", body)
            if moved and part_run:
                rows += [
                    _row(
                        f"{body}: {part}",
                        engine,
                        max(part_run.result[part].values()),
                        agreement.at_most(moved.result, part, _kind(engine)),
                    )
                    for part in ("outputs", "gradients")
                ]
    known = parts(f"layers, {reference.name}", agreement.single_layers, reference, folder / "agreement")
    for engine in compared:
        part_run = parts(f"layers, {engine.name}", agreement.single_layers, engine, folder / "agreement")
        if known and part_run:
            differences = agreement.apart(part_run.result, known.result)
            worst = max(differences, key=differences.get)
            rows.append(
                _row(
                    f"{len(agreement.LAYERS)} layers; worst {worst}",
                    engine,
                    differences[worst],
                    agreement.LEAST[_kind(engine)],
                )
            )
    for body in agreement.BODIES:
        rows += _curves(parts, folder / "curve", sizes, body, reference, compared)
    return rows


def _curves(parts, folder, sizes, body, reference, compared):
    iterations, rows = sizes.of(200, 10), []
    curves.write(folder, body, sizes.of(2000, 100), sizes.of(32, 4), sizes.width / 4)
    known = parts(f"{body}, losses, {reference.name}", curves.curve, reference, folder, body, iterations)
    for engine in compared:
        curve = parts(f"{body}, losses, {engine.name}", curves.curve, engine, folder, body, iterations)
        if known and curve:
            names = "first 10 losses", f"{iterations} losses, in means of {curves.WINDOW}"
            values, limits = curves.apart(curve.result, known.result), curves.LIMITS[_kind(engine)]
            rows += [
                _row(f"{body}: {name}", engine, value, limit)
                for name, value, limit in zip(names, values, limits, strict=True)
            ]
            rows[-1] |= {"losses": curve.result, "reference_losses": known.result}
    return rows


def _row(name, engine, apart, limit):
    return {
        "what": name,
        "engine": engine.name,
        "apart": float(apart),
        "at_most": float(limit),
        "ok": bool(apart <= limit),
    }


def _speed(parts, folder, sizes, timed, gpu):
    """Return {body: {"batch": .., "runs": {engine or "PyTorch": seconds, images/s, memory, features}}}."""
    speeds = {}
    for body in BODIES:
        batch, repeats = sizes.batch(body), sizes.of(20, 2)
        parts(f"{body}, weights", net_runs.write_nets, folder, body, 0, sizes.width)
        tasks = {engine.name: (speed.passes_and_steps, engine) for engine in timed}
        if net_runs.is_installed("torch"):
            tasks["PyTorch"] = (speed.torch_passes_and_steps, gpu)
        runs = {}
        for name, (function, on) in tasks.items():
            part = parts(f"{body}, speed, {name}", function, on, folder, body, batch, repeats)
            if part:
                runs[name] = {**part.result, "images_s": batch / part.result["step_s"], "peak_gb": part.peak_gb}
        speeds[body] = {"batch": batch, "runs": runs}
    return speeds


def _same_net(speeds):
    """Compare features: all columns of a table ran the same net. Takes the features out, which are no figures."""
    rows = []
    for body, speed_of_body in speeds.items():
        features = {name: run.pop("features") for name, run in speed_of_body["runs"].items()}
        if "PyTorch" in features and len(features) > 1:
            ours = next(iter(features.values()))
            differ = float(np.abs(features["PyTorch"] - ours).max() / np.abs(ours).max())
            rows.append(
                {
                    "what": f"{body}: features",
                    "engine": "PyTorch",
                    "apart": differ,
                    "at_most": SAME_NET,
                    "ok": differ <= SAME_NET,
                }
            )
    return rows


def _training(parts, folder, sizes, engine):
    """Return {source: seconds a step, images/s, busy}, and the share of each step that waits for pictures."""
    batch, repeats = sizes.batch("alexnet"), sizes.of(40, 4)
    parts(
        "generated pictures",
        speed.write_trainings,
        folder,
        sizes.of(2560, 2 * batch),
        batch,
        BODIES["alexnet"],
        sizes.width,
    )
    sources = {}
    for source in speed.SOURCES:
        part = parts(f"training, {source}", speed.training, engine, folder, source, repeats)
        if part:
            seconds, began, ended = part.result
            step = float(np.median(seconds))
            sources[source] = {
                "step_s": step,
                "images_s": batch / step,
                "busy": part.watch.busy(began, ended),
                "peak_gb": part.peak_gb,
            }
    if speed.RESIDENT in sources:
        for source in (speed.RAW, speed.JPEG):
            if source in sources:
                share = 1 - sources[speed.RESIDENT]["step_s"] / sources[source]["step_s"]
                sources[source]["waiting"] = max(0.0, share)
    return {"engine": engine.name, "batch": batch, "of": sources}


def _smaller_batches(parts, folder, sizes, engine, result):
    """Return {iter_size: peak GB} of ResNet-50's step with the batch split, until it fits into the paper's GPU."""
    run = result["speed"]["resnet50"]["runs"].get(engine.name)
    peaks, iter_size = {1: run["peak_gb"]} if run else {}, 1
    while peaks and peaks[iter_size] and peaks[iter_size] > PAPER_GB and iter_size < 16:
        iter_size *= 2
        batch = max(1, sizes.batch("resnet50") // iter_size)
        parts.bar.total += 1
        part = parts(f"resnet50, iter_size {iter_size}", speed.step_only, engine, folder, "resnet50", batch, 3)
        if not part:
            break
        peaks[iter_size] = part.peak_gb
    return peaks


def passed(result):
    """Tell whether every part ended and every comparison lies within its limit."""
    return not result["failures"] and all(row["ok"] for row in result["comparisons"])
