"""Fine-tuning of a body on labels of any kind, with one softmax head.

The Pinterest paper leaves this to future work (section 6); the rates are those of
MindPics' fine-tuning (section 4): new layers learn ten times faster.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from mindpics.caffe_files.blobs import read_caffemodel
from mindpics.caffe_files.lmdb_writer import LMDB
from mindpics.caffe_files.lmdbs import mean_image, write_mean
from mindpics.caffe_files.messages import write_message
from mindpics.datasets.picture_lmdb import write_lmdb
from mindpics.files import own_folder
from mindpics.files.fingerprints import sha256
from mindpics.files.layout import DataFiles, NetFiles, TrainingFiles
from mindpics.files.own_folder import KEY, Kind
from mindpics.nets.solvers import solver
from mindpics.nets.whole import Data, classification_train_val, features_deploy
from mindpics.posts.picture_files import picture_state
from mindpics.training.run_folder import RUN
from mindpics.training.train import solve

TRAINING = Kind(
    "a training of finetune_fc7",
    (
        KEY,
        DataFiles.mean,
        NetFiles.train_val,
        NetFiles.deploy,
        NetFiles.solver,
        *(f"{split}_lmdb.rejected.jsonl" for split in ("train", "test")),
        *(name for split in ("train", "test") for end in ("", ".partial") for name in LMDB.under(f"{split}_lmdb{end}")),
        *RUN.under(NetFiles.run),
        f"{NetFiles.run}/.lock",
    ),
    proof=(KEY,),
)
FINE_TUNED = Kind(
    "what finetune_fc7 makes", (*TRAINING.under("training"), TrainingFiles.log), proof=(f"training/{KEY}",)
)
HEAD = "score_user"  # no pretrained net has a head of this name, whose weights it would take


@dataclass(frozen=True)
class FineTuned:
    """What `mindpics.inference.feature_net.FeatureNet` needs: paths."""

    deploy: Path
    caffemodel: Path
    mean: Path


def fine_tune(train, test, folder, weights, setting, net="alexnet", *, gpu=None, seed=0, workers=None, fit="warp"):
    """Train `net` on `train`, starting from a caffemodel; a killed call goes on with what is there.

    Parameters
    ----------
    train, test : list of (id, Path, label)
        Labels are 0..K-1; `test` only shows how training goes.
    folder : path
        Gets LMDBs, mean.binaryproto, prototxts and the run; what other input left there is removed.
    weights : path
        caffemodel whose body is copied by name.
    setting : mindpics.nets.scales.Setting
        Size, crop, width, batch and schedule (those of fine-tuning an all-in-one net).
    net : {"alexnet", "resnet50"}
    gpu : int, optional
    seed : int
    workers : int, optional
        Processes that read pictures.
    fit : {"warp", "crop"}
        What makes a picture a square, see `mindpics.posts.crops.FITS`.

    Returns
    -------
    FineTuned

    Raises
    ------
    ValueError
        For input that Caffe would abort on.
    mindpics.training.history.Interrupted
        By Ctrl-C; the same call goes on.
    mindpics.training.divergence.DivergedError
        When training diverges.
    """
    folder = Path(folder)
    read_caffemodel(weights)  # what it is not is said before any picture is read
    pictures = [[(id_, *picture_state(path), label) for id_, path, label in rows] for rows in (train, test)]
    facts = [pictures, sha256(weights), repr(setting), net, seed, fit]
    own_folder.take_over(folder, TRAINING, hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest())
    data, net_files = DataFiles(folder), NetFiles(folder)
    for name, rows in (("train", train), ("test", test)):
        if not data.lmdb(name).exists():
            write_lmdb(rows, data.lmdb(name), setting.size, seed=seed, workers=workers, fit=fit)
    if not data.mean.exists():
        write_mean(data.mean, mean_image(data.lmdb("train")))
    result = FineTuned(net_files.deploy, TrainingFiles(net_files.run).weights, data.mean)
    if not result.caffemodel.exists():
        _write_nets(train, test, folder, setting, net, seed)
        solve(net_files.solver, net_files.run, weights, gpu=gpu, resume=True)
    return result


def _write_nets(train, test, folder, setting, net, seed):
    recipe = setting.recipe(net, "all-in-one", "finetune")
    size, crop = setting.body(recipe), recipe.crop
    batch, test_batch = min(recipe.batch, len(train)), min(setting.test_batch, len(test))
    files, made = DataFiles(str(folder)), NetFiles(folder)
    data = Data(files.lmdb("train"), files.lmdb("test"), files.mean, batch, test_batch, crop)
    classes = 1 + max(label for _, _, label in train)
    train_val = classification_train_val(net, data, classes, head=HEAD, init="finetune", **size)
    write_message(train_val, made.train_val)
    write_message(features_deploy(net, crop=crop, **size), made.deploy)
    message = solver(
        str(made.train_val),
        recipe.schedule,
        train=len(train),
        batch=batch,
        test=len(test),
        test_batch=test_batch,
        prefix=str(folder / "net"),
        seed=seed,
        snapshots=2,
    )
    write_message(message, made.solver)
