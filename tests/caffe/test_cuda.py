"""The two builds of Caffe in one wheel: which one runs, and with `pytest --cuda` that CUDA's compiles and moves."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from caffe_nets import data_layer, write_lmdb, write_solver

ROOT = Path(__file__).resolve().parents[2]
NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}
DRIVER = "int cuInit(unsigned flags) {{ return {error}; }} int cuDeviceGetCount(int* n) {{ *n = {count}; return 0; }}"


def run(command, **environment):
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **environment})


@pytest.fixture
def package(tmp_path):
    """A folder as the wheel has it, where builds.py chooses; its libraries are empty."""
    (tmp_path / "package/cuda").mkdir(parents=True)
    shutil.copy(ROOT / "tools/caffe/builds.py", tmp_path / "package")
    compile_library("int nothing;", tmp_path / "package/cuda/libcaffe.so")
    return tmp_path / "package"


def compile_library(code, path):
    subprocess.run(["cc", "-shared", "-xc", "-", "-o", path], input=code, text=True, check=True)


def choose(package, wanted=""):
    """Return the name of the folder that is chosen, or None, and what is said."""
    done = run(
        [sys.executable, "-c", "import builds; print(builds.folder().name)"],
        PYTHONPATH=str(package),
        LD_LIBRARY_PATH=str(package.parent),
        MINDPICS_CAFFE=wanted,
    )
    return done.stdout.strip() or None, done.stderr


@pytest.mark.parametrize(
    ("error", "count", "wanted", "chosen", "line"),
    [
        (0, 1, "", "cuda", ""),
        (0, 1, "cpu", "package", ""),
        (0, 0, "", "package", ""),
        (100, 0, "", "package", ""),
        (100, 0, "cuda", "cuda", "finds no GPU (CUDA error 100, 0 devices); computing on the CPU\n"),
        (None, None, "", "package", ""),
        (None, None, "cuda", "cuda", "there is no libcuda.so.1); computing on the CPU\n"),
        (0, 1, "gpu", None, 'MINDPICS_CAFFE is "gpu"; wanted: cpu or cuda\n'),
    ],
)
def test_the_driver_decides(package, error, count, wanted, chosen, line):
    """A stand-in for NVIDIA's driver, found before a real one; None: one that does not load."""
    driver = package.parent / "libcuda.so.1"
    if error is None:
        driver.write_text("no library\n")
    else:
        compile_library(DRIVER.format(error=error, count=count), driver)
    found, said = choose(package, wanted)
    assert found == chosen
    assert said.endswith(line)
    assert line or not said


def test_a_gpu_without_cuda_libraries_is_said_aloud(package):
    compile_library(DRIVER.format(error=0, count=1), package.parent / "libcuda.so.1")
    (package / "cuda/libcaffe.so").write_text("no library\n")
    found, said = choose(package)
    assert found == "package"
    assert re.fullmatch(r"caffe: Caffe's CUDA build does not load, .*libcaffe.so: .*: install its .*\n", said)
    assert choose(package, "cuda")[0] is None


def test_a_wheel_without_cuda_names_what_makes_one(package):
    shutil.rmtree(package / "cuda")
    assert choose(package) == ("package", "")
    assert choose(package, "cuda")[1].endswith("this Caffe was built for the CPU alone: tools/setup --cuda\n")


@pytest.mark.parametrize("call", ["caffe.set_mode_gpu()", "caffe.set_device(0)"])
def test_a_missing_gpu_is_an_exception(call):
    done = run([sys.executable, "-c", f"import caffe; {call}"], **NO_GPU)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert re.match("RuntimeError: (this is Caffe's build for the CPU|no GPU can be used)", last), last


def test_a_missing_gpu_is_one_line_of_the_command(tmp_path):
    path = write_solver(tmp_path, 'layer { name: "data" type: "Input" top: "data" }', max_iter=1)
    done = run([Path(sys.executable).parent / "caffe", "train", f"-solver={path}", "-gpu=0"], **NO_GPU)
    assert done.returncode == 1
    assert "-gpu 0: " in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--cuda", "--arch", "35"], "--arch 35: wanted numbers of 75,80,86"),
        (["--cuda", "--arch", "86,sm_90"], "--arch sm_90: wanted numbers of 75,80,86"),
    ],
)
def test_build_names_a_wrong_arch(arguments, line):
    done = run([sys.executable, ROOT / "tools/caffe/build", *arguments])
    assert done.returncode == 2
    assert line in done.stderr.splitlines()[-1]


