"""Text report of gpu_check, and its target figures."""

from mindpics.benchmarks import gpu_speed as speed
from mindpics.benchmarks.gpu_agreement import ALLOWED, LEAST, NUDGE
from mindpics.benchmarks.gpu_engines import CUDNN
from mindpics.files.columns import columns

K40_PICTURES_S = 193  # caffe.berkeleyvision.org/performance_hardware.html: AlexNet, 5,120 pictures in 26.5 s
WANTED_TIMES_K40 = 25
WANTED_BUSY = 0.9
PAPER_GB = 4 * 2**30 / 1e9  # section 4: "a NVIDIA GTX 770 with 4GB of memory"


def format_result(found):
    """Return the result as text; on the CPU its first line says so."""
    lines = [_title(found), *_comparisons(found), *_speed(found), *_training(found), *_memory(found), *_wanted(found)]
    lines += [f"FAILED {failure}" for failure in found["failures"]]
    return "\n".join([*lines, f"{found['seconds']} s in all"])


def _title(found):
    machine = "{processor}, {cores} cores, {memory_gb} GB".format(**found["machine"])
    if found["gpu"] is None:
        return f"A REHEARSAL ON THE CPU at scale {found['scale']:g}; no GPU was used. {machine}"
    device = found["device"]
    name = "{name}, {memory_gb} GB, driver {driver}".format(**device) if device else f"GPU {found['gpu']}"
    at = "" if found["scale"] == 1 else f" At scale {found['scale']:g}: no figures to quote."
    return f"{name}; {machine}.{at}"


def _comparisons(found):
    rows = [
        (
            row["what"],
            row["engine"],
            f"{row['apart']:.1e}",
            f"{row['at_most']:.1e}",
            "ok" if row["ok"] else "TOO FAR APART",
        )
        for row in found["comparisons"]
    ]
    headings = (f"Against {found['reference']}", "", "apart", "at most", "")
    lines = ["", *columns(headings, rows, "llrrl")]
    return [
        *lines,
        f"  Outputs and gradients: {LEAST['float32']:g} (TF32: {LEAST['TF32']:g}) of their norm, or "
        f"{ALLOWED} times as far as {found['reference']} itself moves when its pictures are changed by "
        f"{NUDGE['float32']:g} ({NUDGE['TF32']:g}). No dropout: a GPU draws other masks.",
    ]


def _speed(found):
    lines = []
    for body, of in found["speed"].items():
        rows = [
            (
                name,
                f"{1e3 * run['forward_s']:.1f}",
                f"{1e3 * run['step_s']:.1f}",
                f"{run['images_s']:.0f}",
                _number(run["peak_gb"], ".2f"),
            )
            for name, run in of["runs"].items()
        ]
        headings = (f"{body}, {of['batch']} pictures", "forward ms", "step ms", "images/s", "GB")
        lines += ["", *columns(headings, rows)]
    return lines


def _training(found):
    training = found["training"]
    rows = [
        (
            source,
            f"{1e3 * of['step_s']:.1f}",
            f"{of['images_s']:.0f}",
            _number(of.get("waiting"), ".0%"),
            _number(of["busy"], ".0%"),
        )
        for source, of in training["of"].items()
    ]
    title = f"AlexNet all-in-one, batch {training['batch']}, {training['engine']}; LMDBs in memory"
    lines = ["", *columns((title, "step ms", "images/s", "waiting", "busy"), rows)]
    if {speed.PYTHON, speed.RESIDENT} <= set(training["of"]):
        more = training["of"][speed.PYTHON]["step_s"] - training["of"][speed.RESIDENT]["step_s"]
        lines.append(
            f"  Python losses in place of native ones: {1e3 * more:+.2f} ms a step, "
            f"{more / training['of'][speed.RESIDENT]['step_s']:+.1%}"
        )
    return lines


def _memory(found):
    where = "the process" if found["gpu"] is None else "the GPU, CUDA's own included"
    peaks = [f"iter_size {size} {_number(peak, '.2f')} GB" for size, peak in found["smaller_batches"].items()]
    return ["", f"Memory of ResNet-50's step on {where}: {', '.join(peaks) or 'not measured'}"]


def _wanted(found):
    if not found["wanted"]:
        return ["", "Figures are wanted of a GPU at scale 1 only."]
    rows = []
    for row in found["wanted"]:
        verdict = {None: "not measured", True: "reached", False: "not reached"}[row["reached"]]
        if row.get("fits_iter_size", 1) not in (1, None):
            verdict += f"; fits with iter_size {row['fits_iter_size']}"
        rows.append((row["what"], f"{row['wanted']:.4g}", _number(row["found"], ".4g"), verdict))
    return ["", *columns(("Wanted", "wanted", "found", ""), rows, "lrrl")]


def _number(value, form):
    return "-" if value is None else format(value, form)


def wanted(found):
    """Return rows {"what", "wanted", "found", "reached"}: figures to reach; "reached" is None where none was taken.

    On the CPU, or at another scale than 1, nothing is wanted.
    """
    if found["gpu"] is None or found["scale"] != 1:
        return []
    raw = found["training"]["of"].get(speed.RAW, {})
    rows = [
        _wish("AlexNet all-in-one from raw LMDB, images/s", WANTED_TIMES_K40 * K40_PICTURES_S, raw.get("images_s")),
        _wish("the same: GPU busy", WANTED_BUSY, raw.get("busy")),
    ]
    for body, of in found["speed"].items():
        ours, peer = of["runs"].get(CUDNN, {}), of["runs"].get("PyTorch", {})
        rows += [
            _wish(
                f"{body}, {kind}: {CUDNN}, times PyTorch float32",
                1.0,
                peer[f"{kind}_s"] / ours[f"{kind}_s"] if ours and peer else None,
            )
            for kind in ("forward", "step")
        ]
    fits = [size for size, peak in found["smaller_batches"].items() if peak and peak <= PAPER_GB]
    peak = found["smaller_batches"].get(1)
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


def _wish(what, least, value):
    return {"what": what, "wanted": least, "found": value, "reached": None if value is None else value >= least}
