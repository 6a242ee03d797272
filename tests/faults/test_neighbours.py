"""Other users of the machine and of the network, who would run their code on a cluster as the one who started it."""

import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from distributed import LocalCluster
from distributed.security import Security

from mindpics.jobs import cluster, scheduler

ROOT = Path(__file__).resolve().parents[2]
TLS = "DASK_DISTRIBUTED__COMM__TLS__"
IMPATIENT = os.environ | {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s", "PYTHONPATH": str(ROOT)}
ATTACK = """
import asyncio, json, os, sys
from distributed.core import rpc
from distributed.protocol.pickle import dumps
from distributed.security import Security

mark, *addresses = sys.argv[1:]
own = Security.temporary().get_connection_args("client")  # a certificate, though not the cluster's

def run(path):
    os.mkdir(path)
    return "ran"

async def attack(address, operation):
    target = rpc(address, connection_args=own if address.startswith("tls") else None, timeout=5)
    try:
        there = f"{mark}.{operation}.{address.rpartition(':')[2]}"
        answer = await asyncio.wait_for(
            getattr(target, operation)(function=dumps(run), args=dumps((there,))), 10)  # a dashboard is silent
        return str(answer)
    except Exception as error:
        return f"refused: {type(error).__name__}"

async def attack_all():
    return await asyncio.gather(*(attack(a, o) for a in addresses for o in ("run_function", "run")))

print(json.dumps([os.getuid(), asyncio.run(attack_all())]))
"""


def attack(marks, ports):
    """Have another user try to run code at these ports; return what was said at each, two ways of plain and TLS each.

    It is nobody, if root runs this. Else it is a process of the same user without the cluster's
    certificate, which is no more to Dask: it asks for the certificate, and not who comes.
    """
    nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
    addresses = [f"{scheme}://127.0.0.1:{port}" for port in ports for scheme in ("tcp", "tls")]
    done = subprocess.run(
        [sys.executable, "-c", ATTACK, marks / "mark", *addresses],
        cwd="/",
        env={"PATH": os.environ["PATH"], "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s"},
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
        **nobody,
    )
    uid, said = json.loads(done.stdout)
    assert uid == (65534 if nobody else os.getuid())
    return said


def listening_ports():
    own = psutil.Process()
    found = [c for one in [own, *own.children(recursive=True)] for c in one.net_connections("inet")]
    return sorted({c.laddr.port for c in found if c.status == "LISTEN"})


@pytest.fixture
def marks():
    """A folder in which everybody may leave a mark, below one that everybody may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


def test_another_user_s_code_runs_on_a_cluster_without_certificates(marks):
    """What is tried below works where nothing stands against it."""
    with LocalCluster(1, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=None) as plain:
        said = attack(marks, [plain.scheduler.port])
    assert "ran" in " ".join(said) and [path.stat().st_uid for path in marks.iterdir()] == [os.getuid()]


def test_another_user_s_code_is_refused_by_local_and_the_job_is_done(marks, tmp_path):
    with cluster.connect("local", workers=2) as dask:
        ports = listening_ports()
        said = attack(marks, ports)
        found = list(dask.run_each(tmp_path / "shards", str.encode, list("abcdef"), shard=3))
    assert len(ports) >= 5  # the scheduler, two workers and their nannies
    assert len(said) == 4 * len(ports) and all(one.startswith("refused") for one in said), said
    assert list(marks.iterdir()) == []
    assert found == [(letter, letter.encode(), None) for letter in "abcdef"]


def test_no_other_user_can_put_modules_where_local_imports_from():
    """Dask puts its folders first in sys.path; /tmp/dask-scratch-space is whoever's was there first."""
    with cluster.connect("local", workers=1) as dask:
        folders = dask.client.run_on_scheduler(lambda: sys.path[0]), *dask.client.run(lambda: sys.path[0]).values()
        for folder in folders:
            inside = [path for path in Path(folder).parents if path.name.startswith("mindpics-dask-")]
            assert inside and inside[0].stat().st_uid == os.getuid()
            assert stat.S_IMODE(inside[0].stat().st_mode) == 0o700
    assert not inside[0].exists()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """cert.pem and key.pem, as the recipe's openssl makes them, in a folder; and a stranger's in another."""
    folders = [tmp_path_factory.mktemp(name) for name in ("ours", "theirs")]
    for folder in folders:
        made = Security.temporary()
        (folder / "cert.pem").write_text(made.tls_ca_file)
        (folder / "key.pem").write_text(made.tls_client_key)
    return folders


def recipe(start):
    """The lines that begin so of what --help says of certificates."""
    lines = [line.strip() for line in scheduler.CERTIFICATES.splitlines()]
    return [line for line in lines if line.startswith(start)]


@pytest.fixture(scope="module")
def scheduler_of_ours(certificates):
    """A scheduler and a worker, started by the recipe's own lines; yields the scheduler's address."""
    exports, [start], [join] = recipe("export "), recipe("dask scheduler"), recipe("dask worker")
    environment = IMPATIENT | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    @contextmanager
    def running(command):
        script = "\n".join([*exports, f"exec {command}"])
        process = subprocess.Popen(["bash", "-c", script], cwd=certificates[0], env=environment)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)

    file = certificates[0] / "scheduler.json"
    with running(f"{start} --host 127.0.0.1 --port 0 --dashboard-address 127.0.0.1:0 --scheduler-file {file}"):
        address = wait_for(lambda: file.is_file() and json.loads(file.read_text())["address"])
        with running(join.replace("tls://10.0.0.1:8786", f"{address} --nthreads 1 --host 127.0.0.1")):
            yield address


