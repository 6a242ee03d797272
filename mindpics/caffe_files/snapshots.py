"""Snapshots of a training, whole under their names or not there.

Caffe writes them into a folder aside. There they are read back and checked, brought to the disk, and
renamed, the solverstate last: where one lies, its caffemodel and random state lie beside it.
"""

import os
import re
import shutil
from pathlib import Path

import numpy as np

from mindpics.caffe_files.blobs import read_state, read_weights, renamed_state
from mindpics.files import own_folder
from mindpics.files.json_files import read_json, write_json
from mindpics.files.own_folder import Kind
from mindpics.files.printable import printable_name

_STATE = re.compile(r"net_iter_(\d+)\.solverstate")
KINDS = (".caffemodel", ".random", ".solverstate")  # in the order in which they are renamed
ASIDE = Kind("what Caffe writes aside", ("net*", "room"))
SECONDS = "seconds.json"
NAMES = (*(f"net_iter_*{kind}" for kind in KINDS), "moved.solverstate", SECONDS, *ASIDE.under("aside"))


class NotFiniteError(ValueError):
    """A snapshot is whole, and holds values that are not finite."""


class Snapshots:
    """The snapshots of one run.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.aside = self.folder / "aside"

    def prepare(self):
        """Empty the folder aside; return Caffe's snapshot_prefix."""
        own_folder.clear(self.aside, ASIDE)
        self.aside.mkdir(parents=True, exist_ok=True)
        return str(self.aside / "net")

    def check_room(self, n_bytes):
        """Raise OSError unless `n_bytes` can be had: Caffe aborts where a disk, or a quota, is full."""
        trial = self.aside / "room"
        try:
            with open(trial, "wb") as stream:
                os.posix_fallocate(stream.fileno(), 0, n_bytes)
        except OSError as error:
            free = shutil.disk_usage(self.folder).free
            raise OSError(
                f"{self.folder}: found no room for a snapshot ({error.strerror}): {free} bytes are free; "
                f"wanted about {n_bytes}"
            ) from None
        finally:
            trial.unlink(missing_ok=True)

    def accept(self, iteration, shapes, random_state, histories=None):
        """Check what Caffe has written aside, and give it its name; return the caffemodel's path.

        Parameters
        ----------
        iteration : int
        shapes : dict
            Layer name -> shapes of its blobs.
        random_state : str or None
            Of Caffe's generator.
        histories : int, optional
            See `check`.

        Raises
        ------
        ValueError
            When the snapshot is not whole or not finite; it is removed.
        """
        names = {kind: f"net_iter_{iteration}{kind}" for kind in KINDS}
        model, random, state = (self.aside / names[kind] for kind in KINDS)
        try:
            check(state, model, iteration, shapes, histories)
            state.write_bytes(renamed_state(state, self.folder / model.name))
            random.write_text(random_state or "", encoding="ascii")
            (self.folder / state.name).unlink(missing_ok=True)  # one of the same iteration goes as it came, state first
            for path in (model, random, state):
                _to_disk(path)
                path.replace(self.folder / path.name)
            _to_disk(self.folder)
        finally:
            for path in (model, random, state):
                path.unlink(missing_ok=True)
        return self.folder / model.name

    def keep_seconds(self, iteration, seconds):
        """Note how long a training has taken until an iteration, over all its processes; None where that is unknown."""
        path = self.folder / SECONDS
        write_json(path, read_json(path) | {str(iteration): seconds})

    def seconds_until(self, iteration):
        """Return the seconds that are noted of an iteration, or None."""
        return read_json(self.folder / SECONDS).get(str(iteration))

    def newest(self, shapes=None):
        """Return (solverstate, caffemodel, passed over) of the newest whole snapshot; (None, None, [...]).

        `passed over` are newer ones that are not whole: "PATH: why".
        """
        snapshots = []
        for state in self.folder.glob("*.solverstate"):
            if match := _STATE.fullmatch(state.name):
                snapshots.append((int(match.group(1)), state))
        passed_over = []
        for iteration, state in sorted(snapshots, reverse=True):
            model = state.with_suffix(".caffemodel")
            try:
                check(state, model, iteration, shapes)
            except ValueError as error:
                passed_over.append(str(error))
                continue
            if read_state(state).learned_net != str(model):  # the run was moved, or is seen from another folder
                moved = self.folder / "moved.solverstate"
                moved.write_bytes(renamed_state(state, model))
                moved.replace(state)
            return state, model, passed_over
        return None, None, passed_over


def check(state, model, iteration, shapes=None, histories=None):
    """Raise ValueError unless a snapshot is whole: both files parse, fit each other and the net, and are finite.

    Parameters
    ----------
    state, model : Path
    iteration : int
        That the solverstate must hold.
    shapes : dict, optional
        Layer name -> shapes of its blobs, as the net has them.
    histories : int, optional
        How many arrays of history the solver keeps.
    """
    stored = read_state(state)
    weights = read_weights(model, may_be_empty=not stored.history)  # of a net without weights
    if stored.iteration != iteration:
        raise ValueError(f"{state}: found iteration {stored.iteration}; wanted {iteration}")
    stored_shapes = {name: [blob.shape for blob in blobs] for name, blobs in weights.items()}
    if shapes is not None and stored_shapes != shapes:
        odd = next(name for name in {**shapes, **stored_shapes} if shapes.get(name) != stored_shapes.get(name))
        layer = printable_name(odd)
        raise ValueError(
            f"{model}: layer {layer}: found blobs {stored_shapes.get(odd)}; wanted {shapes.get(odd)}, as the net has"
        )
    blobs = sum(map(len, weights.values()))
    most = 2 * blobs if histories is None else histories
    if blobs and not stored.history or len(stored.history) > most or histories not in (None, len(stored.history)):
        raise ValueError(
            f"{state}: found a history of {len(stored.history)} arrays for {blobs} blobs of weights; "
            f"wanted {'at most ' if histories is None else ''}{most}: that of another type of solver?"
        )
    blob_shapes = {blob.shape for blobs in weights.values() for blob in blobs}
    for number, blob in enumerate(stored.history):
        if blob.shape not in blob_shapes:
            raise ValueError(f"{state}: history {number}: found shape {blob.shape}; wanted that of a blob of the net")
    for path, arrays in ((model, [blob for blobs in weights.values() for blob in blobs]), (state, stored.history)):
        if not all(np.isfinite(array).all() for array in arrays):
            raise NotFiniteError(f"{path}: found values that are not finite; wanted numbers")


def random_state_of(state):
    """Return the generator's state that was kept beside a solverstate, "" without one.

    Parameters
    ----------
    state : path
        A .solverstate, of which the .random file lies beside.
    """
    path = Path(state).with_suffix(".random")
    return path.read_text(encoding="ascii", errors="replace") if path.is_file() else ""


def _to_disk(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
