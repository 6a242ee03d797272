"""BatchNorm, Scale, ReLU and Eltwise share passes over the values; whoever looks sees what each layer makes alone."""

import caffe
import numpy as np
import pytest
from caffe_nets import make_net, write_solver

HEAD = """force_backward: true
layer {{ name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {{
  shape {{ dim: 5 dim: {0} dim: 9 dim: 7 }} shape {{ dim: 5 }}
  data_filler {{ type: "gaussian" mean: 0.3 std: 2 }} data_filler {{ type: "constant" value: 1 }} }} }}
"""
FED = """force_backward: true
layer { name: "data" type: "Input" top: "data" top: "label" input_param {
  shape { dim: 5 dim: 3 dim: 9 dim: 7 } shape { dim: 5 } } }
"""
CONV = """layer {{ name: "{0}" type: "Convolution" bottom: "{1}" top: "{0}" convolution_param {{
  num_output: {2} kernel_size: 3 pad: 1 bias_term: false weight_filler {{ type: "msra" }} }} }}
"""
FILLERS = 'filler { type: "uniform" min: -1 max: 1.5 } bias_filler { type: "uniform" min: -0.5 max: 0.5 }'
NORM = """layer {{ name: "{0}_norm" type: "BatchNorm" bottom: "{0}" top: "{0}" }}
"""
SCALE = f"""layer {{{{ name: "{{0}}_scale" type: "Scale" bottom: "{{0}}" top: "{{0}}"
  scale_param {{{{ bias_term: true {FILLERS.replace("{", "{{").replace("}", "}}")} }}}} }}}}
"""
RELU = """layer {{ name: "{0}_relu" type: "ReLU" bottom: "{0}" top: "{0}" }}
"""
TAIL = """layer { name: "loss_fc" type: "InnerProduct" bottom: "out" top: "fc"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""
SUM = """layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "c" top: "sum" }
layer { name: "sum_relu" type: "ReLU" bottom: "sum" top: "sum" }
"""
GLOBAL = 'top: "b" batch_norm_param { use_global_stats: true }'
SAVED = 'type: "BatchNorm" bottom: "b" top: "b"'


def block(channels=16):
    """A residual block: "a" to "b" to "c", each normalised and scaled, "b" rectified; the sum of "a" and "c"; "out"."""
    text = HEAD.format(3) + CONV.format("a", "data", channels) + NORM.format("a") + SCALE.format("a")
    for name, bottom in (("b", "a"), ("c", "b")):
        text += CONV.format(name, bottom, channels) + NORM.format(name) + SCALE.format(name)
        text += RELU.format(name) if name == "b" else ""
    return text + SUM + CONV.format("out", "sum", 8) + TAIL


def changed(old, new, text=None):
    text = text or block()
    assert old in text
    return text.replace(old, new)


def without_norms():
    """Convolutions right under ReLU and the sum."""
    text = block()
    for name in "abc":
        text = changed(NORM.format(name) + SCALE.format(name), "", text)
    return text


def shaped(name, bottom, *dims):
    shape = " ".join(f"dim: {dim}" for dim in dims)
    return (
        f'layer {{ name: "{name}" type: "Reshape" bottom: "{bottom}" top: "{name}" '
        f"reshape_param {{ shape {{ {shape} }} }} }}\n"
    )


B_SCALE, B_RELU, C_CONV = SCALE.format("b"), RELU.format("b"), CONV.format("c", "b", 16)


def norm_of_each(scale):
    """BatchNorm over each picture's own pixels, between two Reshapes, as instance normalisation is written in Caffe."""
    norm = shaped("g", "b", 1, 80, 9, 7) + NORM.format("g") + shaped("r", "g", 5, 16, 9, 7)
    return changed(
        NORM.format("b") + B_SCALE + B_RELU + C_CONV, norm + scale + RELU.format("r") + CONV.format("c", "r", 16)
    )


