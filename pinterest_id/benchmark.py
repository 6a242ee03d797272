"""Time the experiment at the published size beside every solver of scikit-learn that a user would pick.

The data are generated (`pinterest_id.generated`): what is measured is time and
memory, not accuracy. Both readings of fc7 run: rows brought to length 1, and raw.
"""

import json
import time
from pathlib import Path

import numpy as np

from mindpics.benchmarks import timing
from mindpics.benchmarks.machine import in_child, sgemm_gflops
from mindpics.files.atomic import atomic_write
from mindpics.files.json_files import write_json
from mindpics.jobs.bars import bar_of
from pinterest_id.generated import generate_pins
from pinterest_id.layout import PINS, ExperimentFiles
from pinterest_id.options import C_GRID, Options
from pinterest_id.peers import PEERS, as_rows, fastest, format_peers, time_peer
from pinterest_id.records import write_pins
from pinterest_id.tables import write_report

WANTED = {"times_ours": 3, "peak_gb": 4, "refine_s": 60, "experiment_s": {"unit": 480, "raw": 2400}}
MODALITIES = ("text", "image")
ROWS = ("unit", "raw")  # readings of fc7
PARTS = (8, 4, 2)  # of a user's pins, on which ours is run as well
ITERATIONS = 1000  # of a peer at most
SO_FAR = "so_far.json"  # written after each peer, which can take an hour: a stopped run has timed those before it


def run(
    folder,
    n_users=117,
    pins_per_user=600,
    n_features=4096,
    classes=2,
    repeats=1,
    parts=PARTS,
    rows=ROWS,
    peers=tuple(peer.name for peer in PEERS),
    most=ITERATIONS,
    stop_at=np.inf,
    seed=0,
):
    """Generate, run ours, each time in a process of its own, and the peers; return a JSON-able dict.

    Parameters
    ----------
    folder : path
        For the generated data and the runs, about 20 MB a 1,000 pins, and SO_FAR, what a stopped run has timed.
    n_users, pins_per_user, n_features : int
        The published sizes by default.
    classes : int
        Classes that a one-vs-rest peer solves; its time is that of all by proportion. 0: no peers.
    repeats : int
        Runs of the whole experiment; the spread of its time comes of them.
    parts : sequence of int
        Ours is run on 1 / part of a user's pins as well, and its cost drawn against their number.
    rows : sequence of "unit", "raw"
    peers : sequence of str
        Names in `peers.PEERS`.
    most : int
        Iterations of a peer at most.
    stop_at : float
        A peer is stopped when it has taken so many times as long as ours for both modalities.
    seed : int
    """
    folder, size = Path(folder), (n_users, pins_per_user, n_features)
    _generate(folder, *size, seed)
    sizes, experiments, facts = _split_sizes(pins_per_user), {}, {}
    for kind in rows:
        runs = [in_child(_ours, folder, folder / f"{kind}{k}", sizes, seed, kind) for k in range(repeats)]
        facts[kind] = runs[0][0]
        experiments[kind] = _summary(runs)
    result = {
        "generated": {
            "pins": n_users * pins_per_user,
            "users": n_users,
            "features": n_features,
            **facts[rows[0]]["data"],
        },
        "sgemm_gflops": sgemm_gflops(),
        "experiments": experiments,
    }
    if parts:
        result["costs"] = _costs(folder, size, parts, seed, rows[-1], facts[rows[-1]])
    write_json(folder / SO_FAR, result)
    ours = _our_seconds(experiments)
    at_most_s = {kind: stop_at * (ours["text"] + ours[kind]) for kind in rows}
    for times in _peers(folder, sizes, at_most_s, peers, classes, most, seed) if classes else ():
        result["peers"] = as_rows(times)
        write_json(folder / SO_FAR, result)
    if classes:
        result["fastest"] = fastest(result["peers"], ours)
    return result


def _summary(runs):
    first = runs[0][0]
    return {
        "experiment_s": [fact["experiment_s"] for fact, _ in runs],
        "grid_and_refit_s": [sum(fact["fit_s"].values()) for fact, _ in runs],
        "refine_s": [fact["refine_s"] for fact, _ in runs],
        "peak_gb": [peak for _, peak in runs],
        **{key: first[key] for key in ("fit_s", "fit_cpu_s", "fit_columns", "fit_gflop", "accuracy", "stages_s")},
    }


