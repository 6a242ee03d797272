"""Dask cluster: the serial path's work in shards, with the same bytes.

A scheduler and its workers execute what a client sends them, so both must be
yours: a cluster started here listens on 127.0.0.1 only, and to holders of the
certificate that it is born with. Workers see the pictures and the folder of the
results under the same paths as the client.
"""

import os
import shutil
import socket
import ssl
import tempfile
import uuid
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import cryptography  # noqa: F401  Security.temporary makes certificates with it
import dask
import lmdb
from distributed import Client, LocalCluster, as_completed
from distributed.security import Security

from mindpics.files import own_folder
from mindpics.files.own_folder import Kind
from mindpics.jobs import parallel
from mindpics.jobs.commands import ClusterCommand, layers_asked_for

SHARD = 1024  # items a task: long beside its start, short beside what a killed worker loses
AHEAD = 2  # shards a worker may be ahead of who reads them
LOCAL = "local"
HOST = "127.0.0.1"
SETTINGS = "DASK_DISTRIBUTED__COMM__TLS__"
TLS_FILES = {"ca_file": "CA_FILE", "cert": "CLIENT__CERT", "key": "CLIENT__KEY"}
_ID, _START = "[0-9a-f]" * 32, "[0-9]" * 9
SHARDS = Kind("shards of a cluster's run", (f"{_ID}/{_START}/*.mdb", f"{_ID}/.{_START}.{_ID}/*.mdb"))


@contextmanager
def connect(address, workers=None, gpu=False):
    """Give a `Cluster`, and print where its dashboard is.

    Parameters
    ----------
    address : str
        Of a scheduler, or "local": a cluster on this machine that ends with the block.
    workers : int, optional
        Processes of a local cluster; default one a core, or one on a GPU.
    gpu : bool
        Each worker of a local cluster can take a task that needs {"GPU": 1}; those of your own
        cluster can when they were started with ``dask worker --resources GPU=1``.

    Raises
    ------
    ValueError
        When no scheduler is reached, or none of its workers can take a task of a GPU.
    """
    with _local_client(workers, gpu) if address == LOCAL else _client(address) as client:
        if gpu:
            _require_gpu(client, address)
        print(f"dashboard: {client.dashboard_link}", flush=True)
        yield Cluster(client)


