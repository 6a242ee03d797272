"""Models behind Table 3: eighteen nets, and where their files lie.

An all-in-one row is one net; an independent row is five, one a trait.
"""

from dataclasses import dataclass
from pathlib import Path

from mindpics.caffe_files.messages import write_message
from mindpics.files import own_folder
from mindpics.files.layout import DataFiles, NetFiles, NetsFiles
from mindpics.files.own_folder import Kind
from mindpics.files.tables import read_table
from mindpics.nets.solvers import solver
from mindpics.nets.whole import Data, classification_train_val, deploy, train_val
from mindpics.published import ROWS, Row, published
from mindpics.traits import TRAITS

NETS = Kind("what make_nets writes", (f"{NetsFiles.prototxts}/**", f"{NetsFiles.solvers}/**"))
PRETRAINING = Kind(
    "what make_pretraining_net writes", (NetFiles.train_val, NetFiles.solver, "net_iter_*", f"{NetFiles.run}/**")
)


@dataclass(frozen=True)
class Model:
    """One net to train: a body, the traits it answers for, and how it starts."""

    net: str
    heads: str
    init: str
    traits: tuple

    @property
    def name(self):
        trait = "" if self.heads == "all-in-one" else f"_{self.traits[0]}"
        return Row(self.net, self.heads, self.init).name + trait

    @property
    def share(self):
        """Share of the pictures that concern it: a fifth for an independent net."""
        return len(self.traits) / len(TRAITS)

    @property
    def lmdb_suffix(self):
        """Part of its LMDBs' names: an independent net reads the pictures of its trait only."""
        return "" if self.heads == "all-in-one" else f"_{self.traits[0]}"


def models_of(row):
    """Return the nets of a row of Table 3: one, or five."""
    if row.heads == "all-in-one":
        return [Model(*row, TRAITS)]
    return [Model(*row, (trait,)) for trait in TRAITS]


def paper_counts():
    """Pictures a split and trait at published size: 121,000, 80/20, a fifth a trait (section 3.1, 4)."""
    images = published()["dataset"]["images"] // len(TRAITS)
    train = round(images * published()["dataset"]["train_fraction"])
    return {"train": dict.fromkeys(TRAITS, train), "test": dict.fromkeys(TRAITS, images - train)}


def counts_of(mindpics_csv):
    """Count the pictures of a mindpics.csv: ``{"train": {"O": n, ...}, "test": {...}}``.

    Parameters
    ----------
    mindpics_csv : path

    Raises
    ------
    ValueError
        For a split or a trait that there is not; it names the line.
    """
    counts = {"train": dict.fromkeys(TRAITS, 0), "test": dict.fromkeys(TRAITS, 0)}
    for where, row in read_table(mindpics_csv, ("split", "trait")):
        if row["split"] not in counts or row["trait"] not in TRAITS:
            values = f"split {row['split']!r}, trait {row['trait']!r}"
            raise ValueError(f"{where}: found {values}; wanted train or test, and one of {' '.join(TRAITS)}")
        counts[row["split"]][row["trait"]] += 1
    return counts


def messages(model, setting, counts, *, data_root, net_path, snapshot_prefix, seed=None):
    """Return (train_val, deploy, solver) of a model at some setting.

    Parameters
    ----------
    model : Model
    setting : mindpics.nets.scales.Setting
    counts : dict
        See `counts_of`.
    data_root : str
        Folder of train_lmdb, train_O_lmdb .., test_lmdb .. and mean.binaryproto. Every net
        subtracts the mean of the whole training set.
    net_path : str
        Where the train_val net will lie, for the solver's ``net``.
    snapshot_prefix : str
    seed : int, optional
    """
    recipe = setting.recipe(model.net, model.heads, model.init)
    pictures = {split: sum(counts[split][trait] for trait in model.traits) for split in ("train", "test")}
    for split, number in pictures.items():
        if not number:
            raise ValueError(f"{model.name}: found no {split} picture of {' '.join(model.traits)}; wanted one at least")
    files = DataFiles(data_root)
    data = Data(
        train=files.lmdb("train", model.lmdb_suffix),
        test=files.lmdb("test", model.lmdb_suffix),
        mean=files.mean,
        train_batch=recipe.a_pass,
        test_batch=min(setting.test_batch, pictures["test"]),
        crop=recipe.crop,
    )
    return (
        train_val(
            model.net,
            data,
            model.traits,
            model.init,
            normalization=setting.normalization,
            loss=setting.loss,
            **setting.body(recipe),
        ),
        deploy(model.net, model.traits, crop=data.crop, **setting.body(recipe)),
        solver(
            net_path,
            recipe.schedule,
            train=pictures["train"],
            batch=recipe.batch,
            iter_size=recipe.iter_size,
            test=pictures["test"],
            test_batch=data.test_batch,
            prefix=snapshot_prefix,
            seed=seed,
            snapshots=setting.snapshots,
        ),
    )


