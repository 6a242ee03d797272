"""Lint of layers without a gradient: it complains where Caffe's Backward aborts, and nowhere else."""

import faulthandler
import multiprocessing
import os
import signal

import caffe
import pytest

from mindpics.caffe_files.messages import write_message
from mindpics.lint.net import lint_file
from mindpics.nets.head_losses import LOSSES

DATA = """layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 4 dim: 3 } shape { dim: 4 dim: 1 } data_filler { type: "gaussian" std: 1 } data_filler { value: 1 } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
"""
LOSS = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }\n'
ACCURACY = 'layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy" }\n'
SHARP = 'layer { name: "sharp" type: "Threshold" bottom: "fc" top: "sharp" }\n'
TO_SHARP = 'layer { name: "far" type: "EuclideanLoss" bottom: "fc" bottom: "sharp" top: "far" }\n'
GUESS = 'layer { name: "guess" type: "ArgMax" bottom: "fc" top: "guess" argmax_param { axis: 1 } }\n'
TO_GUESS = LOSS.replace('"label"', '"guess"')
SHARP_LABEL = SHARP.replace('"fc"', '"label"') + LOSS.replace("label", "sharp")
UNSEEN = 'layer { name: "end" type: "Silence" bottom: "sharp" }\n'
FORCE = "force_backward: true\n"
FORWARD_ONLY = " propagate_down: true propagate_down: false }"
EMBED = """layer { name: "embed" type: "Embed" bottom: "%s" top: "embed"
  embed_param { input_dim: 3 num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "far" type: "Reduction" bottom: "embed" top: "far" loss_weight: 1 }
"""
SEQUENCE = """layer { name: "seq" type: "DummyData" top: "seq" top: "cont" dummy_data_param {
  shape { dim: 2 dim: 3 dim: 4 } shape { dim: 2 dim: 3 } } }
layer { name: "bias" type: "Bias" bottom: "cont" top: "begin" bias_param { num_axes: 0 } }
layer { name: "silent" type: "Silence" bottom: "begin" }
layer { name: "recurrent" type: "#" bottom: "seq" bottom: "%s" top: "out" recurrent_param { num_output: 2 } }
layer { name: "far" type: "Reduction" bottom: "out" top: "far" loss_weight: 1 }
"""
LSTM, RNN = SEQUENCE.replace("#", "LSTM"), SEQUENCE.replace("#", "RNN")
ONE_FROZEN = "param { lr_mult: 0 }"
TEACHER = DATA.replace('"fc"\n', f'"fc" {ONE_FROZEN}\n')
SCALED_LABEL = """layer { name: "mask" type: "DummyData" top: "mask" dummy_data_param { shape { dim: 4 dim: 1 } } }
layer { name: "scale" type: "Scale" bottom: "label" bottom: "mask" top: "masked" scale_param { axis: 0 } }
""" + LOSS.replace("label", "masked")
STATIC = """layer { name: "seq" type: "DummyData" top: "seq" top: "cont" top: "static" dummy_data_param {
  shape { dim: 2 dim: 3 dim: 4 } shape { dim: 2 dim: 3 } shape { dim: 3 dim: 5 } } }
layer { name: "recurrent" type: "%s" bottom: "seq" bottom: "cont" %s top: "fc" %s recurrent_param { num_output: 2 } }
layer { name: "unread" type: "Silence" bottom: "static" }
"""


def recurrent(kind, params, bottom=""):
    return STATIC % (kind, bottom, " ".join([ONE_FROZEN] * params)) + SHARP + TO_SHARP


