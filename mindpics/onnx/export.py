"""ONNX export of a trained net, checked against Caffe on the spot: what differs is not written."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from mindpics.caffe_files.prototxt import read_prototxt
from mindpics.caffe_files.solver_nets import plain_build, takes_part
from mindpics.files.atomic import atomic_write
from mindpics.files.fingerprints import sha256
from mindpics.inference.feature_net import are_numbers, load_mean
from mindpics.inference.infer import load_net
from mindpics.inference.open_net import check_net
from mindpics.inference.picture_net import PictureNet, centre
from mindpics.lint.phases import TEST
from mindpics.onnx.graph import to_onnx
from mindpics.onnx.layers import check_type

TOLERANCE = 1e-5  # of an output's largest value, or of 1
INSIDE = 1e-4  # roundings add up in fifty layers, to 2e-5 in a narrow ResNet-50; a wrong layer shows more


def export_onnx(deploy, weights, out, mean=(), size=None, with_mean=False, scale=1.0):
    """Write a net as ONNX; its first axis may have any length.

    Parameters
    ----------
    deploy, weights : path
        Prototxt and caffemodel.
    out : path
    mean : sequence
        Path of a .binaryproto or .npy, or numbers (B, G, R; or gray); told in the metadata.
    size : int or (int, int), optional
        To which pictures are warped, see `mindpics.inference.predictor.Predictor`; a mean image has its own.
    with_mean : bool
        Have the graph subtract the mean's centre crop, and multiply by `scale`: its input is the BGR crop, 0 to 255.
        Otherwise it is what Caffe's deploy net takes, the crop with the mean subtracted, and scaled.
    scale : float
        What pixels less the mean are multiplied by: that of the transform_param with which the net was trained.

    Returns
    -------
    float
        Largest difference to Caffe, see `largest_difference`.

    Raises
    ------
    ValueError
        When a layer cannot be written (it is named), weights are missing, or an output differs by more than 1e-5.
    """
    if with_mean and not mean:
        raise ValueError("found with_mean=True and no mean; wanted one")
    if scale != 1 and not mean:
        raise ValueError(f"found scale {scale:g} and no mean; wanted one, 0 where nothing is subtracted")
    check_types(deploy)
    net = load_net(deploy, weights)
    facts = {"prototxt": Path(deploy).name, "caffemodel": Path(weights).name, "caffemodel_sha256": sha256(weights)}
    window = None
    if mean:
        window, told = _mean(net, deploy, mean, size, with_mean, scale)
        facts |= told
    model = to_onnx(net, deploy, window if with_mean else None, scale)
    difference = largest_difference(model, net, deploy, window, with_mean, scale)
    facts["largest_difference_to_caffe"] = f"{difference:.1e}"
    helper.set_model_props(model, facts)
    with atomic_write(out, "wb") as stream:
        stream.write(model.SerializeToString())
    return difference


def check_types(deploy):
    """Raise ValueError that names the first layer of a net that cannot be written, before Caffe builds any."""
    check_net(deploy, allow_python_layers=True)
    net = read_prototxt(deploy)[0].message
    for layer in net.layer:
        if takes_part(layer, plain_build(TEST, net).state):
            try:
                check_type(layer)
            except ValueError as error:
                raise ValueError(f"{deploy}: layer {layer.name}: {error}") from None


def _mean(net, deploy, source, size, with_mean, scale):
    """Return (the mean under the crop: float32 [C, height, width], what the metadata say of the input)."""
    if len(net.inputs) != 1:
        raise ValueError(f"{deploy}: found the inputs {list(net.inputs)}; wanted one, which a mean goes with")
    pictures = PictureNet(deploy, net)
    mean, crop = load_mean(source, size or pictures.size, pictures.channels), pictures.crop
    pictures.require_mean(mean)
    order = "BGR" if len(mean) == 3 else "gray"
    facts = {
        "channel_order": order,
        "layout": "NCHW",
        "warp": f"{mean.shape[1]}x{mean.shape[2]}",
        "crop": f"{crop[0]}x{crop[1]}, centre",
        "value_range": "0 to 255" if with_mean else "0 to 255, mean subtracted" + (", scaled" if scale != 1 else ""),
        "mean": "in the graph" if with_mean else "to be subtracted before",
        f"mean_{order.lower()}": " ".join(f"{value:.4f}" for value in mean.mean(axis=(1, 2), dtype=np.float64)),
    }
    if scale != 1:
        facts["scale"] = f"{scale:g}, {'in the graph' if with_mean else 'to be multiplied by after the mean'}"
    if not are_numbers(source, pictures.channels):
        facts |= {"mean_file": Path(source[0]).name, "mean_sha256": sha256(source[0])}
    return centre(mean, crop), facts


def largest_difference(model, net, where, mean=None, with_mean=False, scale=1.0):
    """Run a model by onnxruntime and its net by Caffe on random pictures: twice as many at once as Caffe takes.

    Blobs inside are compared as well, more loosely: an output may say much the same of every random picture.

    Parameters
    ----------
    model : onnx.ModelProto
    net : caffe.Net
    where : str
        The net's file, for messages.
    mean : float32 [C, height, width], optional
        Default 128.
    with_mean : bool
        Whether the model subtracts it.
    scale : float
        Of what is left.

    Returns
    -------
    float
        The largest over the outputs, each in units of its largest value, or of 1 where that is less.

    Raises
    ------
    ValueError
        When it is above `TOLERANCE`, a blob inside above `INSIDE` (the first is named), or Caffe's own values are
        not finite: nothing would be compared.
    """
    rng = np.random.default_rng(0)
    raw = {name: _pictures(rng, net.blobs[name].data.shape) for name in net.inputs}
    centred = {name: (pictures - (128 if mean is None else mean)) * np.float32(scale) for name, pictures in raw.items()}
    inputs = raw if with_mean else centred
    outputs = [output.name for output in model.graph.output]
    inside = [name for name in net.blobs if name in {value for node in model.graph.node for value in node.output}]
    of_caffe = _by_caffe(net, centred, inside)
    for name, values in _by_onnxruntime(_showing(model, of_caffe), inputs, inside, where).items():
        _difference(values, of_caffe[name], f"{where}: blob {name}", INSIDE)
    ours = _by_onnxruntime(model, inputs, outputs, where)
    return max(_difference(ours[name], of_caffe[name], f"{where}: output {name}", TOLERANCE) for name in outputs)


def _pictures(rng, shape):
    """Return noise of 0 to 255, twice as many as `shape` says, each picture and channel of its own range."""
    ends = rng.uniform(0, 255, (2, 2 * shape[0], *shape[1:2], *[1] * len(shape[2:])))
    return np.rint(rng.uniform(*np.sort(ends, axis=0), (2 * shape[0], *shape[1:]))).astype(np.float32)


def _showing(model, blobs):
    """Return a copy of a model whose outputs are blobs inside; runtimes join nodes, but not across an output."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * values.ndim)
        for name, values in blobs.items()
    )
    return copy


