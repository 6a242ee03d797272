"""LMDB writer with batched transactions and a journal, which goes on after a kill.

The LMDB grows as ``OUT.partial`` and gets its name when it is complete. What
a transaction holds is on disk before the next begins, so that a kill, or a
power cut, costs one batch.
"""

import json
import os
import shutil
from contextlib import nullcontext
from pathlib import Path

import lmdb

from mindpics.files import own_folder
from mindpics.files.atomic import atomic_write
from mindpics.files.own_folder import KEY, Kind

LMDB = Kind("an LMDB", ("data.mdb", "lock.mdb", "journal.jsonl", KEY), proof=("data.mdb", KEY))
BATCH = 256  # records a transaction: 50 MB of 256x256 pictures


class LmdbWriter:
    """Turn a list of items into records in its order; some items are rejected.

    Parameters
    ----------
    out : Path
        Replaced at the end, if it is an LMDB.
    key : str
        Hash of what decides the records; an ``OUT.partial`` of another key is cleared away.
    map_size : int
        Bytes the LMDB may take at most.

    Attributes
    ----------
    done : int
        Items that are dealt with: where a run that goes on begins.
    written : int
        Records among them.
    rejected : list of dict
        What `reject` was given, the rest of them.
    """

    def __init__(self, out, key, map_size):
        self.out, self.partial = Path(out), Path(f"{out}.partial")
        own_folder.take_over(self.partial, LMDB, key)
        self.environment = self._open(map_size)
        self.written = self.environment.stat()["entries"]
        self.done, self.rejected, end = self._read_journal()
        self.journal = open(self.partial / "journal.jsonl", "a+", encoding="utf-8")  # noqa: SIM115 (closed by __exit__)
        self.journal.truncate(end)
        self.records, self.notes = [], []

    def _open(self, map_size):
        """Open the LMDB that grows; where a kill or a full disk left it without its first pages, begin anew."""
        # metasync: each transaction's data still reach the disk before the page that points at them
        options = {"map_size": map_size, "max_readers": 1, "metasync": False}
        try:
            return lmdb.open(str(self.partial), **options)
        except (lmdb.InvalidError, lmdb.CorruptedError):
            for name in ("data.mdb", "lock.mdb", "journal.jsonl"):
                (self.partial / name).unlink(missing_ok=True)
        except lmdb.Error as error:
            raise self._on_disk(error) from None
        return self._open(map_size)

    def _on_disk(self, error):
        """Return the OSError of an lmdb.Error, of which a full disk is the cause as a rule."""
        free = shutil.disk_usage(self.partial).free
        return OSError(f"{self.partial}: {error} ({free} bytes free on its disk)")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.journal.close()
        self.environment.close()

    def put(self, post_id, value):
        """Make `value` the next item's record, under the key ``%08d_<id>``."""
        self.records.append((f"{self.written:08d}_{post_id}".encode(), value))
        self.written += 1
        self.done += 1
        if len(self.records) == BATCH:
            self._flush()

    def reject(self, note):
        """Keep no record of the next item, but a dict that says why.

        Parameters
        ----------
        note : dict
            What rejected.csv keeps of it.
        """
        self.notes.append(note)
        self.rejected.append(note)
        self.done += 1

    def finish(self):
        """Give the LMDB its name."""
        self._flush()
        self.environment.sync(True)
        self.__exit__()
        own_folder.remove(self.out, LMDB)
        self.partial.rename(self.out)
        for name in ("journal.jsonl", KEY):  # last: until it has its name, a killed call goes on with it
            (self.out / name).unlink()

    def _flush(self):
        """Store what waits. The journal goes first: it may run ahead of the records, never behind."""
        for line in [*self.notes, {"written": self.written, "done": self.done}]:
            self.journal.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.journal.flush()
        os.fsync(self.journal.fileno())
        try:
            with self.environment.begin(write=True) as transaction:
                for key, value in self.records:
                    transaction.put(key, value, append=True)
        except lmdb.Error as error:
            raise self._on_disk(error) from None
        self.records.clear()
        self.notes.clear()

    def _read_journal(self):
        """Return (done, rejected, bytes of the journal) as of the last record that is stored."""
        rejected, end, state = [], 0, (0, 0, 0)
        path = self.partial / "journal.jsonl"
        with open(path, "rb") if path.is_file() else nullcontext(()) as stream:
            for line in stream:
                end += len(line)
                note = json.loads(line) if line.endswith(b"\n") else {"written": self.written + 1}
                if "written" not in note:
                    rejected.append(note)
                elif note["written"] <= self.written:
                    state = note["done"], len(rejected), end
        done, n_rejected, end = state
        return done, rejected[:n_rejected], end


def write_rejected(out, rejected):
    """List the pictures of an LMDB that cannot be read, beside it."""
    with atomic_write(out.with_name(out.name + ".rejected.jsonl")) as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rejected)
