"""Benchmark of LMDB making beside convert_imageset, and the difference of the pixels."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from mindpics.benchmarks import timing
from mindpics.caffe_files.lmdb_writer import LMDB
from mindpics.files import own_folder

WANTED = 3  # times convert_imageset, on two cores
SIZE = 256
THEIRS, OURS, REDUCED = "convert_imageset", "ours", "ours, reduced"
PARTS = (8, 4, 2)  # of the pictures, of which ours makes LMDBs as well
# A process from its start, as theirs is.
SCRIPT = f"""
import sys
from mindpics.datasets.picture_lmdb import read_rows, write_lmdb
table, root, out, reduced = sys.argv[1:]
write_lmdb(read_rows(table, "train", root), out, {SIZE}, reduced=bool(reduced), force=True)
"""
COMPARED = 200  # pictures whose pixels are compared


def run(folder, pictures=2000, repeats=3, memory_pictures=20_000, seed=0):
    """Generate 1080x1080 JPEGs, make LMDBs of them by ours and by convert_imageset; return a JSON-able dict.

    Parameters
    ----------
    folder : path
        For the pictures (230 KB each), the LMDBs (200 KB a picture) and the plot.
    pictures : int
        Ours is run on as many, and on three smaller sets.
    repeats : int
        Runs of each contestant.
    memory_pictures : int
        The same pictures, repeated to so many: does memory stay flat? 0 leaves it out.
    seed : int
    """
    folder = Path(folder)
    command = Path(sys.executable).with_name(THEIRS)
    if not command.exists():
        raise RuntimeError(f"{command}: found no such file; wanted what tools/setup builds")
    from mindpics.datasets.generated_pictures import write_pictures  # its photographs would slow each run's start

    paths = write_pictures(folder / "pictures", pictures, seed)
    facts = timing.machine(folder)
    contestants = {
        THEIRS: (_theirs, (command, folder, paths)),
        OURS: (_ours, (folder, paths, False)),
        REDUCED: (_ours, (folder, paths, True)),
    }
    side_by_side = timing.alternate(contestants, repeats)
    apart = {name: _apart(folder, name) for name in (OURS, REDUCED)}
    sizes = [pictures // part for part in PARTS]
    smaller = {
        name: timing.alternate({str(n): (_ours, (folder, paths[:n], name == REDUCED)) for n in sizes}, repeats)
        for name in (OURS, REDUCED)
    }
    costs = [
        timing.cost(
            name,
            [*sizes, pictures],
            [smaller[name][str(n)]["median_s"] for n in sizes] + [side_by_side[name]["median_s"]],
        )
        for name in smaller
    ]
    timing.plot_costs(folder / "lmdb_cost", costs, "pictures")
    result = {
        "machine": facts,
        "pictures": pictures,
        "side_by_side": side_by_side,
        "levels_apart": apart,
        "smaller": smaller,
        "costs": costs,
        "lmdb_gb": (folder / _name(OURS) / "data.mdb").stat().st_size / 1e9,
    }
    if memory_pictures:
        rows = (paths * -(-memory_pictures // pictures))[:memory_pictures]
        result["many"] = {memory_pictures: timing.alternate({OURS: (_ours, (folder, rows, False))}, 1)[OURS]}
    return result


def add_suite(suites):
    """Add this suite to tools/benchmark."""
    suite = suites.add_parser("lmdb", help="an LMDB of large JPEGs; peer: convert_imageset")
    suite.add_argument("--pictures", type=int, default=2000, help="default %(default)s")
    suite.add_argument(
        "--memory-pictures", type=int, default=20_000, help="once, by ours: does memory stay flat? 0 leaves it out"
    )
    suite.add_argument("--repeats", type=int, default=3)
    suite.set_defaults(
        run=lambda args: run(args.folder / "lmdb", args.pictures, args.repeats, args.memory_pictures, args.seed),
        format=format_result,
    )


def format_result(result):
    """Return the result as lines: each figure beside what is wanted."""
    runs, n = result["side_by_side"], result["pictures"]
    lines = [timing.format_machine(result["machine"]), f"{n:,} JPEGs of 1080x1080 to 256x256:"]
    lines += timing.format_runs(runs, REDUCED)
    for name in (OURS, REDUCED):
        faster = runs[THEIRS]["median_s"] / runs[name]["median_s"]
        written = result["lmdb_gb"] / runs[name]["median_s"] / result["machine"]["disk_write_gb_s"]
        mean, largest = result["levels_apart"][name]
        lines.append(
            f"{name}: {faster:.2f} x {THEIRS} (wanted: {WANTED}), {n / runs[name]['median_s']:.0f} pictures/s, "
            f"{written:.0%} of what the disk writes; {mean:.2f} levels of 255 apart in the mean, {largest} at most"
        )
    for pictures, run in result.get("many", {}).items():
        faster = runs[THEIRS]["median_s"] / n * pictures / run["median_s"]
        lines.append(
            f"{OURS}, {pictures:,} pictures: {run['median_s']:.1f} s, {faster:.2f} x {THEIRS} by proportion; "
            f"{run['peak_mb']:.0f} MB, {runs[OURS]['peak_mb']:.0f} for {n:,}"
        )
    return "\n".join([*lines, *timing.format_costs(result["costs"])])


def _name(contestant):
    return contestant.replace(", ", "_") + "_lmdb"


def _theirs(command, folder, paths):
    out, names = folder / _name(THEIRS), folder / "list.txt"
    own_folder.remove(out, LMDB)
    names.write_text("".join(f"{path.name} {i % 10}\n" for i, path in enumerate(paths)), encoding="utf-8")
    sides = [f"--resize_height={SIZE}", f"--resize_width={SIZE}"]
    subprocess.run([command, *sides, f"{paths[0].parent}/", names, out], check=True, capture_output=True)


def _ours(folder, paths, reduced):
    table = folder / "rows.csv"
    rows = [f"{i:06d},{path.name},{i % 10},train" for i, path in enumerate(paths)]
    table.write_text("\n".join(["id,image,label,split", *rows, ""]), encoding="utf-8")
    out = folder / _name(REDUCED if reduced else OURS)
    command = [sys.executable, "-c", SCRIPT, table, paths[0].parent, out, "reduced" if reduced else ""]
    subprocess.run(command, check=True, capture_output=True)


def _apart(folder, name):
    """Return the mean and the largest difference from convert_imageset's pixels, in levels."""
    from mindpics.caffe_files.datum import to_pixels
    from mindpics.caffe_files.lmdbs import read_lmdb

    theirs = {key.split("_", 1)[1].split(".")[0]: datum for key, datum in _first(read_lmdb(folder / _name(THEIRS)))}
    ours = {key.split("_", 1)[1]: datum for key, datum in read_lmdb(folder / _name(name)) if key[9:] in theirs}
    apart = [np.abs(to_pixels(ours[i]).astype(int) - to_pixels(theirs[i])) for i in theirs]
    return float(np.mean(apart)), int(np.max(apart))


def _first(records):
    return (record for record, _ in zip(records, range(COMPARED), strict=False))