def _difference(of_onnx, of_caffe, where, tolerance):
    if of_onnx.shape != of_caffe.shape:
        raise ValueError(f"{where}: found {of_onnx.shape} of ONNX; wanted {of_caffe.shape} as of Caffe")
    if not np.isfinite(of_caffe).all():
        raise ValueError(f"{where}: found values that are not finite, of Caffe itself; wanted weights of a trained net")
    difference = float(np.abs(of_onnx - of_caffe).max() / max(1, np.abs(of_caffe).max()))
    if not difference <= tolerance:
        raise ValueError(
            f"{where}: found a difference of {difference:.1e} between onnxruntime and Caffe; "
            f"wanted at most {tolerance:g}"
        )
    return difference


def _by_caffe(net, inputs, names):
    """Return {blob: array} of pictures that are twice as many as the net takes, in two passes."""
    passes = []
    for half in range(2):
        for name, pictures in inputs.items():
            net.blobs[name].data[...] = np.split(pictures, 2)[half]
        net.forward()
        passes.append({name: net.blobs[name].data.copy() for name in names})
    return {name: np.concatenate([done[name] for done in passes]) for name in names}


def _by_onnxruntime(model, inputs, names, where):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    try:
        onnx.checker.check_model(model)
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return dict(zip(names, session.run(names, inputs), strict=True))
    except Exception as error:  # they have no base in common; whatever it is, the model is not to be written
        words = " ".join(str(error).split())
        raise ValueError(f"{where}: found an ONNX model that does not run: {words}") from None
