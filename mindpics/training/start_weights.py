"""Weights that a training starts from: those asked for, the solver's, or those that a resumed run began with."""

import os

from mindpics.caffe_files import weights as weight_files
from mindpics.caffe_files.solver_nets import split_weights, weights_of
from mindpics.files.bounded import digest
from mindpics.files.fingerprints import sha256


def start_weights(weights, message, before=None):
    """Return what each caffemodel to copy in is told by later: path, hashes, published name of its SHA-1.

    Parameters
    ----------
    weights : path, optional
        Those asked for, several with commas between; without it the solver's own.
    message : SolverParameter
        Its weights are cleared, since Caffe would abort on a broken file.
    before : list of dict, optional
        Of the run that is gone on with, as returned here.

    Raises
    ------
    ValueError
        For no file, and for other weights than the run began with.
    """
    named = weights_of(message)
    message.ClearField("weights")
    if weights is not None:
        named = [weights] if os.path.exists(weights) else split_weights(str(weights))
    if before is None or not named:
        return list(map(_told_by, named)) if before is None else before
    found = list(map(_told_by, named))
    if [told["sha256"] for told in found] != [told["sha256"] for told in before]:
        began = ", ".join(f"{told['path']} (SHA-256 {told['sha256'][:8]}…)" for told in before) or "its fillers"
        raise ValueError(
            f"found weights {', '.join(map(str, named))}; wanted none or the same again, since this run began "
            f"with {began}, or overwrite=True to start afresh"
        )
    return found


def _told_by(path):
    sha1 = digest(path, "sha1")
    return {"path": str(path), "sha256": sha256(path), "sha1": sha1, "published": weight_files.KNOWN_SHA1.get(sha1)}
