"""Each layer type as ONNX against Caffe, by itself, at sizes and paddings where Caffe's rounding shows."""

import caffe
import numpy as np
import onnxruntime
import pytest
from caffe_nets import make_net

from mindpics.onnx.graph import parameter_of, to_onnx
from mindpics.onnx.layers import WRITTEN

BATCH, OTHER_BATCH = 2, 3
PICTURE = (4, 7, 10)

CASES = {
    "BatchNorm": ["", "batch_norm_param { eps: 0.01 }"],
    "Convolution": [
        "convolution_param { num_output: 6 kernel_size: 3 }",
        "convolution_param { num_output: 6 kernel_size: 3 pad: 2 stride: 2 bias_term: false }",
        "convolution_param { num_output: 6 kernel_size: 3 group: 2 dilation: 2 pad: 3 }",
        "convolution_param { num_output: 4 kernel_h: 2 kernel_w: 5 stride_h: 3 stride_w: 1 pad_w: 3 group: 4 }",
        "convolution_param { num_output: 6 kernel_size: [1, 4] stride: [2, 3] pad: [1, 2] dilation: [1, 2] }",
        "convolution_param { num_output: 6 kernel_size: 3 axis: -3 }",
    ],
    "Dropout": ["dropout_param { dropout_ratio: 0.7 }"],
    "Flatten": ["", "flatten_param { axis: 2 }", "flatten_param { axis: 1 end_axis: -2 }"],
    "InnerProduct": [
        "inner_product_param { num_output: 5 }",
        "inner_product_param { num_output: 5 bias_term: false transpose: true }",
        "inner_product_param { num_output: 5 axis: -1 }",
        "inner_product_param { num_output: 5 axis: 2 transpose: true }",
    ],
    "LRN": ["", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.6 k: 2 }", "lrn_param { local_size: 9 alpha: 1e-4 }"],
    "Pooling": [
        f"pooling_param {{ pool: {pool} {size} }}"
        for pool in ("MAX", "AVE")
        for size in (
            "kernel_size: 3 stride: 2",  # 10 wide: the fifth window is cut
            "kernel_size: 2 stride: 2",
            "kernel_size: 3 stride: 2 pad: 1",
            "kernel_size: 3 stride: 3 pad: 2",
            "kernel_size: 2 stride: 3 pad: 1",  # the window in the padding is clipped
            "kernel_size: 5 stride: 4 pad: 4",
            "kernel_size: 3 stride: 2 round_mode: FLOOR",
            "kernel_size: 3 stride: 2 pad: 1 round_mode: FLOOR",
            "kernel_h: 2 kernel_w: 3 stride_h: 3 stride_w: 2 pad_h: 1 pad_w: 0",
            "kernel_h: 7 kernel_w: 2 stride_h: 1 stride_w: 5",  # a window begins where the picture ends: AVE has 0 / 0
            "kernel_size: 1 stride: 4",  # windows that begin beyond the picture
            "global_pooling: true",
        )
    ],
    "ReLU": ["", "relu_param { negative_slope: 0.1 }"],
    "Reshape": [
        "reshape_param { shape { dim: 0 dim: -1 } }",
        "reshape_param { shape { dim: 14 dim: -1 } axis: 2 }",
        "reshape_param { shape { dim: 2 dim: 2 } axis: 1 num_axes: 1 }",
        "reshape_param { shape { dim: 1 } axis: -1 num_axes: 0 }",
    ],
    "Scale": [
        "scale_param { bias_term: true }",
        "scale_param { }",
        "scale_param { axis: 2 bias_term: true }",
        "scale_param { axis: 1 num_axes: -1 bias_term: true }",
        "scale_param { num_axes: 0 bias_term: true }",
    ],
    "Sigmoid": [""],
    "Softmax": ["", "softmax_param { axis: -1 }"],
    "TanH": [""],
}
TWO_BOTTOMS = {
    "Concat": ["", "concat_param { axis: -1 }", "concat_param { concat_dim: 2 }"],
    "Eltwise": [
        "",
        "eltwise_param { operation: PROD }",
        "eltwise_param { operation: MAX }",
        "eltwise_param { coeff: 0.5 coeff: -2 }",
    ],
}


def layer(kind, params, bottoms='bottom: "data"', top="top", name="it"):
    return f'layer {{ name: "{name}" type: "{kind}" {bottoms} top: "{top}" {params} }}\n'


