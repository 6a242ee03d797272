"""Text report of gpu_check, and its target figures."""

from mindpics.benchmarks import gpu_speed as speed
from mindpics.benchmarks.gpu_agreement import ALLOWED, LEAST, NUDGE
from mindpics.benchmarks.gpu_engines import CUDNN
from mindpics.files.columns import columns

K40_PICTURES_S = 193  # caffe.berkeleyvision.org/performance_hardware.html: AlexNet, 5,120 pictures in 26.5 s
WANTED_TIMES_K40 = 25
WANTED_BUSY = 0.9
PAPER_GB = 4 * 2**30 / 1e9  # section 4: "a NVIDIA GTX 770 with 4GB of memory"


def format_result(result):
    """Return the result as text; on the CPU its first line says so."""
    lines = [
        _title(result),
        *_comparisons(result),
        *_speed(result),
        *_training(result),
        *_memory(result),
        *_wanted(result),
    ]
    lines += [f"FAILED {failure}" for failure in result["failures"]]
    return "\n".join([*lines, f"{result['seconds']} s in all"])


def _title(result):
    machine = "{processor}, {cores} cores, {memory_gb} GB".format(**result["machine"])
    if result["gpu"] is None:
        return f"A REHEARSAL ON THE CPU at scale {result['scale']:g}; no GPU was used. {machine}"
    device = result["device"]
    name = "{name}, {memory_gb} GB, driver {driver}".format(**device) if device else f"GPU {result['gpu']}"
    at = "" if result["scale"] == 1 else f" At scale {result['scale']:g}: no figures to quote."
    return f"{name}; {machine}.{at}"


def _comparisons(result):
    rows = [
        (
            row["what"],
            row["engine"],
            f"{row['apart']:.1e}",
            f"{row['at_most']:.1e}",
            "ok" if row["ok"] else "TOO FAR APART",
        )
        for row in result["comparisons"]
    ]
    headings = (f"Against {result['reference']}", "", "apart", "at most", "")
    lines = ["", *columns(headings, rows, "llrrl")]
    return [
        *lines,
        f"  Outputs and gradients: {LEAST['float32']:g} (TF32: {LEAST['TF32']:g}) of their norm, or "
        f"{ALLOWED} times as far as {result['reference']} itself moves when its pictures are changed by "
        f"{NUDGE['float32']:g} ({NUDGE['TF32']:g}). No dropout: a GPU draws other masks.",
    ]


def _speed(result):
    lines = []
    for body, speed_of_body in result["speed"].items():
        rows = [
            (
                name,
                f"{1e3 * run['forward_s']:.1f}",
                f"{1e3 * run['step_s']:.1f}",
                f"{run['images_s']:.0f}",
                _number(run["peak_gb"], ".2f"),
            )
            for name, run in speed_of_body["runs"].items()
        ]
        headings = (f"{body}, {speed_of_body['batch']} pictures", "forward ms", "step ms", "images/s", "GB")
        lines += ["", *columns(headings, rows)]
    return lines


def _training(result):
    training = result["training"]
    rows = [
        (
            source,
            f"{1e3 * figures['step_s']:.1f}",
            f"{figures['images_s']:.0f}",
            _number(figures.get("waiting"), ".0%"),
            _number(figures["busy"], ".0%"),
        )
        for source, figures in training["of"].items()
    ]
    title = f"AlexNet all-in-one, batch {training['batch']}, {training['engine']}; LMDBs in memory"
    lines = ["", *columns((title, "step ms", "images/s", "waiting", "busy"), rows)]
    if {speed.PYTHON, speed.RESIDENT} <= set(training["of"]):
        python_s = training["of"][speed.PYTHON]["step_s"] - training["of"][speed.RESIDENT]["step_s"]
        lines.append(
            f"  Python losses in place of native ones: {1e3 * python_s:+.2f} ms a step, "
            f"{python_s / training['of'][speed.RESIDENT]['step_s']:+.1%}"
        )
    return lines


def _memory(result):
    where = "the process" if result["gpu"] is None else "the GPU, CUDA's own included"
    peaks = [f"iter_size {size} {_number(peak, '.2f')} GB" for size, peak in result["smaller_batches"].items()]
    return ["", f"Memory of ResNet-50's step on {where}: {', '.join(peaks) or 'not measured'}"]


def _wanted(result):
    if not result["wanted"]:
        return ["", "Figures are wanted of a GPU at scale 1 only."]
    rows = []
    for row in result["wanted"]:
        verdict = {None: "not measured", True: "reached", False: "not reached"}[row["reached"]]
        if row.get("fits_iter_size", 1) not in (1, None):
            verdict += f"; fits with iter_size {row['fits_iter_size']}"
        rows.append((row["what"], f"{row['wanted']:.4g}", _number(row["found"], ".4g"), verdict))
    return ["", *columns(("Wanted", "wanted", "found", ""), rows, "lrrl")]


def _number(value, form):
    return "-" if value is None else format(value, form)


def wanted(result):
    """Return rows {"what", "wanted", "found", "reached"}: figures to reach; "reached" is None where none was taken.

    On the CPU, or at another scale than 1, nothing is wanted.
    """
    if result["gpu"] is None or result["scale"] != 1:
        return []
    raw = result["training"]["of"].get(speed.RAW, {})
    rows = [
        _wish("AlexNet all-in-one from raw LMDB, images/s", WANTED_TIMES_K40 * K40_PICTURES_S, raw.get("images_s")),
        _wish("the same: GPU busy", WANTED_BUSY, raw.get("busy")),
    ]
    for body, speed_of_body in result["speed"].items():
        ours, peer = speed_of_body["runs"].get(CUDNN, {}), speed_of_body["runs"].get("PyTorch", {})
        rows += [
            _wish(
                f"{body}, {kind}: {CUDNN}, times PyTorch float32",
                1.0,
                peer[f"{kind}_s"] / ours[f"{kind}_s"] if ours and peer else None,
            )
            for kind in ("forward", "step")
        ]
    fits = [size for size, peak in result["smaller_batches"].items() if peak and peak <= PAPER_GB]
    peak = result["smaller_batches"].get(1)
    rows.append(
        {
            "what": "resnet50, batch 32: GB",
            "wanted": PAPER_GB,
            "found": peak,
            "reached": None if peak is None else peak <= PAPER_GB,
            "fits_iter_size": min(fits, default=None),
        }
    )
    return rows


def _wish(name, target, value):
    return {"what": name, "wanted": target, "found": value, "reached": None if value is None else value >= target}