def test_setup_names_a_wrong_arch():
    done = run([ROOT / "tools/setup", "--cuda", "--arch", "sm_86"])
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        "tools/setup: --arch sm_86: wanted compute capabilities such as 86 or 75,80,90",
    )
    assert run([ROOT / "tools/setup", "--arch", "86"]).stderr == "tools/setup: --arch and --cudnn go with --cuda\n"


NET = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 16 kernel_size: 3
  group: 2 weight_filler { type: "gaussian" std: .1 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "norm" type: "LRN" bottom: "conv" top: "norm" }
layer { name: "pool" type: "Pooling" bottom: "norm" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "drop" type: "Dropout" bottom: "pool" top: "pool" }
layer { name: "score" type: "InnerProduct" bottom: "pool" top: "score" inner_product_param { num_output: 2
  weight_filler { type: "gaussian" std: .1 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
"""
TRAIN = """
import sys, caffe
from pathlib import Path
caffe.init_log(2, True)
solver = caffe.get_solver(sys.argv[1])
losses = []
for _ in range(20):
    solver.step(1)
    losses.append(float(solver.net.blobs["loss"].data))
print(Path(caffe._caffe.__file__).parent.name, *losses)
"""


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """The Python of a new environment into which pip put the CUDA wheel, no compiler in reach."""
    wheel = subprocess.run(
        [sys.executable, ROOT / "tools/caffe/build", "--cuda", "--arch", "80"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run(
        [folder / "bin/pip", "install", "--quiet", "--only-binary=:all:", f"{wheel}[cuda]", "lmdb"],
        check=True,
        env={**os.environ, "PATH": str(folder / "bin")},
    )
    return folder / "bin/python"


@pytest.mark.cuda
@pytest.mark.parametrize("build", ["cpu", "cuda"])
def test_both_builds_train_without_a_gpu(bare_python, build, tmp_path):
    """The same losses as this environment's Caffe: data, layers and solver, in CPU mode."""
    pictures = np.random.default_rng(0).integers(0, 256, (40, 4, 12, 12), dtype=np.uint8)
    source = write_lmdb(tmp_path / "lmdb", pictures, np.arange(40) % 2)
    data = data_layer(source, 8, crop_size=10, mirror=True, scale=1 / 256)
    solver = write_solver(tmp_path, data + NET, base_lr=0.1, momentum=0.9, max_iter=20, display=0)
    wanted = run([sys.executable, "-c", TRAIN, solver], MINDPICS_CAFFE="cpu", OMP_NUM_THREADS="1")
    found = run([bare_python, "-c", TRAIN, solver], MINDPICS_CAFFE=build, OMP_NUM_THREADS="1", **NO_GPU)
    assert found.returncode == 0, found.stderr
    folder, *losses = found.stdout.split()
    assert folder == {"cpu": "caffe", "cuda": "cuda"}[build]
    assert len(losses) == 20
    np.testing.assert_allclose(np.float64(losses), np.float64(wanted.stdout.split()[1:]), rtol=1e-5)
    done = run([bare_python.parent / "caffe", "train", f"-solver={solver}"], MINDPICS_CAFFE=build, **NO_GPU)
    assert (done.returncode, "Optimization Done." in done.stderr) == (0, True), done.stderr


@pytest.mark.cuda
def test_the_wheel_brings_its_libraries(bare_python):
    """All but the C and C++ libraries and the loader come from the environment itself."""
    package = next(bare_python.parents[1].glob("lib/python*/site-packages/caffe"))
    for library in [*package.glob("*.so"), *package.glob("cuda/*.so"), *package.glob("*/commands/*.so")]:
        lines = run(["ldd", library]).stdout.splitlines()
        outside = {
            Path(found[1]).name
            for line in lines
            if (found := re.search(r"=> (/\S+)", line))
            and not Path(found[1]).resolve().is_relative_to(bare_python.parents[1])
        }
        assert outside <= {
            "libc.so.6",
            "libm.so.6",
            "libstdc++.so.6",
            "libgcc_s.so.1",
            "libpthread.so.0",
            "libdl.so.2",
            "librt.so.1",
            "libz.so.1",
            "libexpat.so.1",
        }, library
        assert not [line for line in lines if "not found" in line]


@pytest.mark.cuda
def test_the_cuda_build_says_that_there_is_no_gpu(bare_python):
    done = run([bare_python, "-c", "import caffe; caffe.set_mode_gpu()"], MINDPICS_CAFFE="cuda", **NO_GPU)
    assert done.returncode == 1
    assert "computing on the CPU" in done.stderr
    assert "RuntimeError: no GPU can be used: " in done.stderr
