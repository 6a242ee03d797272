"""Benchmark harness: contestants alternate in fresh processes; medians, spread, cost curves.

Every run has a process of its own. Its time begins when Python has started and
imported what calls it; memory and processor time are those of the process and
all its children. Memory is what they hold themselves, each page once however
many share it: pages of a file that is mapped may be dropped at any time.
"""

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil

from mindpics.benchmarks.machine import in_child, processor, seconds_of
from mindpics.files.columns import columns
from mindpics.jobs.bars import bar_of
from mindpics.report import charts

SPACE = 1 << 30  # bytes copied, written and read for the machine's limits


@dataclass(frozen=True)
class Run:
    """One run: seconds of the wall's clock and of processors, peak memory, what the function returned."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    result: object


def alternate(contestants, repeats):
    """Run each contestant in turn, `repeats` times.

    Parameters
    ----------
    contestants : dict
        name -> (function, arguments); they must pickle.

    Returns
    -------
    dict
        name -> summary, a dict: seconds (of each run), median_s, cpu_s (median), peak_mb (largest), result.
    """
    runs = {name: [] for name in contestants}
    with bar_of(total=repeats * len(contestants), unit="run") as bar:
        for _ in range(repeats):
            for name, (function, args) in contestants.items():
                bar.set_description(name)
                runs[name].append(measure(function, *args))
                bar.update()
    return {name: _summary(runs_of_name) for name, runs_of_name in runs.items()}


def _summary(runs):
    return {
        "seconds": [round(run.seconds, 3) for run in runs],
        "median_s": float(np.median([run.seconds for run in runs])),
        "cpu_s": float(np.median([run.cpu_seconds for run in runs])),
        "peak_mb": max(run.peak_mb for run in runs),
        "result": runs[-1].result,
    }


def measure(function, *args):
    """Return the `Run` of a function in a fresh process; RuntimeError when it fails."""
    family = _Family()
    timed, _ = in_child(_Timed(function), *args, watch=family.look)
    cpu_seconds = sum((family.cpu | {timed.pid: timed.cpu_after}).values()) - timed.cpu_before
    return Run(timed.seconds, cpu_seconds, family.peak / 1e6, timed.result)


class _Timed:
    """A function that returns its result with the time it took, in the process that it is called in."""

    def __init__(self, function):
        self.function, self.__name__ = function, function.__name__

    def __call__(self, *args):
        cpu_before, begun = time.process_time(), time.perf_counter()
        result = self.function(*args)
        seconds = time.perf_counter() - begun
        return SimpleNamespace(
            seconds=seconds, cpu_before=cpu_before, cpu_after=time.process_time(), pid=os.getpid(), result=result
        )


class _Family:
    """What a process and its children were seen to hold at most, in bytes, and the processor seconds of each."""

    def __init__(self):
        self.peak, self.cpu = 0, {}

    def look(self, pid):
        """Look at a running process."""
        try:
            process = psutil.Process(pid)
            family = [process, *process.children(recursive=True)]
        except psutil.Error:
            return
        self.peak = max(self.peak, sum(map(self._held, family)))

    def _held(self, process):
        try:
            held, times = _own_bytes(process.pid), process.cpu_times()
        except (psutil.Error, OSError):  # it has just ended
            return 0
        self.cpu[process.pid] = times.user + times.system
        return held


def _own_bytes(pid):
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))


def machine(folder):
    """Return what the machine is and what it allows: cores, copies in memory, writing and reading in `folder`."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "copy_gb_s": _copy(),
        **_disk(Path(folder)),
    }


def _copy():
    """Bytes read and written a second by one core."""
    source = np.ones(SPACE // 4, np.uint8)
    target = np.empty_like(source)
    seconds = [seconds_of(lambda: np.copyto(target, source)) for _ in range(5)]
    return 2 * len(source) / min(seconds) / 1e9


def _disk(folder):
    folder.mkdir(parents=True, exist_ok=True)
    path, block = folder / "disk.tmp", np.random.default_rng(0).bytes(16 << 20)
    try:
        written = seconds_of(lambda: _write(path, block))
        with open(path, "rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            read = seconds_of(lambda: [None for _ in iter(lambda: stream.read(len(block)), b"")])
    finally:
        path.unlink(missing_ok=True)
    return {"disk_write_gb_s": SPACE / written / 1e9, "disk_read_gb_s": SPACE / read / 1e9}


def _write(path, block):
    with open(path, "wb") as stream:
        for _ in range(SPACE // len(block)):
            stream.write(block)
        stream.flush()
        os.fsync(stream.fileno())


@dataclass(frozen=True)
class Cost:
    """Seconds by size, and the power of the size they grow with: the slope of a line through the logarithms."""

    name: str
    sizes: list
    seconds: list
    exponent: float


def cost(name, sizes, seconds):
    """Return the `Cost` of median seconds at sizes, as a dict.

    Parameters
    ----------
    name : str
    sizes : sequence of int
        Two at least.
    seconds : sequence of float
        The median at each size.
    """
    slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    return asdict(Cost(name, list(map(int, sizes)), list(map(float, seconds)), float(slope)))


def plot_costs(path, costs, unit):
    """Draw costs (dicts of `cost`) to PATH.png, PATH.svg and PATH.csv, both axes logarithmic.

    Parameters
    ----------
    path : path
        Without ending.
    costs : list of dict
        See `cost`.
    unit : str
        Of the sizes.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    figure, axes = charts.new_figure(6, 4.2)
    for index, cost in enumerate(costs):
        style = charts.style_of(cost["name"], index)
        axes[0, 0].loglog(
            cost["sizes"],
            cost["seconds"],
            color=style.colour,
            marker=style.marker,
            linestyle=style.dashes,
            label=f"{charts.literal(cost['name'])}: size to the {cost['exponent']:.2f}",
        )
    for axis in (axes[0, 0].xaxis, axes[0, 0].yaxis):  # 2,000 rather than 2x10^3, on less than a decade as well
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:,.10g}")
        axis.set_minor_formatter(NullFormatter())
    axes[0, 0].set_xlabel(unit)
    axes[0, 0].set_ylabel("seconds")
    axes[0, 0].legend(frameon=False)
    rows = [(cost["name"], *pair) for cost in costs for pair in zip(cost["sizes"], cost["seconds"], strict=True)]
    charts.save(figure, path, ("what", unit, "seconds"), rows)


def format_runs(summaries, ours):
    """Return lines of a table: median, spread, how many times faster than `ours`, memory."""
    rows = []
    for name, run in summaries.items():
        spread = f"{min(run['seconds']):.1f} to {max(run['seconds']):.1f} s"
        times = f"{run['median_s'] / summaries[ours]['median_s']:.2f} x" if name != ours else ""
        rows.append(
            (name, f"{run['median_s']:.1f} s", spread, times, f"{run['cpu_s']:.1f} s", f"{run['peak_mb']:.0f} MB")
        )
    return columns(("", "median", "spread", "ours is", "CPU", "memory"), rows)


def format_machine(facts):
    """Return the machine's limits as a line."""
    return (
        f"{facts['processor']}, {facts['cores']} cores (load {facts['load_before']} before): "
        f"copies {facts['copy_gb_s']:.1f} GB/s, "
        f"disk {facts['disk_write_gb_s']:.2f} GB/s written, {facts['disk_read_gb_s']:.2f} read"
    )


def format_costs(costs):
    """Return a line a cost: its exponent, and where it was measured."""
    return [
        f"cost of {cost['name']}: size to the {cost['exponent']:.2f}, over {', '.join(f'{n:,}' for n in cost['sizes'])}"
        for cost in costs
    ]
