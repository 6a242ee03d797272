"""Benchmark of the Data layer: pictures a second, cropped and mirrored, ours and stock."""

import os
from pathlib import Path

import numpy as np

from mindpics.benchmarks import timing
from mindpics.benchmarks.machine import describe, in_child, memory_gb_s
from mindpics.benchmarks.net_runs import timed
from mindpics.files import own_folder
from mindpics.files.columns import columns
from mindpics.jobs.bars import bar_of

SIZE, CROP, BATCH = 256, 227, 128  # section 4
WANTED = 3  # times stock, with raw pictures
ENGINES = {"ours": "fast", "stock Caffe": "caffe"}
KINDS = {"raw": None, "JPEG": "jpg"}
# Of a raw picture: its bytes are read and copied twice (record, Datum), the crop is written, read, written.
MOVED_MB = (5 * 3 * SIZE * SIZE + 3 * 4 * 3 * CROP * CROP) / 1e6


def run(folder, pictures=4096, rounds=5, repeats=3, seed=0):
    """Return a JSON-able dict of pictures a second, raw and encoded, and of the cost against their number.

    Parameters
    ----------
    folder : path
        For the databases, about 0.25 MB a picture, and the figure.
    pictures : int
        In each database, and fed in each timed run.
    rounds, repeats : int
        Processes of each engine, and timed runs in each.
    seed : int
    """
    folder = Path(folder)
    for kind, encoding in KINDS.items():
        in_child(_write, folder / f"{kind}_lmdb", pictures, encoding, seed)
    counts = [max(BATCH, pictures // part) for part in (8, 4, 2, 1)]
    panels = {kind: {name: {n: [] for n in counts} for name in ENGINES} for kind in KINDS}
    bandwidth = []
    with bar_of(total=rounds * len(KINDS) * len(ENGINES), desc="feeding", unit="run") as bar:
        for _ in range(rounds):
            bandwidth.append(in_child(memory_gb_s)[0])
            for kind in KINDS:
                for name, engine in ENGINES.items():
                    times, _ = in_child(_feed, engine, folder / f"{kind}_lmdb", counts, repeats)
                    for n, seconds in times.items():
                        panels[kind][name][n].append(float(np.median(seconds)))
                    bar.update()
    rates = {
        kind: {name: [pictures / s for s in runs[counts[-1]]] for name, runs in lines.items()}
        for kind, lines in panels.items()
    }
    return {
        "machine": describe(),
        "memory_gb_s": bandwidth,
        "pictures": pictures,
        "pictures_s": rates,
        "times_stock": {
            kind: float(np.median(np.divide(lines["ours"], lines["stock Caffe"]))) for kind, lines in rates.items()
        },
        "share_of_memory": float(np.median(np.divide(rates["raw"]["ours"], bandwidth)) * MOVED_MB / 1e3),
        "costs": _costs(panels, folder / "data_layer_cost"),
    }


def _costs(panels, path):
    costs = [
        timing.cost(f"{kind}, {name}", list(runs), [np.median(seconds) for seconds in runs.values()])
        for kind, lines in panels.items()
        for name, runs in lines.items()
    ]
    timing.plot_costs(path, costs, "pictures")
    return costs


def add_suite(suites):
    suite = suites.add_parser("data-layer", help="pictures a second out of a Data layer; peer: stock Caffe")
    suite.add_argument("--pictures", type=int, default=4096)
    suite.add_argument("--rounds", type=int, default=5, help="processes of each engine")
    suite.add_argument("--repeats", type=int, default=3, help="timed runs in each process")
    suite.set_defaults(run=_run_suite, format=format_result)


def _run_suite(args):
    return run(args.folder / "data_layer", args.pictures, args.rounds, args.repeats, args.seed)


def _write(path, pictures, encoding, seed):
    import cv2
    import lmdb

    from mindpics.caffe_files.lmdb_writer import LMDB
    from mindpics.datasets.picture_lmdb import to_datum

    rng = np.random.default_rng(seed)
    own_folder.remove(path, LMDB)
    path.mkdir(parents=True)
    with lmdb.open(str(path), map_size=pictures * 400_000 + (1 << 24)) as env, env.begin(write=True) as transaction:
        for number in range(pictures):
            # Coarse blocks: noise pixel by pixel would be no picture to a JPEG decoder.
            coarse = rng.integers(0, 256, (SIZE // 8, SIZE // 8, 3), dtype=np.uint8)
            picture = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
            transaction.put(b"%08d" % number, to_datum(picture, number % 10, encoding).SerializeToString())


def _feed(engine, database, counts, repeats):
    """Return pictures -> seconds to take so many out of the layer, several times."""
    os.environ["MINDPICS_ENGINE"] = engine
    import caffe
    from caffe.proto import caffe_pb2

    from mindpics.caffe_files.messages import write_message

    net = caffe_pb2.NetParameter()
    layer = net.layer.add(name="data", type="Data", top=["data", "label"])
    layer.data_param.CopyFrom(caffe_pb2.DataParameter(source=str(database), batch_size=BATCH, backend=1))
    layer.transform_param.CopyFrom(caffe_pb2.TransformationParameter(crop_size=CROP, mirror=True, mean_value=[100.0]))
    path = database.parent / f"{database.name}_{engine}.prototxt"
    write_message(net, path)
    net = caffe.Net(str(path), caffe.TRAIN)
    return {n: timed(lambda n=n: [net.forward() for _ in range(n // BATCH)], repeats)[0] for n in counts}


def format_result(result):
    """Return the result as lines."""
    machine = result["machine"]
    lines = [
        "{processor}, {cores} cores, {memory_gb} GB; ".format(**machine)
        + f"memory copied at {np.median(result['memory_gb_s']):.1f} GB/s"
    ]
    for kind, rates in result["pictures_s"].items():
        lines.append(f"{kind}, {SIZE}x{SIZE} to {CROP}x{CROP}, {result['pictures']} pictures")
        lines += columns(
            ("", "pictures/s", "least to most"),
            [
                (name, f"{np.median(values):.0f}", f"{min(values):.0f} to {max(values):.0f}")
                for name, values in rates.items()
            ],
        )
        target = f", wanted: at least {WANTED}" if kind == "raw" else ""
        lines.append(f"  {result['times_stock'][kind]:.2f} times stock{target}")
    lines.append(f"raw, ours: {result['share_of_memory']:.0%} of what memory moves, at {MOVED_MB:.1f} MB a picture")
    return "\n".join([*lines, *timing.format_costs(result["costs"])])
