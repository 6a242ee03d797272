"""Benchmark of forward passes and training steps of the published nets: ours, stock Caffe, OpenCV, PyTorch.

In each round every library has one process of its own, one after the other, so that a machine
that slows down slows all. Ratios are taken round by round.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mindpics.benchmarks import net_runs, timing
from mindpics.benchmarks.machine import describe, in_child, memory_gb_s, sgemm_gflops
from mindpics.files.columns import columns
from mindpics.jobs.bars import bar_of

OURS, STOCK, OPENCV, TORCH = "ours", "stock Caffe", "OpenCV DNN", "PyTorch"
# Times stock Caffe.
WANTED = {
    ("alexnet", "forward"): 1.6,
    ("resnet50", "forward"): 1.5,
    ("alexnet", "step"): 1.5,
    ("resnet50", "step"): 1.5,
}
CURVE = {"alexnet": (1, 4, 16, 64), "resnet50": (1, 2, 4, 8)}


@dataclass(frozen=True)
class Case:
    """A net's forward pass to its features, or one step of training it, on so many pictures."""

    body: str
    kind: str
    batch: int

    @property
    def name(self):
        work = f"{net_runs.FEATURES[self.body]} of {self.body}" if self.kind == "forward" else f"step of {self.body}"
        return f"{work}, {self.batch} pictures"

    def runners(self):
        """Return library -> (function, first arguments)."""
        if self.kind == "step":
            runners = {OURS: (net_runs.caffe_step, ("fast",)), STOCK: (net_runs.caffe_step, ("caffe",))}
            return runners | ({TORCH: (net_runs.torch_step, ())} if net_runs.is_installed("torch") else {})
        runners = {
            OURS: (net_runs.caffe_forward, ("fast",)),
            STOCK: (net_runs.caffe_forward, ("caffe",)),
            OPENCV: (net_runs.opencv_forward, ()),
        }
        return runners | ({TORCH: (net_runs.torch_forward, ())} if net_runs.is_installed("torch") else {})

    def gflop(self, layers):
        """Multiplications and additions: a step is three times a pass, but for the gradient of the pictures."""
        return self.batch * (sum(layers) if self.kind == "forward" else 3 * sum(layers) - layers[0])