@contextmanager
def _local_client(workers, gpu):
    """Give a client of a cluster that nobody else on this machine can send code to, or slip any into."""
    parent = dask.config.get("temporary-directory")
    with (
        tempfile.TemporaryDirectory(prefix="mindpics-dask-", dir=parent, ignore_cleanup_errors=True) as folder,
        # Dask imports from its folders, by default below one in /tmp that anybody may have made;
        # a worker reads pictures in children of its own, which a daemon may not have
        dask.config.set({"temporary-directory": folder, "distributed.worker.daemon": False}),
        LocalCluster(
            workers or (1 if gpu else os.cpu_count()),
            threads_per_worker=1,
            host=HOST,
            dashboard_address=f"{HOST}:0",
            security=Security.temporary(),
            resources={"GPU": 1} if gpu else None,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _client(address):
    """Return a client of a scheduler; ValueError in one line when it is not reached, or does not know us."""
    try:
        return Client(address, security=_certificates(address))
    except OSError as error:
        raise ValueError(f"scheduler {address}: found no scheduler to talk to ({error}); wanted one") from None


def _require_gpu(client, address):
    """Raise ValueError where there are workers and none has a GPU: a task of a GPU would wait for ever."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if workers and not any(worker["resources"].get("GPU") for worker in workers):
        raise ValueError(
            f"scheduler {address}: found {len(workers)} workers and none with a GPU; "
            "wanted one that was started with dask worker --resources GPU=1"
        )


def _certificates(address):
    """Return Dask's settings of TLS; ValueError names those that are missing for a tls:// address."""
    settings = Security()
    if address.startswith("tls://"):
        files = settings.get_tls_config_for_role("client")
        absent = [f"{SETTINGS}{name}={files[key]}" for key, name in TLS_FILES.items() if _is_absent(files[key], key)]
        if absent:
            raise ValueError(f"scheduler {address}: found {', '.join(absent)}; wanted files (--help)")
        try:
            settings.get_connection_args("client")
        except ssl.SSLError as error:
            raise ValueError(
                f"scheduler {address}: found no certificate and key in {files['cert']}, {files['key']} "
                f"and {files['ca_file']} ({error.reason}); wanted them in PEM"
            ) from None
    return settings


def _is_absent(file, key):
    """Whether a setting is none, or no file; it may be the PEM text itself, and a certificate's file hold its key."""
    return key != "key" if file is None else "\n" not in file and not os.path.isfile(file)


@dataclass(frozen=True)
class Cluster:
    """What the rest of the package asks of a cluster."""

    client: Client

    def run_each(self, folder, function, items, shard=SHARD):
        """Yield ``(item, result, reason)`` of every item, in order, as `mindpics.jobs.parallel.run_each` does.

        Parameters
        ----------
        folder : str or Path
            For the shards, which workers write and this process reads and removes.
        function : callable
            Of one item, to bytes.
        items : list
        """
        folder = Path(folder).resolve()
        own_folder.clear(folder, SHARDS)  # of a run that was killed
        run_folder = folder / uuid.uuid4().hex  # its tasks may still write there
        starts = range(0, len(items), shard)
        work = partial(_write_shard, function)
        tasks = ((items[start : start + shard], run_folder / f"{start:09d}") for start in starts)
        waiting = deque()

        def submit(count):
            for part, path in islice(tasks, count):
                waiting.append((part, path, self.client.submit(work, part, path, pure=False)))

        try:
            submit(AHEAD * self.n_workers)
            while waiting:
                part, path, future = waiting.popleft()
                future.result()
                yield from _read_shard(path, part)
                shutil.rmtree(path)
                submit(1)
        finally:
            self.client.cancel([future for _, _, future in waiting])
            with suppress(OSError):  # a worker may still write there; the next run clears it away
                own_folder.remove(folder, SHARDS)

    def run_tasks(self, function, tasks, gpu=None, set_device=None):
        """Yield what ``function(*task)`` returns for each task, as they end.

        Parameters
        ----------
        function : callable
        tasks : list of tuple
        gpu : int, optional
            CUDA device that a worker gives the task: one whose resources name a GPU. None: CPU.
        set_device : callable, optional
            Called with `gpu` before each task, in its thread: Caffe's device is each thread's own. The worker's layers
            are to be those asked for here then, which a process of Caffe looks for once.
        """
        resources = None if gpu is None else {"GPU": 1}
        shared = self.client.submit(_itself, function, pure=False)  # it may hold a mean image, which is sent once
        layers = layers_asked_for() if set_device else None
        run = partial(self.client.submit, _on_device, set_device, gpu, layers, shared, pure=False, resources=resources)
        futures = [run(task) for task in tasks]
        try:
            for _, result in as_completed(futures, with_results=True):
                yield result
        finally:
            self.client.cancel(futures)

    @property
    def n_workers(self):
        """How many workers there are now; one at least."""
        return max(1, len(self.client.scheduler_info(n_workers=-1)["workers"]))

    def start(self, command, log, threads, again=None):
        """Start a command on a worker; see `mindpics.jobs.commands.ClusterCommand`.

        Parameters
        ----------
        command : list of str
        log : path
            Gets the command's output.
        threads : int
            Of BLAS and OpenMP.
        again : Stage, optional
            The command takes ``--resume`` when its first worker died.

        Returns
        -------
        mindpics.jobs.commands.ClusterCommand
        """
        return ClusterCommand(self.client, command, log, threads, again)


def _itself(value):
    return value


def _on_device(set_device, gpu, layers, function, task):
    if set_device:
        for name, value in layers_asked_for().items():
            if value != layers[name]:
                raise ValueError(
                    f"worker on {socket.gethostname()}: found {name}={value}; wanted {name}={layers[name]}, "
                    "as where it was asked: start the workers with it"
                )
        set_device(gpu)
    return function(*task)


def _write_shard(function, items, path):
    """Write the outcome of each item to an LMDB at `path`, whole or not at all; runs on a worker."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.mkdir(parents=True)
    # sparse: an LMDB takes what is written, not what it may take
    with lmdb.open(str(temporary), map_size=1 << 40, max_readers=1, sync=False) as environment:
        with environment.begin(write=True) as records:
            outcomes = parallel.run_each(function, items, workers=1, at_once=parallel.AT_ONCE)
            for i, (_, result, reason) in enumerate(outcomes):
                value = b"+" + result if reason is None else b"-" + reason.encode()
                records.put(f"{i:09d}".encode(), value, append=True)
        environment.sync(True)
    if not path.exists():  # else another worker, taken for dead, was the first
        temporary.rename(path)
    shutil.rmtree(temporary, ignore_errors=True)


def _read_shard(path, items):
    with lmdb.open(str(path), readonly=True, lock=False) as environment, environment.begin() as records:
        for item, (_, value) in zip(items, records.cursor(), strict=True):
            yield (item, value[1:], None) if value[:1] == b"+" else (item, None, value[1:].decode())