def wait_for(found, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if answer := found():
            return answer
        time.sleep(0.1)
    raise AssertionError("nothing came")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(5):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((20, 30, 3), 10 * i, np.uint8))
    (folder / "rows.csv").write_text("id,image,label,split\n" + "".join(f"p{i},{i}.png,{i},train\n" for i in range(5)))
    return folder / "rows.csv"


def create_lmdb(table, out, address=None, **settings):
    command = [sys.executable, ROOT / "tools/create_lmdb", table, "--split", "train", "--size", "16", "--out", out]
    return subprocess.run(
        [*command, *(["--scheduler", address] if address else [])],
        env=IMPATIENT | settings,
        capture_output=True,
        text=True,
        timeout=120,
    )


def settings_of(folder, **others):
    files = {"CA_FILE": folder / "cert.pem", "CLIENT__CERT": folder / "cert.pem", "CLIENT__KEY": folder / "key.pem"}
    return {f"{TLS}{name}": str(file) for name, file in (files | others).items()}


def test_tls_works_from_end_to_end_as_help_says(scheduler_of_ours, certificates, table, tmp_path):
    assert create_lmdb(table, tmp_path / "here").returncode == 0
    there = create_lmdb(table, tmp_path / "there", scheduler_of_ours, **settings_of(certificates[0]))
    assert there.returncode == 0 and there.stderr.count("10.0.0.1") == 0, there.stderr
    here, there = ((tmp_path / name / "data.mdb").read_bytes() for name in ("here", "there"))
    assert here == there


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (lambda ours, _: {}, "found .*CA_FILE=None, .*CLIENT__CERT=None; wanted files \\(--help\\)"),
        (
            lambda ours, _: settings_of(ours, CLIENT__KEY=ours / "none.pem"),
            "found .*CLIENT__KEY=.*none.pem; wanted files",
        ),
        (
            lambda ours, theirs: settings_of(ours, CLIENT__KEY=theirs / "key.pem"),
            "found no certificate and key in .*KEY_",
        ),
        (lambda ours, _: settings_of(ours, CA_FILE=__file__), "found no certificate and key in .*test_neighbours.py"),
        (lambda _, theirs: settings_of(theirs), "TLS certificate does not match"),
    ],
)
def test_tls_without_the_right_certificates_is_one_line(
    scheduler_of_ours, certificates, table, tmp_path, settings, message
):
    done = create_lmdb(table, tmp_path / "out", scheduler_of_ours, **settings(*certificates))
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    assert re.fullmatch(f"create_lmdb: scheduler {scheduler_of_ours}: .*{message}.*\n", done.stderr), done.stderr


@pytest.mark.parametrize("tool", ["run_experiment --scale mini", "run_identification --pins none --features none"])
def test_a_scheduler_that_is_not_there_is_one_line(tool, tmp_path):
    name, *options = tool.split()
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "tools" / name,
            *options,
            "--out",
            tmp_path / "out",
            "--scheduler",
            "tcp://127.0.0.1:1",
        ],
        env=IMPATIENT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert re.fullmatch(f"{name}: scheduler tcp://127.0.0.1:1: [^\n]*\n", done.stderr), done.stderr


@pytest.mark.parametrize(
    ("address", "warned"),
    [
        ("tcp://127.0.0.1:1", False),
        ("tcp://[::1]:1", False),
        ("localhost:1", False),
        ("tls://10.0.0.1:1", False),
        ("tcp://10.0.0.1:1", True),
        ("10.0.0.1:1", True),
        ("tcp://[2001:db8::1]:1", True),
        ("tcp://node1:1", True),
        ("ws://10.0.0.1:1", True),
    ],
)
def test_a_scheduler_that_others_may_reach_is_warned_of_with_the_recipe(address, warned, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "connect", lambda *_, **__: None)  # there is nobody at these addresses
    scheduler.connect(address)
    said = capsys.readouterr().err
    assert (scheduler.CERTIFICATES in said and address in said) if warned else said == ""