NETS = {
    "residual block": block(),
    "channels that are no blocks": block(12),
    "saved statistics": changed(SAVED, SAVED.replace('top: "b"', GLOBAL)),
    "no Scale": changed(B_SCALE, ""),
    "no BatchNorm": changed(NORM.format("b"), ""),
    "no ReLU": changed(B_RELU, ""),
    "no bias": changed("bias_term: true", ""),
    "leaky ReLU": changed('type: "ReLU"', 'type: "ReLU" relu_param { negative_slope: 0.2 }'),
    "two ReLUs": changed(B_RELU, B_RELU + B_RELU.replace("b_relu", "b_again")),
    "two Scales": changed(B_SCALE, B_SCALE + B_SCALE.replace("b_scale", "b_again")),
    "two BatchNorms": changed(B_SCALE, NORM.format("b").replace("b_norm", "b_again") + B_SCALE),
    "ReLU before BatchNorm": changed(NORM.format("b"), B_RELU.replace("b_relu", "b_first") + NORM.format("b")),
    "ReLU before Scale": changed(B_SCALE, B_RELU.replace("b_relu", "b_first") + B_SCALE),
    "Scale whose parameters stay": changed(
        B_SCALE, B_SCALE.replace("scale_param", "param { lr_mult: 0 } " * 2 + "scale_param")
    ),
    "Scale of a factor that stays": changed(
        B_SCALE, B_SCALE.replace("scale_param", "param { lr_mult: 0 } scale_param")
    ),
    "BatchNorm not in place": changed(
        NORM.format("b") + B_SCALE,
        NORM.format("b").replace('top: "b"', 'top: "n"')
        + B_SCALE.replace('bottom: "b"', 'bottom: "n"').replace('top: "b"', 'top: "n"')
        + 'layer { name: "power" type: "Power" bottom: "n" top: "r" }\n',
        changed(B_RELU + C_CONV, RELU.format("r") + CONV.format("c", "r", 16)),
    ),
    "Scale not in place": changed(
        B_SCALE + B_RELU + C_CONV,
        B_SCALE.replace('top: "b"', 'top: "r"') + RELU.format("r") + CONV.format("c", "r", 16),
    ),
    "ReLU not in place": changed(B_RELU + C_CONV, B_RELU.replace('top: "b"', 'top: "r"') + CONV.format("c", "r", 16)),
    "two readers between BatchNorm and Scale": changed(
        B_SCALE + B_RELU + C_CONV,
        B_SCALE.replace('top: "b"', 'top: "r"') + RELU.format("r") + CONV.format("c", "r", 16),
        changed(SUM, SUM.replace('bottom: "a"', 'bottom: "a" bottom: "b"')),
    ),
    "weighted sum": changed('top: "sum" }\n', 'top: "sum" eltwise_param { coeff: 0.5 coeff: -2 } }\n', block()).replace(
        'type: "ReLU" bottom: "sum" top: "sum" eltwise_param { coeff: 0.5 coeff: -2 }',
        'type: "ReLU" bottom: "sum" top: "sum"',
    ),
    "maximum": changed('top: "sum" }', 'top: "sum" eltwise_param { operation: MAX } }', block()).replace(
        'type: "ReLU" bottom: "sum" top: "sum" eltwise_param { operation: MAX }',
        'type: "ReLU" bottom: "sum" top: "sum"',
    ),
    "sum of rectified values": changed('bottom: "a" bottom: "c"', 'bottom: "b" bottom: "c"'),
    "no BatchNorm and no Scale": without_norms(),
    "normalised picture by picture": norm_of_each(SCALE.format("r")),
    "normalised picture by picture, no Scale": norm_of_each(""),
    "normalised picture by picture, in the sum": changed(
        NORM.format("c") + SCALE.format("c"),
        shaped("g", "c", 1, 80, 9, 7) + NORM.format("g") + shaped("r", "g", 5, 16, 9, 7),
        changed('bottom: "a" bottom: "c"', 'bottom: "a" bottom: "r"'),
    ),
    "ReLU before other planes": HEAD.format(3)
    + CONV.format("b", "data", 8)
    + RELU.format("b")
    + shaped("s", "b", 5, 24, 7, 3)
    + CONV.format("out", "s", 8)
    + TAIL,
    "sum in place": changed('bottom: "a" bottom: "c" top: "sum"', 'bottom: "c" bottom: "a" top: "c"')
    .replace('bottom: "sum" top: "sum"', 'bottom: "c" top: "c"')
    .replace('bottom: "sum"', 'bottom: "c"'),
    "stock ReLU between": changed(B_RELU, B_RELU.replace('type: "ReLU"', 'type: "ReLU" relu_param { engine: CAFFE }')),
}


