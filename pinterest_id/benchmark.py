"""Time the experiment at the published size beside scikit-learn's own one-vs-rest liblinear.

The data are generated (`pinterest_id.generated`): what is measured is time and
memory, not accuracy. liblinear solves class by class, so a share of the classes
tells the time of all; the share is part of the result.
"""

import json
import time
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from tqdm import tqdm

from mindpics.benchmarks import timing
from mindpics.benchmarks.machine import in_child, sgemm_gflops
from mindpics.files.atomic import atomic_write
from mindpics.files.columns import columns
from pinterest_id.choice_of_C import read_curve
from pinterest_id.classifiers import C_GRID
from pinterest_id.experiment import Experiment, Options
from pinterest_id.generated import generate_pins
from pinterest_id.records import write_pins
from pinterest_id.tables import write_report
from pinterest_id.text import PinTfidf

WANTED = {"times_faster": 10, "peak_gb": 8, "refine_s": 60, "experiment_s": 1800}
MODALITIES = ("text", "image")
PARTS = (8, 4, 2)  # of a user's pins, on which ours is run as well


def run(folder, n_users=117, pins_per_user=600, n_features=4096, classes=2, repeats=1, curve=True, seed=0,
        unit=False):  # fmt: skip
    """Generate, run ours and the peer, each in a process of its own; return a JSON-able dict.

    Parameters
    ----------
    folder : path
        For the generated data and the run; about 20 MB a 1,000 pins.
    n_users, pins_per_user, n_features : int
        The published sizes by default.
    classes : int
        Classes that liblinear solves; its time is that of all by proportion.
    repeats : int
        Runs of the whole experiment; the spread of its time comes of them.
    curve : bool
        Whether to time smaller experiments as well, and draw the cost against the number of pins.
    seed : int
    unit : bool
        Whether rows of image features are brought to length 1.
    """
    folder = Path(folder)
    ours = _runs(folder, n_users, pins_per_user, n_features, repeats, seed, unit)
    facts, sizes = ours[0][0], _split_sizes(pins_per_user)
    result = {
        "generated": {"pins": n_users * pins_per_user, "users": n_users, "features": n_features, **facts["data"]},
        "sgemm_gflops": in_child(sgemm_gflops)[0],
        "experiment_s": [fact["experiment_s"] for fact, _ in ours],
        "grid_and_refit_s": [sum(fact["fit_s"].values()) for fact, _ in ours],
        "refine_s": [fact["refine_s"] for fact, _ in ours],
        "peak_gb": [peak for _, peak in ours],
        **{key: facts[key] for key in ("fit_s", "fit_cpu_s", "fit_gflop", "accuracy", "stages_s")},
    }
    result["image_share_of_sgemm"] = facts["fit_gflop"]["image"] / facts["fit_s"]["image"] / result["sgemm_gflops"]
    if curve:
        smaller = {pins_per_user // part: _runs(folder / f"part{part}", n_users, pins_per_user // part, n_features, 1,
                                                seed, unit) for part in PARTS}  # fmt: skip
        result["costs"] = _costs(folder, n_users, smaller | {pins_per_user: ours})
    if classes:
        result["liblinear"] = in_child(_liblinear, folder, folder / "run0", sizes, classes, seed, unit)[0]
        result["times_faster"] = result["liblinear"]["all_classes_s"] / float(np.median(result["grid_and_refit_s"]))
        # What other programs do on the machine stretches wall time; processor time far less.
        result["times_less_cpu"] = result["liblinear"]["all_classes_cpu_s"] / sum(facts["fit_cpu_s"].values())
    return result


def _runs(folder, n_users, pins_per_user, n_features, repeats, seed, unit):
    in_child(_generate, folder, n_users, pins_per_user, n_features, seed)
    sizes = _split_sizes(pins_per_user)
    return [in_child(_ours, folder, folder / f"run{k}", sizes, seed, unit) for k in range(repeats)]


def _costs(folder, n_users, runs):
    """Draw the stages' medians against the number of pins; `runs`: pins of a user -> what `_runs` returned."""
    stages = {"whole experiment": lambda fact: fact["experiment_s"],
              "grid and refit": lambda fact: sum(fact["fit_s"].values()),
              "refinement": lambda fact: fact["refine_s"]}  # fmt: skip
    costs = [timing.cost(name, [n_users * n for n in runs],
                         [float(np.median([seconds(fact) for fact, _ in of])) for of in runs.values()])
             for name, seconds in stages.items()]  # fmt: skip
    timing.plot_costs(folder / "pinterest_cost", costs, "pins")
    return costs


def add_suite(suites):
    suite = suites.add_parser("pinterest", help="grid and refit, refinement, memory; peer: one-vs-rest liblinear")
    suite.add_argument("--users", type=int, default=117)
    suite.add_argument("--pins-per-user", type=int, default=600)
    suite.add_argument("--features", type=int, default=4096)
    suite.add_argument("--classes", type=int, default=2, help="that the peer solves; 0 leaves it out")
    suite.add_argument("--repeats", type=int, default=1, help="runs of the whole experiment")
    suite.add_argument("--no-curve", action="store_true", help="leave out the cost against the number of pins")
    suite.add_argument("--unit-features", action="store_true", help="bring image features to length 1")
    suite.set_defaults(run=_run_suite, format=format_result)


def _run_suite(args):
    return run(args.folder / "pinterest", args.users, args.pins_per_user, args.features, args.classes, args.repeats,
               not args.no_curve, args.seed, args.unit_features)  # fmt: skip


