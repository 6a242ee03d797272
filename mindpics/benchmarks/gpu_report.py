"""Text report of gpu_check."""

from mindpics.benchmarks import gpu_speed as speed
from mindpics.benchmarks.gpu_agreement import ALLOWED, LEAST, NUDGE
from mindpics.files.columns import columns


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
    rows = [(row["what"], row["engine"], f"{row['apart']:.1e}", f"{row['at_most']:.1e}",
             "ok" if row["ok"] else "TOO FAR APART") for row in found["comparisons"]]  # fmt: skip
    headings = (f"Against {found['reference']}", "", "apart", "at most", "")
    lines = ["", *columns(headings, rows, "llrrl")]
    return [*lines, f"  Outputs and gradients: {LEAST['float32']:g} (TF32: {LEAST['TF32']:g}) of their norm, or "
            f"{ALLOWED} times as far as {found['reference']} itself moves when its pictures are changed by "
            f"{NUDGE['float32']:g} ({NUDGE['TF32']:g}). No dropout: a GPU draws other masks."]  # fmt: skip


def _speed(found):
    lines = []
    for body, of in found["speed"].items():
        rows = [(name, f"{1e3 * run['forward_s']:.1f}", f"{1e3 * run['step_s']:.1f}", f"{run['images_s']:.0f}",
                 _number(run["peak_gb"], ".2f")) for name, run in of["runs"].items()]  # fmt: skip
        headings = (f"{body}, {of['batch']} pictures", "forward ms", "step ms", "images/s", "GB")
        lines += ["", *columns(headings, rows)]
    return lines


def _training(found):
    training = found["training"]
    rows = [(source, f"{1e3 * of['step_s']:.1f}", f"{of['images_s']:.0f}", _number(of.get("waiting"), ".0%"),
             _number(of["busy"], ".0%")) for source, of in training["of"].items()]  # fmt: skip
    title = f"AlexNet all-in-one, batch {training['batch']}, {training['engine']}; LMDBs in memory"
    lines = ["", *columns((title, "step ms", "images/s", "waiting", "busy"), rows)]
    if {speed.PYTHON, speed.RESIDENT} <= set(training["of"]):
        more = training["of"][speed.PYTHON]["step_s"] - training["of"][speed.RESIDENT]["step_s"]
        lines.append(f"  Python losses in place of native ones: {1e3 * more:+.2f} ms a step, "
                     f"{more / training['of'][speed.RESIDENT]['step_s']:+.1%}")  # fmt: skip
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