def net_of(folder, text, pictures=1, shape=PICTURE):
    """A net of `text` behind its inputs data, data2 ..; its weights are random."""
    names = ["data", *(f"data{number}" for number in range(2, pictures + 1))]
    dims = " ".join(f"dim: {dim}" for dim in (BATCH, *shape))
    inputs = "".join(
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ {dims} }} }} }}\n'
        for name in names
    )
    net, rng = make_net(folder, inputs + text), np.random.default_rng(1)
    for kind, blobs in zip([layer.type for layer in net.layers], [layer.blobs for layer in net.layers], strict=True):
        for blob in blobs:
            positive = kind == "BatchNorm"  # a sum of variances, a count
            blob.data[...] = rng.uniform(0.5, 3, blob.data.shape) if positive else rng.normal(size=blob.data.shape)
    return net


def assert_same(net):
    """Compare at Caffe's batch and at another one; the largest difference is of the order of a rounding."""
    model = to_onnx(net, "net.prototxt")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    for batch in (BATCH, OTHER_BATCH):
        rng = np.random.default_rng(batch)
        inputs = {
            name: rng.normal(0, 2, (batch, *net.blobs[name].data.shape[1:])).astype(np.float32) for name in net.inputs
        }
        for name, values in inputs.items():
            net.blobs[name].reshape(*values.shape)
            net.blobs[name].data[...] = values
        wanted = net.forward()
        assert sorted(names) == sorted(wanted)
        for name, ours in zip(names, session.run(names, inputs), strict=True):
            np.testing.assert_allclose(ours, wanted[name], rtol=1e-5, atol=1e-5)
            assert np.nanmax(wanted[name]) > np.nanmin(wanted[name]), "the same everywhere: nothing was compared"


@pytest.mark.parametrize(("kind", "params"), [(kind, params) for kind in CASES for params in CASES[kind]])
def test_a_layer_computes_what_caffes_does(tmp_path, kind, params):
    assert_same(net_of(tmp_path, layer(kind, params)))


@pytest.mark.parametrize(("kind", "params"), [(kind, params) for kind in TWO_BOTTOMS for params in TWO_BOTTOMS[kind]])
def test_a_layer_of_several_bottoms_computes_what_caffes_does(tmp_path, kind, params):
    bottoms = 'bottom: "data" bottom: "data2"'
    assert_same(net_of(tmp_path, layer(kind, params, bottoms), pictures=2))
    if "coeff" not in params:
        assert_same(net_of(tmp_path, layer(kind, params, bottoms + ' bottom: "data3"'), pictures=3))


def test_a_scale_by_a_second_bottom(tmp_path):
    """As squeeze-and-excitation nets do: one factor a channel, computed from the picture."""
    gate = layer("Pooling", "pooling_param { pool: AVE global_pooling: true }", top="mean", name="mean")
    gate += layer("Flatten", "", 'bottom: "mean"', top="factor", name="flat")
    both = 'bottom: "data" bottom: "factor"'
    assert_same(net_of(tmp_path, gate + layer("Scale", "scale_param { axis: 0 bias_term: false }", both)))


def test_every_pooling_of_every_size(tmp_path):
    """All kernels, strides and paddings up to 4 on all sides from 4 to 7, as BVLC's arithmetic has them."""
    text, number = "", 0
    for kernel in range(1, 5):
        for stride in range(1, 5):
            for pad in range(kernel):
                for pool in ("MAX", "AVE"):
                    size = f"kernel_size: {kernel} stride: {stride} pad: {pad}"
                    names = {"top": f"top{number}", "name": f"pool{number}"}
                    text += layer("Pooling", f"pooling_param {{ pool: {pool} {size} }}", **names)
                    number += 1
    for side in range(4, 8):
        net = net_of(tmp_path, text, shape=(1, side, side + 4))
        session = onnxruntime.InferenceSession(to_onnx(net, "net.prototxt").SerializeToString())
        pictures = np.random.default_rng(side).normal(size=net.blobs["data"].data.shape).astype(np.float32)
        net.blobs["data"].data[...] = pictures
        wanted = net.forward()
        for output in session.get_outputs():
            (ours,) = session.run([output.name], {"data": pictures})
            np.testing.assert_allclose(ours, wanted[output.name], rtol=1e-6, atol=1e-6, err_msg=output.name)


def test_a_convolution_of_two_pictures_shares_its_weights(tmp_path):
    bottoms = 'bottom: "data" bottom: "data2" top: "first"'
    params = "convolution_param { num_output: 3 kernel_size: 2 }"
    assert_same(net_of(tmp_path, layer("Convolution", params, bottoms), pictures=2))


