"""Target figures of gpu_check."""

from mindpics.benchmarks import gpu_speed as speed
from mindpics.benchmarks.gpu_engines import CUDNN

K40_PICTURES_S = 193  # caffe.berkeleyvision.org/performance_hardware.html: AlexNet, 5,120 pictures in 26.5 s
WANTED_TIMES_K40 = 25
WANTED_BUSY = 0.9
PAPER_GB = 4 * 2**30 / 1e9  # section 4: "a NVIDIA GTX 770 with 4GB of memory"


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
        rows += [_wish(f"{body}, {kind}: {CUDNN}, times PyTorch float32", 1.0,
                       peer[f"{kind}_s"] / ours[f"{kind}_s"] if ours and peer else None)
                 for kind in ("forward", "step")]  # fmt: skip
    fits = [size for size, peak in found["smaller_batches"].items() if peak and peak <= PAPER_GB]
    peak = found["smaller_batches"].get(1)
    rows.append({"what": "resnet50, batch 32: GB", "wanted": PAPER_GB, "found": peak,
                 "reached": None if peak is None else peak <= PAPER_GB,
                 "fits_iter_size": min(fits, default=None)})  # fmt: skip
    return rows


def _wish(what, least, value):
    return {"what": what, "wanted": least, "found": value, "reached": None if value is None else value >= least}
