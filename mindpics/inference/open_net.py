"""Opening of a stranger's deploy net and weights, built in a child process first.

Caffe aborts the process on a net or a file that it does not like, imports what a Python layer names, and
writes where an HDF5Output layer says. So a net is read and built in a child first, and weights are read by us.
"""

import tempfile

import caffe
from caffe.proto import caffe_pb2

from mindpics.caffe_files import weights as weight_files
from mindpics.caffe_files.messages import write_message
from mindpics.caffe_files.prototxt import read_prototxt
from mindpics.files.findings import errors
from mindpics.jobs.fork_first import in_fork
from mindpics.lint.layers import check_reach


def open_net(path, allow_python_layers=False):
    """Return a caffe.Net in phase TEST, built only once it is known not to end the process.

    Parameters
    ----------
    path : str or Path
        A net prototxt.
    allow_python_layers : bool
        Let it import Python layers from outside ``mindpics.layers``, and write files.

    Raises
    ------
    ValueError
        When the file is no net, has unknown fields, reaches outside, or is refused by Caffe, whose words it has.
    """
    net = check_net(path, allow_python_layers)
    with tempfile.NamedTemporaryFile(suffix=".prototxt") as file:  # what was checked is what Caffe reads
        write_message(net, file.name)
        try:
            in_fork(_build, file.name)
        except ValueError as error:
            raise ValueError(f"{path}: found what Caffe refuses ({error}); wanted a net that it builds") from None
        return caffe.Net(file.name, caffe.TEST)


def open_trained_net(path, weights, allow_python_layers=False):
    """Return (caffe.Net, Fit): a net in phase TEST with the weights of a caffemodel copied by name.

    Parameters
    ----------
    path, weights : path
    allow_python_layers : bool
        Let the net import Python layers from outside ``mindpics.layers``.

    Raises
    ------
    ValueError
        For a net or a caffemodel that Caffe would abort on.
    """
    net = open_net(path, allow_python_layers)
    return net, weight_files.copy(weights, net)


def check_net(path, allow_python_layers=False):
    """Return the NetParameter of a file, upgraded as Caffe does.

    Raises
    ------
    ValueError
        Unless Caffe can parse it and it does not reach outside.
    """
    prototxt, findings = read_prototxt(path)
    if prototxt is not None and not isinstance(prototxt.message, caffe_pb2.NetParameter):
        raise ValueError(f"{path}: found a solver; wanted a net")
    if prototxt is not None and not allow_python_layers:
        findings = [*findings, *check_reach(prototxt)]
    wrong = errors(findings)
    if wrong:
        raise ValueError("; ".join(map(str, wrong[:3])))
    return prototxt.message


def _build(path):
    caffe.set_mode_cpu()
    caffe.Net(path, caffe.TEST)
