"""The --scheduler switch of the tools; Dask, an extra, is imported only where it is given."""

from contextlib import contextmanager, nullcontext

from joblib import parallel_config

from mindpics.jobs.commands import start_here


def add_argument(parser):
    """Add --scheduler ADDRESS to a tool."""
    parser.add_argument(
        "--scheduler", metavar="ADDRESS",
        help="work on a Dask cluster of yours, like tcp://10.0.0.1:8786; 'local' starts one here",
    )  # fmt: skip


def connect(address, workers=None, gpu=None):
    """Return a context that gives None without an address, else a `mindpics.jobs.cluster.Cluster`."""
    if not address:
        return nullcontext()
    try:
        from mindpics.jobs import cluster
    except ImportError as error:
        raise ValueError(f"--scheduler needs Dask ({error}); pip install dask distributed") from None
    return cluster.connect(address, workers, gpu=gpu is not None)


@contextmanager
def place(address, jobs, default_jobs, gpu=None):
    """Give how many stages run at a time, and what starts their commands: here, or on a cluster."""
    with connect(address, jobs, gpu) as cluster:
        yield (jobs or cluster.n_workers, cluster.start) if cluster else (jobs or default_jobs, start_here)


@contextmanager
def joblib_on(address, workers=None):
    """Have joblib run its tasks on a cluster inside the block; without an address, as ever."""
    with connect(address, workers) as cluster, parallel_config("dask", n_jobs=-1) if cluster else nullcontext():
        yield
