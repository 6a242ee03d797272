"""Matrices as others save them: .npy, MATLAB's .mat, .csv, svmlight. Nothing is unpickled."""

import warnings
from pathlib import Path

import numpy as np
import scipy  # whose parts are loaded when they are first asked for

from mindpics.files.arrays import load_npy
from mindpics.files.bounded import open_regular

SVMLIGHT = (".svmlight", ".svm", ".libsvm")
MATRIX = 4 << 30  # bytes of one that is read whole; .npy is mapped
ENDINGS = (".npy", ".mat", ".csv", *SVMLIGHT)
FEW = 2  # rows whose first feature may count them by chance
INDEX = ("", "index", "id", "unnamed: 0")  # how tables call a column of row numbers or ids
FEATURES = "wanted features alone, as pandas' to_csv(index=False, header=False) writes them"


def is_matrix(name):
    """Say whether a name ends as a matrix file does; MATLAB's may name its variable, FILE.mat:NAME."""
    return Path(_parts(name)[0]).suffix.lower() in ENDINGS


def without_ending(name):
    """Return NAME of NAME.npy, NAME.mat:VARIABLE and the others."""
    return str(Path(_parts(name)[0]).with_suffix(""))


def load_matrix(name):
    """Return a matrix file's float array [N, D] or, where most values are zeros by its form, float32 CSR.

    Parameters
    ----------
    name : str
        .npy is mapped; .mat up to version 7 holds one matrix, or FILE.mat:NAME says which; .csv has a line of
        numbers for each row, with a header or without, and no index: pins are often sorted by user, whom
        the number of a row would nearly name; of svmlight the labels are passed over.

    Raises
    ------
    ValueError
        Names the file, what was found and what was wanted.
    """
    file, variable = _parts(name)
    path = Path(file)
    suffix = path.suffix.lower()
    open_regular(path, f"a matrix ({', '.join(ENDINGS)})", None if suffix == ".npy" else MATRIX).close()
    if suffix == ".npy":
        return load_npy(path, mmap=True)
    if suffix == ".mat":
        return _load_mat(path, variable)
    return _load_csv(path) if suffix == ".csv" else _load_svmlight(path)


def _parts(name):
    """Return FILE and VARIABLE of FILE.mat:VARIABLE, of any other name itself and ""."""
    file, _, variable = str(name).rpartition(":")
    return (file, variable) if file.lower().endswith(".mat") else (str(name), "")


def _load_mat(path, variable):
    from scipy.io import loadmat

    try:
        variables = loadmat(path)
    except NotImplementedError:
        raise ValueError(f"{path}: found MATLAB 7.3 (HDF5); wanted version 7: save('x.mat', 'X', '-v7')") from None
    except Exception as error:  # whatever a broken file leads its reader to
        raise ValueError(f"{path}: found no .mat file ({error}); wanted one") from None
    matrices = {key: value for key, value in variables.items() if _is_numeric(value)}
    if variable and variable not in matrices:
        raise ValueError(f"{path}: found the matrices {', '.join(matrices) or 'none'}; wanted {variable}")
    if not variable and len(matrices) != 1:
        raise ValueError(f"{path}: found {len(matrices)} matrices ({', '.join(matrices)}); wanted one, or {path}:NAME")
    matrix = matrices[variable] if variable else next(iter(matrices.values()))
    if scipy.sparse.issparse(matrix):
        return scipy.sparse.csr_array(matrix, dtype=np.float32)
    return matrix.astype(np.float32)


def _is_numeric(value):
    return getattr(value, "ndim", 0) == 2 and min(value.shape) > 0 and value.dtype.kind in "fiu"


def _load_csv(path):
    with open(path, encoding="utf-8-sig", errors="replace") as stream:
        first = stream.readline()
    has_header = not _is_numbers(first)
    cell, comma, _ = first.partition(",")
    cell = cell.strip(" \"'")
    if has_header and comma and cell.lower() in INDEX:
        raise ValueError(f"{path}, line 1: found a first column named {cell!r}, an index; {FEATURES}")
    matrix = _numbers(path, has_header)
    if len(matrix) > FEW and matrix.size:
        rest = matrix[:, 0] - np.arange(len(matrix))
        if rest[0] in (0, 1) and np.all(rest == rest[0]):
            raise ValueError(f"{path}: found the numbers of the rows in its first column; {FEATURES}")
    return matrix


def _numbers(path, has_header):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an empty file; its shape says it
            return np.loadtxt(path, np.float32, delimiter=",", skiprows=int(has_header), ndmin=2, encoding="utf-8-sig")
    except ValueError as error:
        raise ValueError(
            f"{path}: found a fault ({error}); wanted numbers between commas, as many in each line"
        ) from None


def _is_numbers(line):
    try:
        [float(part) for part in line.split(",")]
    except ValueError:
        return False
    return True


def _load_svmlight(path):
    from sklearn.datasets import load_svmlight_file  # takes a second

    try:
        matrix, _ = load_svmlight_file(str(path), dtype=np.float32)
    except Exception as error:
        raise ValueError(f"{path}: found no svmlight file ({error}); wanted lines of LABEL INDEX:VALUE ...") from None
    return scipy.sparse.csr_array(matrix)