def whole(net):
    net.forward()
    net.backward()


def twice(net):
    """The second pass meets what the first has kept and handed on."""
    whole(net)
    net.clear_param_diffs()
    whole(net)


def held(net):
    """Numpy holds all values, so that each layer has its own pass."""
    arrays = [(blob.data, blob.diff) for blob in net.blobs.values()]
    whole(net)
    assert arrays


def data_held(net):
    """Numpy holds the values, which are plain from then on, and no gradients."""
    arrays = [blob.data for blob in net.blobs.values()]
    whole(net)
    assert arrays


def looked_at(net):
    """Layer by layer, each top and bottom looked at."""
    names = list(net._layer_names)
    for name in names:
        net.forward(start=name, end=name)
        assert all(np.isfinite(net.blobs[top].data).all() for top in net.top_names[name])
    for name in reversed(names):
        net.backward(start=name, end=name)
        assert all(np.isfinite(net.blobs[bottom].diff).all() for bottom in net.bottom_names[name])


def found_by(folder, text, act=whole, phase=caffe.TRAIN):
    """Return all data, diffs and gradients of parameters after `act`."""
    caffe.set_random_seed(1)
    net = make_net(folder, text, phase)
    for name, blobs in net.params.items():
        if net.layers[list(net._layer_names).index(name)].type == "BatchNorm":
            for blob, value in zip(blobs, (0.4, 3, 2), strict=True):
                blob.data[...] = value
    extra = act(net) or {}
    found = {f"{name}.data": blob.data.copy() for name, blob in net.blobs.items()}
    found |= {f"{name}.diff": blob.diff.copy() for name, blob in net.blobs.items()}
    found |= {f"{name}[{i}]": blob.diff.copy() for name, blobs in net.params.items() for i, blob in enumerate(blobs)}
    return found | extra


def assert_close(found, wanted, tolerance=3e-5):
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert np.isfinite(values).all()
        scale = max(abs(values).max(), 1e-6)
        np.testing.assert_allclose(found[name] / scale, values / scale, atol=tolerance, err_msg=name)


@pytest.fixture
def stock(tmp_path, monkeypatch):
    """A function: what the stock layers find."""

    def find(*arguments):
        with monkeypatch.context() as context:
            context.setenv("MINDPICS_ENGINE", "caffe")
            return found_by(tmp_path, *arguments)

    return find


@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST], ids=["TRAIN", "TEST"])
@pytest.mark.parametrize("name", NETS)
def test_shared_passes_equal_stock_and_separate_ones(tmp_path, stock, name, phase):
    wanted = stock(NETS[name], whole, phase)
    for act in (whole, held, data_held, looked_at):
        assert_close(found_by(tmp_path, NETS[name], act, phase), wanted)


def test_the_gradient_of_a_factor_over_single_pictures_is_bvlcs_of_the_last_pass_alone(tmp_path, stock):
    """BVLC's Scale writes it where it adds elsewhere; iter_size counts on sums."""

    def again(net):
        whole(net)
        net.params["b_scale"][0].data[...] *= 2
        whole(net)

    text = changed("dim: 5", "dim: 1")
    assert_close(found_by(tmp_path, text, again), stock(text, again))


