"""Features or tf-idf of pins on disk: a matrix (.npy, .mat, .csv, .svmlight) and NAME.ids.txt, line by line."""

from pathlib import Path

import numpy as np
import scipy  # whose parts are loaded when they are first asked for

from mindpics.files.feature_files import ABOUT, IDS, REJECTED, check_features, read_ids
from mindpics.files.json_files import read_document, read_objects, shown
from pinterest_id.matrix_files import ENDINGS, is_matrix, load_matrix, without_ending
from pinterest_id.records import Rejection

ROWS = 4096


class FeatureFile:
    """A matrix on disk, a row for each id; .npy is mapped into memory.

    Parameters
    ----------
    name : str or Path
        NAME for NAME.npy, or a file of `pinterest_id.matrix_files`. NAME.rejected.jsonl (id, reason), if
        there, says which pictures have no row.
    ids : str or Path, optional
        The list of ids; NAME.ids.txt by default.

    Raises
    ------
    ValueError
        When the matrix is not float [N, D], the ids are not N, or one comes twice.
    """

    def __init__(self, name, ids=None):
        self.path = _path(name)
        self.name = without_ending(self.path) if self.path.endswith(".npy") else self.path
        self.array = load_matrix(self.path)
        self.ids_path = Path(ids or f"{without_ending(self.path)}{IDS}")
        self.ids = read_ids(self.ids_path)
        check_features(self.path, self.array, self.ids)
        self.row = {id_: row for row, id_ in enumerate(self.ids)}
        self.about = _read_about(Path(f"{without_ending(self.path)}{ABOUT}"))
        self.rejected = _read_rejected(Path(f"{without_ending(self.path)}{REJECTED}"))

    def said(self):
        """Return in words what made the features, where tools/extract_features wrote it down."""
        if "reading" not in self.about:
            return f"{self.path}, ready-made"
        reading, sha1 = self.about["reading"], self.about.get("weights_sha1", "")
        words = (
            "shorter side scaled and centre cut" if reading["fit"] == "crop" else "warped",
            "before ReLU" if reading["before_relu"] else "after ReLU",
            "ten crops" if reading["ten_crops"] else "centre crop",
            *([f"scaled by {scale:g}"] if (scale := reading.get("scale", 1)) != 1 else ()),
        )
        return f"{self.about['blob']} of {self.about['weights']} (SHA-1 {sha1[:10]}), {', '.join(words)}"

    def match(self, pins):
        """Return the pins that have a row, and a rejection for those whose picture was rejected.

        Parameters
        ----------
        pins : list of Pin

        Raises
        ------
        ValueError
            When a pin has no row and no reason for it: the file is of other pins.
        """
        absent = [pin for pin in pins if pin.id not in self.row]
        unexplained = [pin.id for pin in absent if pin.id not in self.rejected]
        if unexplained:
            raise ValueError(
                f"{self.ids_path}: found no features of {len(unexplained)} of {len(pins)} pins, "
                f"among them {', '.join(unexplained[:5])}; wanted the ids of the pins"
            )
        reasons = [Rejection(pin.id, self.name, f"no features: {self.rejected[pin.id]}") for pin in absent]
        return [pin for pin in pins if pin.id in self.row], reasons

    def matrix(self, ids, unit=False):
        """Return the rows of `ids` as float32 [N, D], each of length 1 if `unit`.

        Parameters
        ----------
        ids : sequence of str
            Of pins that `match` returned.
        unit : bool

        Raises
        ------
        ValueError
            When a value is NaN or infinite; it names the pins.
        """
        rows = np.array([self.row[id_] for id_ in ids])
        out = np.empty((len(rows), self.array.shape[1]), dtype=np.float32)
        for start in range(0, len(rows), ROWS):
            part, taken = out[start : start + ROWS], self.array[rows[start : start + ROWS]]
            part[:] = taken.toarray() if scipy.sparse.issparse(taken) else taken
            self._check_finite(part, ids[start : start + ROWS])
            if unit:
                lengths = np.sqrt(np.einsum("ij,ij->i", part, part))
                part /= np.where(lengths > 0, lengths, 1)[:, None]
        return out

    def rows(self, ids):
        """Return the rows of `ids` as float32 CSR [N, D]; raises as `matrix` does."""
        if not scipy.sparse.issparse(self.array):
            return scipy.sparse.csr_array(self.matrix(ids))
        taken = self.array[np.array([self.row[id_] for id_ in ids])].astype(np.float32)
        bad = np.flatnonzero(~np.isfinite(taken.data))
        if bad.size:
            row = int(np.searchsorted(taken.indptr, bad[0], side="right")) - 1
            raise ValueError(f"{self.path}: found NaN or infinite values of pin {ids[row]}; wanted finite ones")
        return taken

    def _check_finite(self, part, ids):
        bad = np.flatnonzero(~np.isfinite(part).all(axis=1))
        if bad.size:
            named = ", ".join(ids[i] for i in bad[:5])
            raise ValueError(f"{self.path}: found NaN or infinite features of pin {named}; wanted finite ones")


def _path(name):
    """Return the file of a matrix, NAME.npy of NAME; raise where NAME is a file of another kind itself."""
    path = str(name) if is_matrix(name) else f"{name}.npy"
    if not Path(path).exists() and Path(name).is_file():
        raise ValueError(f"{name}: found no matrix by its ending; wanted {', '.join(ENDINGS)}, or NAME of NAME.npy")
    return path


def _read_about(path):
    """Return the facts that tools/extract_features left; {} for a file of anyone else's."""
    try:
        facts = read_document(path)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) and {"reading", "blob", "weights"} <= set(facts) else {}


def _read_rejected(path):
    if not path.is_file():
        return {}
    rejected = {}
    for where, record in read_objects(path):
        if not isinstance(record.get("id"), str) or not isinstance(record.get("reason"), str):
            raise ValueError(f"{where}: found {shown(record)}; wanted id and reason")
        rejected[record["id"]] = record["reason"]
    return rejected