def test_layers_in_place_and_blobs_with_several_readers(tmp_path):
    """The blob `a` is read before and after a ReLU in place, as fc6 is; its last state has the blob's name."""
    text = layer("Convolution", "convolution_param { num_output: 4 kernel_size: 1 }", top="a", name="conv")
    text += layer("ReLU", "relu_param { negative_slope: 0.5 }", 'bottom: "a"', top="a", name="relu")
    text += layer("Dropout", "", 'bottom: "a"', top="a", name="drop")
    text += layer("Sigmoid", "", 'bottom: "a"', top="b", name="sigmoid")
    text += layer("Eltwise", "", 'bottom: "a" bottom: "b" bottom: "data"', top="sum", name="sum")
    text += 'layer { name: "split" type: "Split" bottom: "sum" top: "sum1" top: "sum2" }\n'
    net = net_of(tmp_path, text)
    assert_same(net)
    model = to_onnx(net, "net.prototxt")
    assert [output.name for output in model.graph.output] == list(net.outputs) == ["sum1", "sum2"]
    assert [(node.op_type, node.output[0]) for node in model.graph.node] == [
        ("Conv", "conv:Conv"),
        ("LeakyRelu", "relu:LeakyRelu"),
        ("Identity", "a"),
        ("Sigmoid", "b"),
        ("Sum", "sum"),
        ("Identity", "sum1"),
        ("Identity", "sum2"),
    ]


def test_an_input_that_is_changed_in_place(tmp_path):
    text = layer("ReLU", "", top="data", name="relu") + layer("TanH", "")
    assert_same(net_of(tmp_path, text))


def test_statistics_that_were_never_gathered_are_zero(tmp_path):
    net = net_of(tmp_path, layer("BatchNorm", ""))
    net.params["it"][2].data[...] = 0
    assert_same(net)


@pytest.mark.parametrize(
    ("kind", "params", "message"),
    [
        ("Power", "", "found type Power; wanted one of Input, BatchNorm, Concat"),
        ("LRN", "lrn_param { norm_region: WITHIN_CHANNEL }", "found norm_region: WITHIN_CHANNEL; wanted ACROSS"),
        ("Pooling", 'pooling_param { kernel_size: 2 } top: "mask"', "found 2 tops; wanted one: the mask of MAX"),
        ("Pooling", "pooling_param { kernel_size: 2 pool: STOCHASTIC }", "found pool: STOCHASTIC; wanted MAX or AVE"),
        ("BatchNorm", "batch_norm_param { use_global_stats: false }", "found use_global_stats: false; wanted true"),
        ("Convolution", "convolution_param { num_output: 2 kernel_size: 1 axis: 2 }", "found axis 2; wanted 1"),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path, kind, params, message):
    with pytest.raises(ValueError, match=f"net.prototxt: layer it: {message}"):
        to_onnx(net_of(tmp_path, layer(kind, params)), "net.prototxt")


def test_a_net_without_a_layer_has_nothing_to_write(tmp_path):
    with pytest.raises(ValueError, match=r"found inputs \['data'\] and outputs \[\]; wanted some of each"):
        to_onnx(net_of(tmp_path, ""), "net.prototxt")


def test_every_type_that_is_written_is_tested():
    assert set(WRITTEN) == {"Input", "Split", *CASES, *TWO_BOTTOMS}
    assert set(WRITTEN) <= set(caffe.layer_type_list())


def test_a_net_of_2014_is_written_as_caffe_upgrades_it(tmp_path):
    text = 'input: "data" input_dim: 2 input_dim: 3 input_dim: 9 input_dim: 9 '
    text += 'layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv" '
    text += 'convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "xavier" } } } '
    text += 'layers { name: "relu" type: RELU bottom: "conv" top: "conv" } '
    text += 'layers { name: "pool" type: POOLING bottom: "conv" top: "pool" pooling_param { kernel_size: 2 stride: 2}}'
    assert_same(make_net(tmp_path, text))


def test_layers_come_in_todays_form_with_splits(tmp_path):
    text = layer("TanH", "", top="a", name="a") + layer("Eltwise", "", 'bottom: "a" bottom: "data"')
    found = [(layer.name, layer.type) for layer in parameter_of(net_of(tmp_path, text)).layer]
    assert found == [("data", "Input"), ("data_data_0_split", "Split"), ("a", "TanH"), ("it", "Eltwise")]
