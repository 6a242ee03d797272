"""Read image features: NAME.npy float32 [N, D] and NAME.ids.txt, line by line."""

from pathlib import Path

import numpy as np

from mindpics.files.arrays import load_npy
from mindpics.files.json_files import read_objects, shown
from pinterest_id.records import Rejection

ROWS = 4096


class FeatureFile:
    """Features on disk, mapped into memory.

    Parameters
    ----------
    name : str or Path
        Without ending: NAME.npy, NAME.ids.txt and, if there, NAME.rejected.jsonl (id, reason).

    Raises
    ------
    ValueError
        When the array is not float [N, D], the ids are not N, or one comes twice.
    """

    def __init__(self, name):
        self.name = str(name).removesuffix(".npy")
        self.array = load_npy(f"{self.name}.npy", mmap=True)
        self.ids = _read_ids(Path(f"{self.name}.ids.txt"))
        if self.array.ndim != 2 or self.array.dtype.kind != "f":
            raise ValueError(f"{self.name}.npy: {self.array.dtype} {self.array.shape}; float [N, D] is wanted")
        if len(self.ids) != len(self.array):
            raise ValueError(f"{self.name}: {len(self.ids)} ids for {len(self.array)} rows of features")
        self.row = {id_: row for row, id_ in enumerate(self.ids)}
        if len(self.row) != len(self.ids):
            twice = next(id_ for row, id_ in enumerate(self.ids) if self.row[id_] != row)
            raise ValueError(f"{self.name}.ids.txt: id {twice!r} comes twice")
        self.rejected = _read_rejected(Path(f"{self.name}.rejected.jsonl"))

    @property
    def paths(self):
        """The two files."""
        return [f"{self.name}.npy", f"{self.name}.ids.txt"]

    def match(self, pins):
        """Return the pins that have a row, and a rejection for those whose picture was rejected.

        Raises
        ------
        ValueError
            When a pin has no row and no reason for it: the file is of other pins.
        """
        absent = [pin for pin in pins if pin.id not in self.row]
        unexplained = [pin.id for pin in absent if pin.id not in self.rejected]
        if unexplained:
            raise ValueError(
                f"{self.name}.ids.txt: {len(unexplained)} of {len(pins)} pins have no features, "
                f"among them {', '.join(unexplained[:5])}; the ids must be those of the pins"
            )
        reasons = [Rejection(pin.id, self.name, f"no features: {self.rejected[pin.id]}") for pin in absent]
        return [pin for pin in pins if pin.id in self.row], reasons

    def matrix(self, ids, normalize=True):
        """Return the rows of `ids` as float32 [N, D], each of length 1 unless not `normalize`.

        Raises
        ------
        ValueError
            When a value is NaN or infinite; it names the pins.
        """
        rows = np.array([self.row[id_] for id_ in ids])
        out = np.empty((len(rows), self.array.shape[1]), dtype=np.float32)
        for start in range(0, len(rows), ROWS):
            part = out[start : start + ROWS]
            part[:] = self.array[rows[start : start + ROWS]]
            self._check_finite(part, ids[start : start + ROWS])
            if normalize:
                lengths = np.sqrt(np.einsum("ij,ij->i", part, part))
                part /= np.where(lengths > 0, lengths, 1)[:, None]
        return out

    def _check_finite(self, part, ids):
        bad = np.flatnonzero(~np.isfinite(part).all(axis=1))
        if bad.size:
            named = ", ".join(ids[i] for i in bad[:5])
            raise ValueError(f"{self.name}.npy: NaN or infinite features of pin {named}; all must be finite")


def _read_ids(path):
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: no list of ids ({error}); wanted one id a line, UTF-8") from None


def _read_rejected(path):
    if not path.is_file():
        return {}
    rejected = {}
    for where, record in read_objects(path):
        if not isinstance(record.get("id"), str) or not isinstance(record.get("reason"), str):
            raise ValueError(f"{where}: found {shown(record)}; wanted id and reason")
        rejected[record["id"]] = record["reason"]
    return rejected