def _our_seconds(experiments):
    """Return seconds of grid and refit of the text and of each kind of image rows."""
    text = float(np.median([experiment["fit_s"]["text"] for experiment in experiments.values()]))
    return {"text": text, **{kind: experiment["fit_s"]["image"] for kind, experiment in experiments.items()}}


def _costs(folder, size, parts, seed, kind, whole):
    """Draw the stages' seconds against the number of pins; `whole` is what `_ours` returned for all."""
    n_users, pins_per_user, n_features = size
    facts = [_part(folder / f"part{part}", n_users, pins_per_user // part, n_features, seed, kind) for part in parts]
    facts.append(whole)
    pins = [n_users * (pins_per_user // part) for part in (*parts, 1)]
    stages = {
        "whole experiment": lambda fact: fact["experiment_s"],
        "grid and refit": lambda fact: sum(fact["fit_s"].values()),
        "refinement": lambda fact: fact["refine_s"],
    }
    costs = [timing.cost(name, pins, [seconds(fact) for fact in facts]) for name, seconds in stages.items()]
    timing.plot_costs(folder / "pinterest_cost", costs, "pins")
    return costs


def add_suite(suites):
    suite = suites.add_parser("pinterest", help="grid and refit, refinement, memory; peers: scikit-learn's solvers")
    suite.add_argument("--users", type=int, default=117)
    suite.add_argument("--pins-per-user", type=int, default=600)
    suite.add_argument("--features", type=int, default=4096)
    suite.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS, help="of image features: length 1, or raw")
    suite.add_argument(
        "--peers",
        nargs="+",
        choices=[peer.name for peer in PEERS],
        metavar="NAME",
        default=[peer.name for peer in PEERS],
        help="some of: %(choices)s",
    )
    suite.add_argument("--classes", type=int, default=2, help="that a one-vs-rest peer solves; 0 leaves peers out")
    suite.add_argument("--iterations", type=int, default=ITERATIONS, help="of a peer at most")
    suite.add_argument("--stop-at", type=float, default=np.inf, help="times our seconds that a peer may take")
    suite.add_argument("--repeats", type=int, default=1, help="runs of the whole experiment")
    suite.add_argument("--parts", nargs="*", type=int, default=PARTS, help="run on 1/PART of the pins too; may be none")
    suite.set_defaults(run=_run_suite, format=format_result)


def _run_suite(args):
    return run(
        args.folder / "pinterest",
        args.users,
        args.pins_per_user,
        args.features,
        args.classes,
        args.repeats,
        args.parts,
        args.rows,
        args.peers,
        args.iterations,
        args.stop_at,
        args.seed,
    )


def format_result(result):
    """Return the result as lines: each figure beside what is wanted at the published size."""
    lines = [
        "generated: {pins} pins, {users} users, {dictionary} words, {features} image features".format(
            **result["generated"]
        )
    ]
    for kind, experiment in result["experiments"].items():
        lines.append(f"{kind} image rows")
        lines += [
            _line(name, experiment[name], kind) for name in ("experiment_s", "grid_and_refit_s", "refine_s", "peak_gb")
        ]
        lines += [
            f"  {name:<18}{experiment['fit_s'][name]:>10.1f}   {experiment['fit_cpu_s'][name]:.1f} s of processors, "
            f"{experiment['fit_columns'][name]:,} columns multiplied"
            for name in MODALITIES
        ]
        share = experiment["fit_gflop"]["image"] / experiment["fit_s"]["image"] / result["sgemm_gflops"]
        lines.append(f"{'image_share_of_sgemm':<20}{share:>10.2f}   of {result['sgemm_gflops']:.0f} GFLOP/s")
        shown = [f"{row} {value:.1f} ({paper})" for row, (value, paper) in experiment["accuracy"].items()]
        lines.append("accuracy in % on generated pins (on the paper's): " + ", ".join(shown))
    if "peers" in result:
        lines += format_peers(result["peers"], _our_seconds(result["experiments"]))
        lines.append(f"wanted: at least {WANTED['times_ours']} x ours")
    return "\n".join(lines + timing.format_costs(result.get("costs", [])))


def _line(name, values, kind):
    target = WANTED.get(name)
    limit = target[kind] if isinstance(target, dict) else target
    spread = f"({min(values):.1f} to {max(values):.1f}, {len(values)} runs)"
    return f"{name:<20}{np.median(values):>10.1f}   {spread}" + (f"   wanted: under {limit}" if target else "")


def _split_sizes(pins_per_user):
    """Return 400, 100, 100 of 600, and as much of any other number."""
    part = max(1, pins_per_user // 6)
    return pins_per_user - 2 * part, part, part


def _generate(folder, n_users, pins_per_user, n_features, seed):
    generated = generate_pins(n_users, pins_per_user, n_features, seed=seed)
    pins = generated.pins()
    write_pins(folder / PINS, pins)
    with atomic_write(folder / "fc7.npy", "wb") as stream:
        np.save(stream, generated.images)
    with atomic_write(folder / "fc7.ids.txt") as stream:
        stream.writelines(f"{pin.id}\n" for pin in pins)


def _experiment(folder, out, sizes, seed, kind):
    from pinterest_id.experiment import Experiment  # scikit-learn takes a second, and --help needs none of it

    options = Options(sizes=sizes, seed=seed, unit_features=kind == "unit")
    return Experiment(folder / PINS, folder / "fc7", out, options, progress=True)


def _ours(folder, out, sizes, seed, kind):
    begun = time.perf_counter()
    experiment = _experiment(folder, out, sizes, seed, kind)
    experiment.run()
    rows = write_report(out, "tools/benchmark pinterest", seed)
    total = time.perf_counter() - begun
    models = {name: _models(ExperimentFiles(out).model(name)) for name in MODALITIES}
    features = {"text": experiment.facts["dictionary"]["train"], "image": experiment.features["image"].array.shape[1]}
    return {
        "experiment_s": total,
        "fit_s": {name: sum(m["seconds"] for m in models[name]) for name in MODALITIES},
        "fit_cpu_s": {name: sum(m["cpu_seconds"] for m in models[name]) for name in MODALITIES},
        "fit_columns": {name: sum(m["columns"] for m in models[name]) for name in MODALITIES},
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


def _part(folder, n_users, pins_per_user, n_features, seed, kind):
    _generate(folder, n_users, pins_per_user, n_features, seed)
    return _ours(folder, folder / "run", _split_sizes(pins_per_user), seed, kind)


def _models(folder):
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def _peers(folder, sizes, at_most_s, peers, classes, most, seed):
    """Time the peers on the grid and the refit at the C that ours chose; yield the times so far after each.

    `at_most_s` has the seconds that a peer may take for text and image rows together, by their kind.
    """
    times, tol, rows, of_text = [], Options().tol, tuple(at_most_s), {}
    for kind in ("text", *rows):
        out = folder / f"{rows[0] if kind == 'text' else kind}0"
        experiment = _experiment(folder, out, sizes, seed, kind)
        experiment.arrange()
        chosen = np.random.default_rng(seed).choice(len(experiment.pins.users), classes, replace=False)
        for peer in bar_of([peer for peer in PEERS if peer.name in peers], desc=f"peers, {kind} rows", unit="peer"):
            left_s = at_most_s.get(kind, max(at_most_s.values())) - of_text.get(peer.name, 0)
            times.append(time_peer(peer, kind, _fits(experiment, kind, out), chosen, tol, most, left_s))
            of_text.setdefault(peer.name, times[-1].seconds)
            yield times


def _fits(experiment, kind, out):
    """Yield X, codes and C of each fit of the grid, and of the refit."""
    from pinterest_id.choice_of_C import read_curve

    name, pins = "text" if kind == "text" else "image", experiment.pins
    best = next(step.C for step in read_curve(ExperimentFiles(out).model(name) / "curve.csv") if step.chosen)
    for n, grid in ((pins.n_train, C_GRID), (pins.n_seen, (best,))):
        X = _matrix(experiment, name, n)
        for C in grid:
            yield X, pins.codes[:n], C


def _matrix(experiment, name, n):
    if name == "image":
        return experiment.features["image"].matrix(experiment.pins.ids[:n], experiment.options.unit_features)
    from pinterest_id.text import PinTfidf

    return PinTfidf().fit_transform(experiment.pins.texts[:n])