def format_result(result):
    """Return the result as lines: each figure beside what is wanted."""
    data, sgemm = result["generated"], result["sgemm_gflops"]
    lines = ["generated: {pins} pins, {users} users, {dictionary} words, {features} image features".format(**data)]
    rows = [_row(name, result[name]) for name in ("experiment_s", "grid_and_refit_s", "refine_s", "peak_gb")]
    rows.append(("image_share_of_sgemm", f"{result['image_share_of_sgemm']:.2f}", f"of {sgemm:.0f} GFLOP/s"))
    if "liblinear" in result:
        peer = result["liblinear"]
        share = f"by proportion from {peer['share']} of the classes, "
        rows += [
            ("liblinear_s", f"{peer['all_classes_s']:.0f}",
             f"{share}{peer['class_s_min']:.1f} to {peer['class_s_max']:.1f} s a class"),
            ("times_faster", f"{result['times_faster']:.1f}", f"wanted: at least {WANTED['times_faster']}"),
            ("times_less_cpu", f"{result['times_less_cpu']:.1f}", "processor time of all cores"),
        ]  # fmt: skip
    lines += columns(("", "median", ""), rows, "lrl")
    lines += timing.format_costs(result.get("costs", []))
    rows = [f"{row} {value:.1f} ({paper})" for row, (value, paper) in result["accuracy"].items()]
    return "\n".join([*lines, "accuracy in % on generated pins (on the paper's): " + ", ".join(rows)])


def _row(name, values):
    wanted = f"   wanted: under {WANTED[name]}" if name in WANTED else ""
    return name, f"{np.median(values):.1f}", f"({min(values):.1f} to {max(values):.1f}, {len(values)} runs){wanted}"


def _split_sizes(pins_per_user):
    """Return 400, 100, 100 of 600, and as much of any other number."""
    part = max(1, pins_per_user // 6)
    return pins_per_user - 2 * part, part, part


def _generate(folder, n_users, pins_per_user, n_features, seed):
    generated = generate_pins(n_users, pins_per_user, n_features, seed=seed)
    pins = generated.pins()
    write_pins(folder / "pins.jsonl", pins)
    with atomic_write(folder / "fc7.npy", "wb") as stream:
        np.save(stream, generated.images)
    with atomic_write(folder / "fc7.ids.txt") as stream:
        stream.writelines(f"{pin.id}\n" for pin in pins)


def _experiment(folder, out, sizes, seed, unit):
    options = Options(sizes=sizes, seed=seed, unit_features=unit)
    return Experiment(folder / "pins.jsonl", folder / "fc7", out, options, progress=True)


def _ours(folder, out, sizes, seed, unit):
    begun = time.perf_counter()
    experiment = _experiment(folder, out, sizes, seed, unit)
    experiment.run()
    rows = write_report(out, "tools/benchmark pinterest", seed)
    total = time.perf_counter() - begun
    models = {name: _models(out / "models" / name) for name in MODALITIES}
    features = {"text": experiment.facts["dictionary"]["train"], "image": experiment.features["image"].array.shape[1]}
    return {
        "experiment_s": total,
        "fit_s": {name: sum(m["seconds"] for m in models[name]) for name in MODALITIES},
        "fit_cpu_s": {name: sum(m["cpu_seconds"] for m in models[name]) for name in MODALITIES},
        "fit_gflop": {
            name: sum(2e-9 * m["columns"] * m["pins"] * features[name] for m in models[name]) for name in MODALITIES
        },
        "refine_s": experiment.seconds["refine"],
        "stages_s": experiment.seconds,
        "data": {
            "words_per_pin": experiment.facts["words_per_pin"],
            "dictionary": experiment.facts["dictionary"]["train and validation"],
        },
        "accuracy": {row["model"]: (row["accuracy"], row["published_accuracy"]) for row in rows},
    }


def _models(folder):
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def _liblinear(folder, out, sizes, classes, seed, unit):
    """Time scikit-learn's one-vs-rest liblinear: the grid and the refit at the same C, for some of the classes."""
    experiment = _experiment(folder, out, sizes, seed, unit)
    experiment.arrange()
    pins = experiment.pins
    chosen = np.random.default_rng(seed).choice(len(pins.users), classes, replace=False)
    seconds, cpu = np.zeros(classes), np.zeros(classes)
    fits = [(name, C, False) for name in MODALITIES for C in C_GRID] + [(name, None, True) for name in MODALITIES]
    for name, C, refit in tqdm(fits, desc="liblinear", unit="fit"):
        best = next(step.C for step in read_curve(out / "models" / name / "curve.csv") if step.chosen)
        n = pins.n_seen if refit else pins.n_train
        X = _matrix(experiment, name, n)
        for k, code in enumerate(chosen):
            # One column of an indicator matrix is one class of one-vs-rest.
            target = (pins.codes[:n] == code).astype(int)[:, None]
            begun, cpu_begun = time.perf_counter(), time.process_time()
            OneVsRestClassifier(LogisticRegression(solver="liblinear", C=best if refit else C)).fit(X, target)
            seconds[k] += time.perf_counter() - begun
            cpu[k] += time.process_time() - cpu_begun
        del X
    return {
        "share": f"{classes}/{len(pins.users)}",
        "class_s_min": float(seconds.min()), "class_s_max": float(seconds.max()),
        "all_classes_s": float(seconds.mean() * len(pins.users)),
        "all_classes_cpu_s": float(cpu.mean() * len(pins.users)),
    }  # fmt: skip


def _matrix(experiment, name, n):
    if name == "image":
        return experiment.features["image"].matrix(experiment.pins.ids[:n], experiment.options.unit_features)
    return PinTfidf().fit_transform(experiment.pins.texts[:n])