FILTER = """layer { name: "one" type: "Reduction" bottom: "%s" top: "one" reduction_param { axis: 1 } }
layer { name: "filter" type: "Filter" bottom: "fc" bottom: "one" top: "kept" }
layer { name: "far" type: "Reduction" bottom: "kept" top: "far" loss_weight: 1 }
"""
NETS = {
    "embedded numbers": (DATA + EMBED % "label", set()),
    "embedded numbers, forced": (FORCE + DATA + EMBED % "label", {"embed"}),
    "embedded numbers that are learned": (DATA + EMBED % "fc", {"embed"}),
    "an LSTM, forced": (FORCE + LSTM % "cont", set()),
    "an LSTM whose sequences are learned": (LSTM % "begin", {"recurrent"}),
    "an RNN whose sequences are learned": (RNN % "begin", {"recurrent"}),
    "a selector": (DATA + FILTER % "data", set()),
    "a selector, forced": (FORCE + DATA + FILTER % "data", {"filter"}),
    "a selector that is learned": (DATA + FILTER % "fc", {"filter"}),
    # name: prototxt, the layers at which Backward would abort
    "a loss": (DATA + LOSS, set()),
    "a loss, forced": (FORCE + DATA + LOSS, set()),
    "accuracy": (DATA + LOSS + ACCURACY, set()),
    "accuracy, forced": (FORCE + DATA + LOSS + ACCURACY, {"accuracy"}),
    "threshold of a label": (DATA + SHARP_LABEL, set()),
    "threshold of a label, forced": (FORCE + DATA + SHARP_LABEL, {"sharp"}),
    "threshold below a loss": (DATA + SHARP + TO_SHARP, {"sharp"}),
    "threshold below a loss that is told to leave it": (DATA + SHARP + TO_SHARP.replace(" }", FORWARD_ONLY), set()),
    "the same, forced": (FORCE + DATA + SHARP + TO_SHARP.replace(" }", FORWARD_ONLY), {"sharp"}),
    "threshold that is told to pass nothing on": (
        DATA + SHARP.replace(" }", " propagate_down: false }") + TO_SHARP,
        {"sharp"},
    ),
    "threshold of what does not learn": (
        DATA.replace('"fc"\n', '"fc" param { lr_mult: 0 } param { lr_mult: 0 }\n') + SHARP + TO_SHARP,
        set(),
    ),
    "a teacher whose bias learns": (TEACHER + SHARP + TO_SHARP, {"sharp"}),
    "a teacher whose bias learns, as a label": (TEACHER + GUESS + TO_GUESS, {"guess", "loss"}),
    "a teacher without a bias": (
        TEACHER.replace("num_output", "bias_term: false num_output") + SHARP + TO_SHARP,
        set(),
    ),
    "a label that another scales": (DATA + SCALED_LABEL, set()),
    "a label that another scales, with a bias": (DATA + SCALED_LABEL.replace("axis", "bias_term: true axis"), {"loss"}),
    "a label that another is added to": (
        DATA + SCALED_LABEL.replace("Scale", "Bias").replace("scale_param", "bias_param"),
        set(),
    ),
    "an LSTM that is frozen": (recurrent("LSTM", 3), set()),
    "an LSTM of whose weights one learns": (recurrent("LSTM", 3, 'bottom: "static"'), {"sharp"}),
    "an RNN that is frozen": (recurrent("RNN", 6, 'bottom: "static"'), set()),
    "an RNN of whose weights one learns": (recurrent("RNN", 4), {"sharp"}),
    "threshold that no loss sees": (DATA + LOSS + SHARP + UNSEEN, set()),
    "guess as a label": (DATA + GUESS + TO_GUESS, {"guess", "loss"}),
    "guess as a label that is left alone": (DATA + GUESS + TO_GUESS.replace(" }", FORWARD_ONLY), set()),
}


def step(path):
    faulthandler.disable()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # Caffe's last words
    net = caffe.Net(str(path), caffe.TRAIN)
    net.forward()
    net.backward()


def aborts(path):
    child = multiprocessing.get_context("fork").Process(target=step, args=(path,))
    child.start()
    child.join(30)
    assert child.exitcode in (0, -signal.SIGABRT)
    return child.exitcode != 0


def complained_of(path):
    return {finding.message.split()[1].rstrip(":") for finding in lint_file(path) if finding.check == "no-gradient"}


@pytest.mark.parametrize("name", NETS)
def test_lint_and_caffe_agree(tmp_path, name):
    text, wanted = NETS[name]
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    assert complained_of(path) == wanted
    assert aborts(path) == bool(wanted)


@pytest.mark.parametrize("loss", LOSSES)
def test_forced_heads(tmp_path, loss):
    """Native heads make the pole by Threshold, and force_backward overrules propagate_down."""
    n = caffe.NetSpec()
    n.data, n.label = caffe.layers.DummyData(shape=[{"dim": [4, 3]}, {"dim": [4]}], ntop=2)
    n.score_O = caffe.layers.InnerProduct(n.data, num_output=2, weight_filler={"type": "xavier"})
    LOSSES[loss](n, "O", n.score_O, "VALID")
    net = n.to_proto()
    write_message(net, tmp_path / "free.prototxt")
    net.force_backward = True
    write_message(net, tmp_path / "forced.prototxt")
    wanted = {"not_low_O", "other_O"} if loss == "native" else set()
    assert (complained_of(tmp_path / "free.prototxt"), complained_of(tmp_path / "forced.prototxt")) == (set(), wanted)
    assert not aborts(tmp_path / "free.prototxt")
    assert aborts(tmp_path / "forced.prototxt") == bool(wanted)


def test_a_wrong_number_of_propagate_down_is_named(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(DATA + LOSS.replace(" }", " propagate_down: true }"))
    assert "1 propagate_down for 2 bottoms" in [f.message for f in lint_file(path) if f.severity == "error"][0]
    assert aborts(path)


def test_layers_of_one_name_without_blobs_are_as_caffe_takes_them(tmp_path):
    mask, scale, _ = SCALED_LABEL.splitlines()
    end = TO_SHARP.replace('"fc"', '"masked"').replace("sharp", "again")
    for bias, wanted in (("", []), ("bias_term: true ", ["duplicate-name"])):
        scales = [line.replace("axis", f"{bias}axis") for line in (scale, scale.replace("masked", "again"))]
        (tmp_path / "net.prototxt").write_text(DATA + "\n".join([mask, *scales, end]))
        named = [finding.check for finding in lint_file(tmp_path / "net.prototxt") if finding.severity == "error"]
        assert named == wanted and not aborts(tmp_path / "net.prototxt")


def test_more_params_than_blobs_are_named_of_each_layer_that_caffe_counts_blobs_of(tmp_path):
    for kind, most in (("LSTM", 3), ("RNN", 5)):
        for count, wanted in ((most, []), (most + 1, ["too-many-params"])):
            (tmp_path / "net.prototxt").write_text(recurrent(kind, count))
            named = [finding.check for finding in lint_file(tmp_path / "net.prototxt") if finding.severity == "error"]
            assert named == wanted and aborts(tmp_path / "net.prototxt") == bool(wanted)