def write_models(models, out, setting, counts, *, data_root, prefix="", seed=None):
    """Write the nets under `out`/prototxt, the solvers under `out`/solvers; return the paths.

    Paths inside the files start with `prefix` and are relative to where ``caffe train`` is
    started, as in Caffe's own models.

    Parameters
    ----------
    models : list of Model
    out : Path
    setting : mindpics.nets.scales.Setting
    counts : dict
        Split -> trait -> number of pictures, see `counts_of`.
    data_root : str
        Folder of the LMDBs and the mean, as the nets name it.
    prefix : str
        Before "prototxt/" and "solvers/" in paths inside the files.
    seed : int, optional
        The solvers' random_seed.

    Returns
    -------
    list of Path

    Raises
    ------
    ValueError
        `out` holds something else than nets.
    """
    if out != Path():  # in the working directory they are two folders beside others, as committed
        own_folder.require(out, NETS)
    nets, written = NetsFiles(out), []
    for model in models:
        beside = f"{NetsFiles.prototxts}/{model.name}"
        train, deployed, solved = messages(
            model,
            setting,
            counts,
            data_root=data_root,
            seed=seed,
            net_path=prefix + NetFiles(beside).train_val,
            snapshot_prefix=prefix + NetFiles(beside).path(model.name),  # beside the net, as in Caffe's models/
        )
        pictures = sum(counts["train"][trait] for trait in model.traits)
        for message, path, comment in (
            (train, nets.net(model.name).train_val, []),
            (deployed, nets.net(model.name).deploy, []),
            (solved, nets.solver(model.name), _made_for(setting, model, pictures)),
        ):
            write_message(message, path, ["Generated by tools/make_nets; change that, not this.", *comment])
            written.append(path)
    return written


def _made_for(setting, model, pictures):
    """Return what a solver says of the pictures that its lengths assume; `mindpics.lint.data` reads the number."""
    epochs = setting.recipe(model.net, model.heads, model.init).schedule.epochs
    return [
        f"Made for {pictures} training pictures: max_iter is {epochs:g} epochs of those. For another number:",
        "  tools/make_nets --csv MINDPICS.csv --data FOLDER --out build/mine",
    ]


def all_models():
    """Return the eighteen nets of Table 3."""
    return [model for row in ROWS for model in models_of(row)]


def write_pretraining(net, out, setting, categories_csv, *, data_root, seed=None):
    """Write train_val.prototxt and solver.prototxt of a plain classifier of a categories csv.

    Parameters
    ----------
    net : {"alexnet", "resnet50"}
    out : Path
    setting : mindpics.nets.scales.Setting
    categories_csv : path
        Columns split and label, see `mindpics.datasets.categories`.
    data_root : str
        Folder of the LMDBs and the mean, as the net names it.
    seed : int, optional
        The solver's random_seed.

    Raises
    ------
    ValueError
        `out` holds something else, or a label is no whole number.
    """
    own_folder.require(out, PRETRAINING)
    rows = [row for _, row in read_table(categories_csv, ("split", "label"))]
    if not rows or not all(row["label"].isdecimal() for row in rows):
        raise ValueError(
            f"{categories_csv}: found no rows or other labels; wanted rows whose label is a whole number from 0"
        )
    splits, recipe = [row["split"] for row in rows], setting.recipe(net, "pretrain")
    files, made = DataFiles(data_root), NetFiles(out)
    data = Data(
        train=files.lmdb("train"),
        test=files.lmdb("test"),
        mean=files.mean,
        train_batch=recipe.a_pass,
        test_batch=setting.test_batch,
        crop=recipe.crop,
    )
    classes = 1 + max(int(row["label"]) for row in rows)
    write_message(classification_train_val(net, data, classes, **setting.body(recipe)), made.train_val)
    message = solver(
        str(made.train_val),
        recipe.schedule,
        train=splits.count("train"),
        batch=recipe.batch,
        iter_size=recipe.iter_size,
        test=splits.count("test"),
        test_batch=data.test_batch,
        prefix=str(out / "net"),
        seed=seed,
        snapshots=setting.snapshots,
    )
    write_message(message, made.solver)