def run(
    folder,
    bodies=("alexnet", "resnet50"),
    forward=(32, 16),
    step=(128, 32),
    rounds=5,
    repeats=3,
    curve=True,
    seed=0,
    width=1.0,
):
    """Return a JSON-able dict of all cases, the machine's limits and the cost against the number of pictures.

    Parameters
    ----------
    folder : path
        For the nets, their weights and the figure.
    bodies : sequence of {"alexnet", "resnet50"}
    forward, step : sequence of int
        Pictures in a pass and in a step of each body; 0 leaves the case out.
    rounds, repeats : int
        Processes of each library, and timed runs in each.
    curve : bool
        Whether to time forward passes of several sizes.
    seed : int
    width : float
        Share of the published channels.
    """
    folder = Path(folder)
    layers = {body: in_child(net_runs.write_nets, folder, body, seed, width)[0] for body in bodies}
    cases = [
        Case(body, kind, n)
        for kind, sizes in (("forward", forward), ("step", step))
        for body, n in zip(bodies, sizes, strict=False)
        if n
    ]
    result = {"machine": describe(), "memory_gb_s": in_child(memory_gb_s)[0], "absent": _absent()}
    result["cases"] = [_measure(case, folder, layers[case.body], rounds, repeats) for case in cases]
    if curve:
        sized = [Case(body, "forward", n) for body in bodies for n in CURVE[body]]
        result["curve"] = [_measure(case, folder, layers[case.body], max(1, rounds // 2), repeats) for case in sized]
        result["costs"] = _costs(result["curve"], folder)
    return result


def _absent():
    return [] if net_runs.is_installed("torch") else [TORCH]


def _measure(case, folder, layers, rounds, repeats):
    seconds, peaks, sgemm, tops = {}, {}, [], {}
    runners = case.runners()
    with bar_of(total=rounds * len(runners), desc=case.name, unit="run") as bar:
        for _ in range(rounds):
            sgemm.append(in_child(sgemm_gflops)[0])
            for library, (function, first) in runners.items():
                arguments = (*first, folder, case.body, case.batch, repeats)
                (times, tops[library]), peak = in_child(function, *arguments)
                seconds.setdefault(library, []).append(float(np.median(times)))
                peaks.setdefault(library, []).append(peak)
                bar.update()
    gflop = case.gflop(layers)
    return {
        "case": case.name,
        "body": case.body,
        "kind": case.kind,
        "batch": case.batch,
        "gflop": gflop,
        "sgemm_gflops": sgemm,
        "seconds": seconds,
        "peak_gb": {name: max(values) for name, values in peaks.items()},
        "times_stock": {name: float(np.median(np.divide(seconds[STOCK], values))) for name, values in seconds.items()},
        "share_of_sgemm": {
            name: float(np.median(gflop / np.multiply(values, sgemm))) for name, values in seconds.items()
        },
        "differs_from_stock": _differences(tops) if case.kind == "forward" else None,
    }


def _differences(tops):
    """Return how far each library's features are from stock's, as a share of the largest: all ran the same net."""
    largest = float(np.abs(tops[STOCK]).max())
    return {name: float(np.abs(top - tops[STOCK]).max()) / largest for name, top in tops.items()}


def _costs(curve, folder):
    """Draw a figure a net of the passes of several sizes; return each library's `timing.cost`."""
    costs = []
    for body in dict.fromkeys(row["body"] for row in curve):
        rows = [row for row in curve if row["body"] == body]
        sizes = [row["batch"] for row in rows]
        costs.append(
            [
                timing.cost(f"{body}, {library}", sizes, [np.median(row["seconds"][library]) for row in rows])
                for library in rows[0]["seconds"]
            ]
        )
        timing.plot_costs(folder / f"{body}_cost", costs[-1], "pictures")
    return [cost for of_body in costs for cost in of_body]


def add_suite(suites):
    suite = suites.add_parser(
        "caffe", help="passes and training steps of AlexNet and ResNet-50; peers: stock Caffe, OpenCV DNN, PyTorch"
    )
    suite.add_argument("--nets", nargs="+", choices=("alexnet", "resnet50"), default=("alexnet", "resnet50"))
    suite.add_argument("--forward", nargs="+", type=int, default=(32, 16), help="pictures a pass of each net; 0: none")
    suite.add_argument("--step", nargs="+", type=int, default=(128, 32), help="pictures a step of each net; 0: none")
    suite.add_argument("--rounds", type=int, default=5, help="processes of each library")
    suite.add_argument("--repeats", type=int, default=3, help="timed runs in each process")
    suite.add_argument("--no-curve", action="store_true", help="leave out the cost against the number of pictures")
    suite.set_defaults(run=_run_suite, format=format_result)


def _run_suite(args):
    return run(
        args.folder / "caffe",
        args.nets,
        args.forward,
        args.step,
        args.rounds,
        args.repeats,
        not args.no_curve,
        args.seed,
    )


def format_result(result):
    """Return the result as lines: a table a case, what was wanted, and the exponents."""
    machine = result["machine"]
    lines = [
        "{processor}, {cores} cores, {memory_gb} GB; ".format(**machine)
        + f"memory copied at {result['memory_gb_s']:.1f} GB/s"
    ]
    lines += [f"{library} is not installed" for library in result["absent"]]
    for case in result["cases"]:
        lines += ["", *_format_case(case)]
    if "costs" in result:
        lines += ["", *timing.format_costs(result["costs"])]
    return "\n".join(lines)


def _format_case(case):
    target = WANTED.get((case["body"], case["kind"]))
    title = f"{case['case']}: {case['gflop']:.0f} GFLOP; SGEMM {np.median(case['sgemm_gflops']):.0f} GFLOP/s"
    rows = []
    for library, values in case["seconds"].items():
        differs = case["differs_from_stock"]
        rows.append(
            (
                library,
                *(f"{statistic(values):.3f}" for statistic in (np.median, min, max)),
                f"{case['times_stock'][library]:.2f}",
                f"{case['share_of_sgemm'][library]:.0%}",
                f"{case['peak_gb'][library]:.2f}",
                f"{differs[library]:.0e}" if differs else "",
                f"wanted: at least {target} x stock" if library == OURS and target else "",
            )
        )
    headings = ("", "median s", "min", "max", "x stock", "of SGEMM", "peak GB", "differs", "")
    return [title, *columns(headings, rows, "lrrrrrrrl")]
