"""tools/caffe/cuda/*.cu without a GPU: the kernels' own source, run on the CPU, beside the CPU's loops."""

import re
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "tools" / "caffe"
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
