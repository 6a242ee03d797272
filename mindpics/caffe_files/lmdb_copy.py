"""Copy of the records of some labels out of an LMDB, as they are: nothing is decoded again."""

import hashlib
import json
from pathlib import Path

from mindpics.caffe_files.lmdb_writer import LmdbWriter, write_rejected
from mindpics.caffe_files.lmdbs import count_lmdb, read_lmdb
from mindpics.files.fingerprints import fingerprint
from mindpics.files.json_files import read_objects
from mindpics.jobs.bars import bar_of


def copy_lmdb(source, out, labels, force=False):
    """Copy the Datums of some labels, in the order of `source`, under the keys ``%08d_<id>`` counted anew.

    Parameters
    ----------
    source : str or Path
        An LMDB of `mindpics.datasets.picture_lmdb.write_lmdb`; its ``.rejected.jsonl`` is divided in the same way.
    out : str or Path
        As there; a killed copy goes on with the same call.
    labels : collection of int
    force : bool
        Replace an LMDB of that name.

    Returns
    -------
    written, rejected : int

    Raises
    ------
    ValueError
        `out` exists, `source` is no LMDB, or it holds none of the labels.
    """
    source, out = Path(source), Path(out)
    if out.resolve() == source.resolve():
        raise ValueError(f"{out}: found the LMDB that is copied; wanted another name, or its other rows would be lost")
    if out.exists() and not force:
        raise ValueError(f"{out}: found a file or folder of that name; wanted a new name, or force=True")
    rejected = [note for note in _rejected(source) if note.get("label") in labels]
    key = hashlib.sha256(json.dumps([fingerprint(source), sorted(labels)]).encode()).hexdigest()
    size = (source / "data.mdb").stat().st_size
    with LmdbWriter(out, key, 2 * size + (64 << 20)) as writer:
        chosen = 0
        for name, datum in bar_of(read_lmdb(source), total=count_lmdb(source), desc=out.name, unit="picture"):
            if datum.label in labels:
                chosen += 1
                if chosen > writer.done:
                    writer.put(name.partition("_")[2], datum.SerializeToString())
        if not chosen:
            raise ValueError(f"{source}: found none of the labels {sorted(labels)}; wanted one picture at least")
        write_rejected(out, rejected)
        writer.finish()
    return writer.written, len(rejected)


def _rejected(source):
    listed = source.with_name(source.name + ".rejected.jsonl")
    return [note for _, note in read_objects(listed)] if listed.is_file() else []
