"""The --scheduler switch; Dask, an extra, is imported only where it is given."""

import sys
from contextlib import contextmanager, nullcontext
from ipaddress import ip_address
from urllib.parse import urlsplit

from mindpics.jobs.commands import start_here

ENCRYPTED = ("tls", "wss")
CERTIFICATES = """A scheduler at tcp:// runs what anybody sends who reaches it; at tls:// what holders of its key send.
On each machine, this one too, with the same two files, of which key.pem is the secret:

    openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=dask -keyout key.pem -out cert.pem     # once
    export DASK_DISTRIBUTED__COMM__TLS__CA_FILE=$PWD/cert.pem
    export DASK_DISTRIBUTED__COMM__TLS__{SCHEDULER,WORKER,CLIENT}__CERT=$PWD/cert.pem
    export DASK_DISTRIBUTED__COMM__TLS__{SCHEDULER,WORKER,CLIENT}__KEY=$PWD/key.pem
    export DASK_DISTRIBUTED__WORKER__DAEMON=False     # workers read pictures in children
    dask scheduler --protocol tls
    dask worker tls://10.0.0.1:8786
"""


def add_argument(parser):
    """Add --scheduler ADDRESS to a tool."""
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="work on a Dask cluster of yours, like tls://10.0.0.1:8786 (below); 'local' starts one here",
    )
    parser.epilog = CERTIFICATES


def connect(address, workers=None, gpu=None):
    """Return a context that gives None without an address, else a `mindpics.jobs.cluster.Cluster`.

    Parameters
    ----------
    address : str or None
        Of a Dask scheduler, or "local".
    workers : int, optional
        Processes of a local cluster.
    gpu : int, optional
        CUDA device; where there is one, each worker of a local cluster takes tasks of a GPU.

    Raises
    ------
    ValueError
        Dask is not installed, or the scheduler is not reached.
    """
    if not address:
        return nullcontext()
    try:
        from mindpics.jobs import cluster
    except ImportError as error:
        raise ValueError(f"scheduler: found {error}; wanted Dask: pip install 'mindpics[cluster]'") from None
    if address != cluster.LOCAL and is_open(address):
        print(f"{address}: whoever reaches this port can run code there as you.\n{CERTIFICATES}", file=sys.stderr)
    return cluster.connect(address, workers, gpu=gpu is not None)


def is_open(address):
    """Whether a scheduler's address is neither encrypted nor of this machine's loopback."""
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme in ENCRYPTED or parts.hostname == "localhost":
        return False
    try:
        return not ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return True  # a name


@contextmanager
def place(address, jobs, default_jobs, gpu=None):
    """Give how many stages run at a time, and what starts their commands: here, or on a cluster.

    Parameters
    ----------
    address : str or None
        Of a Dask scheduler, or "local"; None: this machine.
    jobs : int or None
        Stages at a time, and workers of a local cluster.
    default_jobs : int
        Stages at a time on this machine when `jobs` is None.
    gpu : int, optional
        CUDA device.

    Yields
    ------
    jobs : int
    start : callable
        `mindpics.jobs.commands.start_here`, or `mindpics.jobs.cluster.Cluster.start`.
    """
    with connect(address, jobs, gpu) as cluster:
        yield (jobs or cluster.n_workers, cluster.start) if cluster else (jobs or default_jobs, start_here)


@contextmanager
def joblib_on(address, workers=None):
    """Have joblib run its tasks on a cluster inside the block; without an address, as ever."""
    with connect(address, workers) as cluster:
        if not cluster:
            yield
            return
        from joblib import parallel_config  # a tenth of a second to import, which no other job waits for

        with parallel_config("dask", n_jobs=-1):
            yield