@pytest.mark.parametrize("name", ["residual block", "Scale not in place", "saved statistics"])
def test_a_second_pass_equals_stock(tmp_path, stock, name):
    assert_close(found_by(tmp_path, NETS[name], twice), stock(NETS[name], twice))


def layers():
    return [line.split('"')[1] for line in block().splitlines() if line.startswith("layer")]


@pytest.mark.parametrize("end", layers()[1:-1])
def test_passes_that_end_at_any_layer_equal_stock(tmp_path, stock, end):
    """What a blob has between layers in place is shown, and the next pass goes on from what was written there."""

    def act(net):
        names = list(net._layer_names)
        blob = net.blobs[net.top_names[end][0]]
        after = names[names.index(end) + 1]
        net.forward(end=end)
        shown = {"between.data": blob.data.copy()}
        blob.data[...] *= 0.9
        net.forward(start=after)
        net.backward(end=after)
        shown["between.diff"] = blob.diff.copy()
        blob.diff[...] *= 0.7
        net.backward(start=end)
        return shown

    assert_close(found_by(tmp_path, block(), act), stock(block(), act))


def test_values_are_of_the_parameters_that_the_pass_had(tmp_path, stock):
    def act(net):
        net.forward()
        for blobs in net.params.values():
            for blob in blobs:
                blob.data[...] *= 3
        return {f"{name} shown": blob.data.copy() for name, blob in net.blobs.items()}

    assert_close(found_by(tmp_path, block(), act), stock(block(), act))


def test_a_part_of_a_pass_may_be_run_on_what_another_left(tmp_path, stock):
    def act(net):
        whole(net)
        net.forward(end="b_norm")
        net.backward(start="a_scale")

    assert_close(found_by(tmp_path, block(), act), stock(block(), act))


def test_backward_may_be_called_again(tmp_path):
    """As with separate passes; stock's Scale in place has by then overwritten what it had kept."""

    def again(net):
        whole(net)
        net.backward()
        net.forward(end="b_norm")
        net.backward()

    def held_again(net):
        held(net)
        net.backward()
        net.forward(end="b_norm")
        net.backward()

    assert_close(found_by(tmp_path, block(), again), found_by(tmp_path, block(), held_again))


def test_pictures_may_become_more_and_fewer(tmp_path, stock):
    text = changed(HEAD.format(3), FED)

    def act(net):
        rng = np.random.default_rng(0)
        shown = {}
        for number in (5, 2, 7, 3):
            net.blobs["data"].reshape(number, 3, 9, 7)
            net.blobs["label"].reshape(number)
            net.blobs["data"].data[...] = rng.normal(0, 1, (number, 3, 9, 7))
            net.clear_param_diffs()
            net.reshape()
            whole(net)
            shown |= {f"{name} of {number}": blobs[0].diff.copy() for name, blobs in net.params.items()}
        return shown

    assert_close(found_by(tmp_path, text, act), stock(text, act))


def learned(folder, read=False, release=True, **fields):
    path = write_solver(folder, block(), base_lr=0.05, momentum=0.9, **fields)
    solver = caffe.SGDSolver(path)
    solver.net.release_diffs(release)
    for _ in range(4):
        solver.step(1)
        if read:
            assert all(np.isfinite(blob.data).all() for blob in solver.net.blobs.values())
    return {f"{name}[{i}]": b.data.copy() for name, blobs in solver.net.params.items() for i, b in enumerate(blobs)}


@pytest.mark.parametrize("fields", [{}, {"iter_size": 2}, {"debug_info": True}], ids=str)
def test_training_equals_stock_and_is_the_same_bits_again(tmp_path, monkeypatch, fields):
    found = learned(tmp_path, **fields)
    for name, values in learned(tmp_path, **fields).items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert_close(learned(tmp_path, read=True, **fields), found, 1e-3)
    monkeypatch.setenv("MINDPICS_ENGINE", "caffe")
    assert_close(found, learned(tmp_path, **fields), 1e-3)
