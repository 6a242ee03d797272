"""Benchmark of tools/extract_features, from JPEGs to the saved array: ours, stock Caffe, OpenCV."""

import os
from pathlib import Path

import numpy as np

from mindpics.benchmarks import net_runs, timing
from mindpics.datasets.generated_pictures import write_pictures
from mindpics.files.feature_files import ENDINGS

BODY, BATCH, SIZE = "alexnet", 32, 256
PARTS = (8, 4, 2)  # of the pictures, of which ours makes features as well
OURS, STOCK, OPENCV = "ours", "stock Caffe", "OpenCV DNN"


def run(folder, pictures=512, repeats=3, seed=0, width=1.0):
    """Generate JPEGs, extract fc7 of all by each library; return a JSON-able dict.

    Parameters
    ----------
    folder : path
        For pictures (230 KB each), net, weights and features.
    pictures : int
        Timed beside the peers; ours also on an eighth, a quarter and a half of them.
    repeats : int
    seed : int
    width : float
        Share of the published channels.
    """
    folder = Path(folder)
    timing.measure(net_runs.write_nets, folder, BODY, seed, width)
    paths = write_pictures(folder / "pictures", pictures, seed)
    side_by_side = timing.alternate(
        {
            OURS: (_ours, ("fast", folder, paths)),
            STOCK: (_ours, ("caffe", folder, paths)),
            OPENCV: (_opencv, (folder, paths)),
        },
        repeats,
    )
    sizes = [pictures // part for part in PARTS]
    smaller = timing.alternate({str(n): (_ours, ("fast", folder, paths[:n])) for n in sizes}, repeats)
    seconds = [*(smaller[str(n)]["median_s"] for n in sizes), side_by_side[OURS]["median_s"]]
    costs = [timing.cost(OURS, [*sizes, pictures], seconds)]
    timing.plot_costs(folder / "features_cost", costs, "pictures")
    first = {name: np.asarray(summary.pop("result")) for name, summary in side_by_side.items()}
    for summary in smaller.values():
        del summary["result"]
    return {
        "machine": timing.machine(folder),
        "pictures": pictures,
        "side_by_side": side_by_side,
        "smaller": smaller,
        "costs": costs,
        "apart": {
            name: float(np.abs(row - first[STOCK]).max() / np.abs(first[STOCK]).max()) for name, row in first.items()
        },
    }


def _ours(engine, folder, paths):
    """Return the first picture's features, as a list."""
    os.environ["MINDPICS_ENGINE"] = engine
    from mindpics.inference.feature_net import FeatureNet, load_mean
    from mindpics.inference.features import extract_features

    for ending in ENDINGS:
        (folder / f"{engine}{ending}").unlink(missing_ok=True)
    net = FeatureNet(folder / f"{BODY}.prototxt", folder / f"{BODY}.caffemodel", net_runs.FEATURES[BODY])
    items = [(path.stem, path) for path in paths]
    extract_features(net, items, folder / engine, load_mean([100.0] * 3, SIZE), batch=BATCH)
    return np.load(folder / f"{engine}.npy", allow_pickle=False)[0].tolist()


def _opencv(folder, paths):
    """As an OpenCV user would: imread, blobFromImages, forward, save."""
    import cv2

    net = cv2.dnn.readNetFromCaffe(str(folder / f"{BODY}.prototxt"), str(folder / f"{BODY}.caffemodel"))
    crop, rows = net_runs.picture_shape(folder, BODY)[1], []
    start = (SIZE - crop) // 2
    for begin in range(0, len(paths), BATCH):
        pictures = [cv2.resize(cv2.imread(str(path)), (SIZE, SIZE)) for path in paths[begin : begin + BATCH]]
        centres = [picture[start : start + crop, start : start + crop] for picture in pictures]
        net.setInput(cv2.dnn.blobFromImages(centres, mean=(100, 100, 100)))
        rows.append(net.forward(net_runs.LAST_LAYER[BODY]))
    np.save(folder / "opencv.npy", np.concatenate(rows))
    return rows[0][0].ravel().tolist()


def add_suite(suites):
    suite = suites.add_parser("features", help="JPEGs to saved fc7; peers: stock Caffe, OpenCV DNN")
    suite.add_argument("--pictures", type=int, default=512)
    suite.add_argument("--repeats", type=int, default=3)
    suite.set_defaults(run=_run_suite, format=format_result)


def _run_suite(args):
    return run(args.folder / "features", args.pictures, args.repeats, args.seed)


def format_result(result):
    """Return the result as lines."""
    runs = result["side_by_side"]
    rate = result["pictures"] / runs[OURS]["median_s"]
    return "\n".join(
        [
            timing.format_machine(result["machine"]),
            f"fc7 of {result['pictures']} JPEGs of 1080x1080, decoded to saved: ours {rate:.0f} a second",
            *timing.format_runs(runs, OURS),
            *timing.format_costs(result["costs"]),
            "first picture's features, apart from stock's: "
            + ", ".join(f"{name} {apart:.0e}" for name, apart in result["apart"].items()),
        ]
    )
