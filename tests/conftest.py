"""Shared: a small set of generated pictures in LMDBs, and a small all-in-one net that learns it."""

import ctypes
import gc
import os
import signal

# As many threads as ever, of which those that wait sleep: with a worker on each core they would take the others' time.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # the least; by default a tenth of a second or so
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import pytest
from caffe.proto import caffe_pb2
from made_once import made_once
from striped_pictures import CROP, SIZE, write_lmdb

from mindpics.caffe_files.messages import write_message
from mindpics.nets.solvers import Schedule, solver
from mindpics.nets.whole import Data, deploy, train_val


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="the long versions as well (about an hour)")
    parser.addoption("--bvlc", help="folder of a plain build of BVLC's Caffe, its package caffe: trainings against it")
    parser.addoption("--caffe", action="store_true", help="all of BVLC's own tests, sanitizers included (an hour)")
    parser.addoption("--cuda", action="store_true", help="Caffe's build for GPUs as well; no GPU needed (half an hour)")


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # by a script's `&`; what the tests start would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "long: left out without --long")
    config.addinivalue_line("markers", "bvlc: left out without --bvlc")
    config.addinivalue_line("markers", "caffe: left out without --caffe")
    config.addinivalue_line("markers", "cuda: left out without --cuda")


def pytest_collection_modifyitems(config, items):
    for switch in ("long", "bvlc", "caffe", "cuda"):
        if not config.getoption(f"--{switch}"):
            config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker(switch)])
            items[:] = [item for item in items if not item.get_closest_marker(switch)]


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Thousands of tests are kept to the end: the garbage collector is not to walk over them again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def memory_given_back():
    """What a file's nets have held goes back to the machine: a fork of this process copies the table of its pages."""
    yield
    ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(autouse=True)
def environment_set_back():
    """What a tool or a cluster sets in this process (a quiet log, one thread) is no other test's."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder with train_lmdb (400 pictures), test_lmdb (200) and mean.binaryproto."""
    folder = tmp_path_factory.mktemp("pictures")
    write_lmdb(folder / "train_lmdb", 400, 1)
    write_lmdb(folder / "test_lmdb", 200, 2)
    mean = caffe_pb2.BlobProto()
    mean.shape.dim.extend([1, 3, SIZE, SIZE])
    mean.data.extend(np.full(3 * SIZE * SIZE, 100.0))
    (folder / "mean.binaryproto").write_bytes(mean.SerializeToString())
    return folder


@pytest.fixture
def small_job(pictures, tmp_path):
    """(solver path, deploy path): a narrow all-in-one ResNet-50 on `pictures`, 180 iterations."""
    data = Data(*(str(pictures / f) for f in ("train_lmdb", "test_lmdb", "mean.binaryproto")), 20, 40, CROP)
    small = {"width": 0.0625, "fraction": 0.9}
    write_message(train_val("resnet50", data, **small), tmp_path / "train_val.prototxt")
    write_message(deploy("resnet50", crop=CROP, **small), tmp_path / "deploy.prototxt")
    message = solver(
        str(tmp_path / "train_val.prototxt"),
        Schedule(9, 7, 0.02),
        train=400,
        batch=20,
        test=200,
        test_batch=40,
        prefix=str(tmp_path / "net"),
        seed=1,
        snapshots=3,
        tests=4,
    )
    write_message(message, tmp_path / "solver.prototxt")
    return tmp_path / "solver.prototxt", tmp_path / "deploy.prototxt"


CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """A finished run of both papers, like runs/mini but made in seconds; read only."""
    from small_run import make_small_run

    return made_once(tmp_path_factory, "small", make_small_run) / "run"


@pytest.fixture(scope="module")  # no longer: it keeps an event loop in this thread
def chromium():
    """A headless Chromium; tests fail without one (tools/test installs it)."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def visit(chromium):
    """A function (address, width=1280, scheme="light") -> page, whose `complaints` and `requests` are kept."""

    def visit(address, width=1280, scheme="light"):
        page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.complaints, page.requests = [], []
        page.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(address)
        return page

    return visit
