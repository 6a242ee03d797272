"""tools/caffe/cuda/*.cu without a GPU: the kernels' own source, run on the CPU, beside the CPU's loops."""

import os
import re
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "tools" / "caffe"
HERE = Path(__file__).parent / "gpu_kernels"
LAUNCH = re.compile(r"(\w+)<<<(.+?), (\w+)>>>\((.*?)\);", re.DOTALL)


def for_the_host(source):
    """`kernel<<<blocks, threads>>>(...)` is no C++; Caffe's headers would need CUDA's."""
    text = source.read_text().replace('"caffe/common.hpp"', '"device_on_host.hpp"')
    text, launches = LAUNCH.subn(r"launch(\2, \3, [=] { \1(\4); });", text)
    assert launches == len(re.findall("__global__", text)) > 0
    return text.replace('"crop.hpp"', '"cuda/crop.hpp"').replace('"channels.hpp"', '"cuda/channels.hpp"')


def test_kernels_do_what_the_loops_of_the_cpu_do(tmp_path):
    kernels = [tmp_path / f"{name}_kernels.cpp" for name in ("crop", "channels")]
    for kernel in kernels:
        kernel.write_text(for_the_host(SOURCES / "cuda" / kernel.name.replace("_kernels.cpp", ".cu")))
    loops = [SOURCES / "fast" / "crop.cpp", SOURCES / "fast" / "channels.cpp"]
    flags = ["-std=c++17", "-O1", "-w", "-mavx2", "-mfma", "-ffp-contract=off", f"-I{SOURCES}", f"-I{HERE}"]
    subprocess.run(["g++", *flags, HERE / "compare.cpp", *kernels, *loops, "-o", tmp_path / "compare"], check=True)
    found = subprocess.run([tmp_path / "compare"], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("crop: 0 of") == 8
    assert found.stdout.count("gradient") == 4


PRINT_SETTINGS = """
#include <iostream>
#include "cuda/settings.hpp"
int main() {
  using namespace caffe;
  std::cout << WantsTF32() << " " << fast::wants_find() << " " << (fast::workspace_limit() >> 20);
}
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Call with environment variables to have what the GPU build makes of them."""
    folder = tmp_path_factory.mktemp("settings")
    (folder / "main.cpp").write_text(PRINT_SETTINGS)
    sources = [folder / "main.cpp", SOURCES / "cuda" / "settings.cpp"]
    subprocess.run(["g++", f"-I{SOURCES}", *sources, "-lglog", "-o", folder / "print"], check=True)
    return lambda **given: subprocess.run([folder / "print"], env=os.environ | given, capture_output=True, text=True)


def test_settings(settings):
    plain = settings()
    assert plain.stdout == "0 0 256"
    assert plain.stderr.count("true float32") == 1
    given = settings(MINDPICS_TF32="1", MINDPICS_CUDNN_FIND="1", MINDPICS_CUDNN_WORKSPACE_MB="64")
    assert given.stdout == "1 1 64"
    assert given.stderr.count("TF32 where it has that") == 1


@pytest.mark.parametrize("name, value", [("TF32", "yes"), ("CUDNN_FIND", "2"), ("CUDNN_WORKSPACE_MB", "1 GB")])
def test_a_setting_that_cannot_be_is_named(settings, name, value):
    found = settings(**{f"MINDPICS_{name}": value})
    assert found.returncode
    assert f'MINDPICS_{name} is "{value}"; wanted: ' in found.stderr
