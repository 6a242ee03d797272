"""tools/caffe/fast: each layer equals the stock one, has the right gradient, and keeps what Caffe promises."""

import os
import subprocess
import sys
from collections import Counter

import caffe
import numpy as np
import pytest
from caffe_nets import make_net, write_solver

INPUT = 'input: "data" input_shape {{ dim: {} dim: {} dim: {} dim: {} }} force_backward: true\n'
MIX = """layer {{ name: "{0}" type: "Convolution" bottom: "{1}" top: "{2}"
  convolution_param {{ num_output: {3} kernel_size: 1 weight_filler {{ type: "msra" }} }} }}
"""


@pytest.fixture
def both(tmp_path, monkeypatch):
    """A function of a prototxt that returns its net by stock layers and by fast ones, with equal weights."""

    def make(text, phase=caffe.TEST):
        monkeypatch.setenv("MINDPICS_ENGINE", "caffe")
        stock = make_net(tmp_path, text, phase)
        monkeypatch.setenv("MINDPICS_ENGINE", "fast")
        fast = make_net(tmp_path, text, phase)
        rng = np.random.default_rng(1)
        for name, blobs in stock.params.items():
            for blob, other in zip(blobs, fast.params[name], strict=True):
                fan_in = blob.count / len(blob.data) if blob.data.ndim else 2
                values = rng.normal(0, 1, blob.data.shape) * np.sqrt(2 / fan_in)
                blob.data[...] = other.data[...] = abs(values) + 0.1 if "norm" in name else values
        assert {layer.engine for layer in stock.layers} == {"caffe"}
        return stock, fast

    return make


def run(net, x, slopes, last="out"):
    net.blobs["data"].data[...] = x
    net.forward()
    for blobs in net.params.values():
        for blob in blobs:
            blob.diff[...] = 0.5  # gradients of parameters are added to what is there
    net.blobs[last].diff[...] = slopes
    net.backward()
    found = {f"{name}.data": blob.data.copy() for name, blob in net.blobs.items()}
    found |= {f"{name}.diff": blob.diff.copy() for name, blob in net.blobs.items() if "_split_" not in name}
    for name, blobs in net.params.items():
        found |= {f"{name}[{i}]": np.stack([blob.data, blob.diff]) for i, blob in enumerate(blobs)}
    return found


def assert_equal(stock, fast, x=None, tolerance=2e-5):
    rng = np.random.default_rng(2)
    shape = stock.blobs["data"].data.shape
    x = rng.normal(0, 1, shape) if x is None else x
    slopes = rng.normal(0, 1, stock.blobs["out"].data.shape)
    wanted, found = run(stock, x, slopes), run(fast, x, slopes)
    for name, values in wanted.items():
        scale = max(1, abs(values).max())
        np.testing.assert_allclose(found[name] / scale, values / scale, atol=tolerance, err_msg=name)


def between(middle, channels, size=(3, 16, 9, 7)):
    """The layer `middle` ("a" to "b"), with convolutions around it that hand over blocks of channels if they can."""
    return (
        INPUT.format(*size) + MIX.format("before", "data", "a", channels) + middle + MIX.format("after", "b", "out", 8)
    )


def convolution(rng):
    """Return a convolution's fields and the shape of its bottom, at random."""
    group = int(rng.choice([1, 1, 2, 3]))
    kernel, stride, pad, dilation = (rng.integers(low, high, 2) for low, high in ((1, 5), (1, 4), (0, 3), (1, 3)))
    size = np.maximum(dilation * (kernel - 1) + 1 - 2 * pad, 1) + rng.integers(0, 9, 2)
    inputs, outputs = group * int(rng.choice([1, 3, 8, 12, 16])), group * int(rng.choice([1, 2, 8, 16]))
    return (
        inputs,
        size,
        (
            f"num_output: {outputs} group: {group} kernel_h: {kernel[0]} kernel_w: {kernel[1]} stride_h: {stride[0]} "
            f"stride_w: {stride[1]} pad_h: {pad[0]} pad_w: {pad[1]} dilation: {dilation[0]} dilation: {dilation[1]} "
            f"bias_term: {str(rng.random() < 0.7).lower()} weight_filler {{ type: 'msra' }}"
        ),
    )


@pytest.mark.parametrize("seed", range(24))
def test_convolution_equals_stock(both, seed):
    rng = np.random.default_rng(seed)
    inputs, size, fields = convolution(rng)
    middle = f'layer {{ name: "conv" type: "Convolution" bottom: "a" top: "b" convolution_param {{ {fields} }} }}'
    assert_equal(*both(between(middle, inputs, (2, 3, *size))))


# For which oneDNN has blocks of channels in some of the three passes only, and plain loops in the others.
NARROW = {
    "picture": (3, 16, "kernel_size: 11 stride: 4"),
    "groups of 3": (6, 16, "kernel_size: 5 pad: 2 group: 2"),
    "groups to 3": (16, 6, "kernel_size: 3 pad: 1 group: 2"),
    "groups of 1": (8, 16, "kernel_size: 3 group: 8"),
    "to 3": (8, 3, "kernel_size: 3 stride: 2"),
}


def narrow(inputs, outputs, fields):
    return INPUT.format(2, inputs, 27, 23) + (
        'layer { name: "conv" type: "Convolution" bottom: "data" top: "out" convolution_param { '
        f"num_output: {outputs} {fields} weight_filler {{ type: 'msra' }} }} }}"
    )


@pytest.mark.parametrize("shape", NARROW)
def test_convolution_of_few_channels_equals_stock(both, shape):
    assert_equal(*both(narrow(*NARROW[shape])))


def test_no_pass_of_a_convolution_runs_plain_loops(tmp_path):
    """They take 100 times as long and more. oneDNN says itself what it ran."""
    for number, shape in enumerate(NARROW.values()):
        (tmp_path / f"{number}.prototxt").write_text(narrow(*shape))
    done = python(
        tmp_path,
        f"""
import caffe
for number in range({len(NARROW)}):
    net = caffe.Net(path.replace("net", str(number)), caffe.TEST)
    assert net.layers[1].engine == "fast"
    net.forward()
    net.backward()
""",
        ONEDNN_VERBOSE="1",
    )
    assert done.returncode == 0, done.stderr
    ran = [line.split(",") for line in done.stdout.splitlines() if ",exec,cpu,convolution," in line]
    assert Counter(line[5].split("_", 1)[0] for line in ran) == {"forward": len(NARROW), "backward": 2 * len(NARROW)}
    assert not [line for line in ran if "ref" in line[4]]


@pytest.mark.parametrize("shape", ["dim: 2 dim: 3 dim: 12", "dim: 2 dim: 3 dim: 4 dim: 5 dim: 6"])
def test_convolution_of_other_than_pictures_is_left_to_stock(both, shape):
    assert_equal(
        *both(f"""input: "data" input_shape {{ {shape} }} force_backward: true
        layer {{ name: "conv" type: "Convolution" bottom: "data" top: "out"
          convolution_param {{ num_output: 8 kernel_size: 3 }} }}""")
    )


LAYERS = {
    "max": 'type: "Pooling" pooling_param { kernel_size: 3 stride: 2 }',
    "max pad": 'type: "Pooling" pooling_param { kernel_h: 3 kernel_w: 2 stride: 2 pad: 1 }',
    "max floor": 'type: "Pooling" pooling_param { kernel_size: 2 stride: 3 round_mode: FLOOR }',
    "ave": 'type: "Pooling" pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }',
    "global": 'type: "Pooling" pooling_param { pool: AVE global_pooling: true }',
    "global max": 'type: "Pooling" pooling_param { global_pooling: true }',
    "lrn": 'type: "LRN" lrn_param { local_size: 5 alpha: 0.3 beta: 0.75 }',
    "lrn wide": 'type: "LRN" lrn_param { local_size: 9 alpha: 1 beta: 0.6 k: 2 }',
    "lrn within": 'type: "LRN" lrn_param { local_size: 3 alpha: 1 norm_region: WITHIN_CHANNEL }',
    "relu": 'type: "ReLU"',
    "leaky": 'type: "ReLU" relu_param { negative_slope: 0.3 }',
    "norm": 'type: "BatchNorm"',
    "norm of the batch": 'type: "BatchNorm" batch_norm_param { use_global_stats: false }',
    "scale": 'type: "Scale" scale_param { bias_term: true }',
    "scale of all": 'type: "Scale" scale_param { num_axes: 0 }',
    "sum": 'type: "Eltwise" bottom: "a" eltwise_param { coeff: 0.5 coeff: -2 }',
    "product": 'type: "Eltwise" bottom: "a" eltwise_param { operation: PROD }',
    "dropout": 'type: "Dropout"',
}
DRAWN = {"dropout"}  # anew by each forward pass; in training its masks are compared with stock's


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("channels", [16, 5], ids=["blocks", "plain"])
@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST], ids=["train", "test"])
def test_layer_equals_stock(both, layer, channels, phase):
    middle = f'layer {{ name: "{layer}" bottom: "a" top: "b" {LAYERS[layer]} }}\n'
    assert_equal(*both(between(middle, channels), caffe.TEST if layer in DRAWN else phase))


@pytest.mark.parametrize("channels", [16, 5], ids=["blocks", "plain"])
@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST], ids=["train", "test"])
def test_chain_in_place_and_residual_sum_equal_stock(both, channels, phase):
    chain = "".join(
        f'layer {{ name: "{i} {n}" bottom: "{b}" top: "b" {LAYERS[n]} }}\n'
        for i, (n, b) in enumerate([("norm", "a"), ("scale", "b"), ("leaky", "b")])
    )
    chain = chain.replace('top: "b"', 'top: "c"').replace('bottom: "b"', 'bottom: "c"')
    chain = chain.replace('type: "BatchNorm"', 'type: "BatchNorm" batch_norm_param { moving_average_fraction: 0.9 }')
    shortcut = (
        MIX.format("shortcut", "c", "d", channels) + 'layer { name: "sum" type: "Eltwise" bottom: "c" '
        'bottom: "d" top: "b" }\nlayer { name: "relu" type: "ReLU" bottom: "b" top: "b" }\n'
    )
    assert_equal(*both(between(chain + shortcut, channels), phase), tolerance=5e-5)


@pytest.mark.parametrize("transpose", ["false", "true"])
def test_inner_product_equals_stock(both, transpose):
    middle = f"""layer {{ name: "ip" type: "InnerProduct" bottom: "a" top: "ip" inner_product_param {{
        num_output: 70 transpose: {transpose} weight_filler {{ type: "xavier" }} }} }}
        layer {{ name: "out" type: "InnerProduct" bottom: "ip" top: "out" inner_product_param {{
        num_output: 3 bias_term: false weight_filler {{ type: "xavier" }} }} }}"""
    assert_equal(*both(INPUT.format(3, 16, 9, 7) + MIX.format("before", "data", "a", 16) + middle))


@pytest.mark.parametrize("layer", sorted(set(LAYERS) - DRAWN))
@pytest.mark.parametrize("channels", [16, 5], ids=["blocks", "plain"])
def test_gradient(both, layer, channels):
    """Along a random direction, the loss changes as the gradient says."""
    middle = f'layer {{ name: "{layer}" bottom: "a" top: "b" {LAYERS[layer]} }}\n'
    _, net = both(between(middle, channels, (2, 6, 7, 5)))
    check_gradient(net)


@pytest.mark.parametrize("seed", range(6))
def test_gradient_of_convolution(both, seed):
    inputs, size, fields = convolution(np.random.default_rng(100 + seed))
    middle = f'layer {{ name: "conv" type: "Convolution" bottom: "a" top: "b" convolution_param {{ {fields} }} }}'
    check_gradient(both(between(middle, inputs, (2, 3, *size)))[1])


def check_gradient(net):
    rng = np.random.default_rng(3)
    blob = net.blobs["data"]
    x, direction = rng.normal(0, 1, (2, *blob.data.shape))
    slopes = rng.normal(0, 1, net.blobs["out"].data.shape)
    gradient = run(net, x, slopes)["data.diff"]

    def loss(at):
        blob.data[...] = at
        return float((net.forward()["out"].astype(float) * slopes).sum())

    step = 3e-4
    change = (loss(x + step * direction) - loss(x - step * direction)) / (2 * step)
    kinks = 0.05 * float(np.abs(gradient).max())  # a maximum or a ReLU may change sides within the step
    assert change == pytest.approx(float((gradient * direction).sum()), rel=0.03, abs=kinks)


def test_batch_size_may_change_between_calls(both):
    stock, fast = both(between(f'layer {{ name: "p" bottom: "a" top: "b" {LAYERS["max"]} }}', 16))
    for pictures, size in ((3, 9), (5, 9), (2, 9), (2, 12), (3, 9)):
        for net in (stock, fast):
            net.blobs["data"].reshape(pictures, 16, size, 7)
            net.reshape()
        assert_equal(stock, fast)


def test_weights_changed_from_python_are_seen(both):
    stock, fast = both(between(f'layer {{ name: "r" bottom: "a" top: "b" {LAYERS["relu"]} }}', 16))
    for factor in (1, -3):
        for net in (stock, fast):
            net.params["before"][0].data[...] *= factor
        assert_equal(stock, fast)


def test_arrays_of_a_blob_follow_it(both):
    """numpy's view of a blob shows each forward pass, and what is written there is what the next layer reads."""
    stock, fast = both(between(f'layer {{ name: "r" bottom: "a" top: "b" {LAYERS["relu"]} }}', 16))
    views = [net.blobs["b"].data for net in (stock, fast)]
    for seed in range(2):
        for net in (stock, fast):
            net.blobs["data"].data[...] = np.random.default_rng(seed).normal(size=net.blobs["data"].data.shape)
            net.forward()
        np.testing.assert_allclose(*views, atol=1e-5)
    for net, view in zip((stock, fast), views, strict=True):
        view[...] = np.arange(view.size).reshape(view.shape) / view.size
        net.forward(start="after")
    np.testing.assert_allclose(stock.blobs["out"].data, fast.blobs["out"].data, atol=1e-5)


def test_propagate_down_false_is_honoured(both):
    middle = (
        'layer { name: "conv" type: "Convolution" bottom: "a" top: "b" propagate_down: false '
        'convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "msra" } } }'
    )
    text = between(middle, 16).replace("force_backward: true", "")
    _, fast = both(text + 'layer { name: "l" type: "EuclideanLoss" bottom: "out" bottom: "out" top: "l" }')
    fast.forward()
    fast.backward()
    assert not fast.blobs["a"].diff.any() and not fast.params["before"][0].diff.any()


TRAINED = """
layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 6 dim: 3 dim: 20 dim: 20 } shape { dim: 6 }
  data_filler { type: "gaussian" } data_filler { type: "constant" value: 1 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" param { name: "w" }
  convolution_param { num_output: 16 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "norm" type: "BatchNorm" bottom: "conv1" top: "conv1" }
layer { name: "relu" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "lrn" type: "LRN" bottom: "conv1" top: "lrn" }
layer { name: "pool" type: "Pooling" bottom: "lrn" top: "pool" pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool" top: "conv2"
  convolution_param { num_output: 16 group: 2 kernel_size: 3 pad: 1 weight_filler { type: "msra" } } }
layer { name: "sum" type: "Eltwise" bottom: "pool" bottom: "conv2" top: "sum" }
layer { name: "fc" type: "InnerProduct" bottom: "sum" top: "fc"
  inner_product_param { num_output: 32 weight_filler { type: "xavier" } } }
layer { name: "drop" type: "Dropout" bottom: "fc" top: "fc" }
layer { name: "score" type: "InnerProduct" bottom: "fc" top: "score"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
"""


def train(folder, iterations=6):
    solver = caffe.SGDSolver(write_solver(folder, TRAINED, base_lr=0.01, momentum=0.9, weight_decay=0.01, iter_size=2))
    solver.step(iterations)
    parameters = [(f"{name}[{i}]", blob) for name, blobs in solver.net.params.items() for i, blob in enumerate(blobs)]
    return {name: blob.data.copy() for name, blob in parameters}


def test_training_draws_and_learns_as_stock_does(tmp_path, monkeypatch):
    """Pictures, dropout masks, sums over iter_size: a difference in one of them would grow far beyond rounding."""
    monkeypatch.setenv("MINDPICS_ENGINE", "caffe")
    wanted = train(tmp_path)
    monkeypatch.setenv("MINDPICS_ENGINE", "fast")
    found = train(tmp_path)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, atol=2e-4 * max(1, abs(values).max()), err_msg=name)


def test_the_same_seed_gives_the_same_bits(tmp_path):
    first, again = train(tmp_path), train(tmp_path)
    for name, values in first.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)


def test_engine_of_the_prototxt_wins(tmp_path):
    net = make_net(
        tmp_path,
        INPUT.format(1, 3, 8, 8)
        + "".join(
            f'layer {{ name: "{i}" bottom: "data" top: "{i}" {layer} }}\n'
            for i, layer in enumerate(
                [
                    'type: "Convolution" convolution_param { num_output: 8 kernel_size: 3 engine: CAFFE }',
                    'type: "Convolution" convolution_param { num_output: 8 kernel_size: 3 }',
                    'type: "Pooling" pooling_param { kernel_size: 2 engine: CAFFE }',
                    'type: "LRN" lrn_param { engine: CAFFE }',
                    'type: "ReLU" relu_param { engine: CAFFE }',
                    'type: "ReLU"',
                ]
            )
        ),
    )
    engines = {name: layer.engine for name, layer in zip(net._layer_names, net.layers, strict=True)}
    assert [engines[str(i)] for i in range(6)] == ["caffe", "fast", "caffe", "caffe", "caffe", "fast"]


def python(tmp_path, script, **environment):
    (tmp_path / "net.prototxt").write_text(between(f'layer {{ name: "r" bottom: "a" top: "b" {LAYERS["relu"]} }}', 16))
    clean = {name: value for name, value in os.environ.items() if "THREADS" not in name}
    return subprocess.run(
        [sys.executable, "-c", f"path = {str(tmp_path / 'net.prototxt')!r}\n{script}"],
        capture_output=True,
        text=True,
        timeout=60,
        env=clean | environment,
    )


CUDNN = {
    "Convolution": "convolution_param { num_output: 2 kernel_size: 1 engine: CUDNN }",
    "Pooling": "pooling_param { kernel_size: 2 engine: CUDNN }",
    "LRN": "lrn_param { engine: CUDNN }",
    "ReLU": "relu_param { engine: CUDNN }",
    "Sigmoid": "sigmoid_param { engine: CUDNN }",
    "TanH": "tanh_param { engine: CUDNN }",
    "Softmax": "softmax_param { engine: CUDNN }",
}


@pytest.mark.parametrize(
    ("engine", "fast"), [("fast", ["Convolution", "LRN", "Pooling", "ReLU", "Split"]), ("caffe", [])]
)
def test_cudnn_on_a_cpu_is_taken_for_the_default(tmp_path, engine, fast):
    (tmp_path / "cudnn.prototxt").write_text(
        INPUT.format(1, 3, 8, 8)
        + "".join(
            f'layer {{ name: "{kind}" type: "{kind}" bottom: "data" top: "{kind}" {field} }}\n'
            for kind, field in CUDNN.items()
        )
    )
    done = python(
        tmp_path,
        """
import caffe
net = caffe.Net(path.replace("net.", "cudnn."), caffe.TEST)
net.forward()
print(*sorted(layer.type for layer in net.layers if layer.engine == "fast"))
""",
        MINDPICS_ENGINE=engine,
        GLOG_minloglevel="0",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == fast
    for kind in CUDNN:
        assert done.stderr.count(f"Layer {kind}: engine: CUDNN is taken for the default") == 1


def test_unknown_engine_is_named(tmp_path):
    done = python(tmp_path, "import caffe; caffe.Net(path, caffe.TEST)", MINDPICS_ENGINE="quick")
    assert done.returncode and 'MINDPICS_ENGINE is "quick"; wanted: fast or caffe' in done.stderr


def test_a_forked_child_computes(tmp_path):
    """Threads do not survive a fork: a child that waited for its parent's would wait for ever."""
    done = python(
        tmp_path,
        """
import multiprocessing, caffe
net = caffe.Net(path, caffe.TEST)
net.blobs["data"].reshape(40, 16, 30, 30)
def forward(_):
    return float(net.forward()["out"].sum())
net.blobs["data"].data[...] = 1
first = forward(0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(forward, range(2)) == [first, first]
assert forward(0) == first
""",
        OMP_NUM_THREADS="2",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("variable", "threads"), [("OMP_NUM_THREADS", 3), ("OPENBLAS_NUM_THREADS", 1)])
def test_thread_variables_are_honoured(tmp_path, variable, threads):
    done = python(
        tmp_path,
        """
import os, caffe
net = caffe.Net(path, caffe.TEST)
net.blobs["data"].reshape(40, 16, 30, 30)
before = len(os.listdir("/proc/self/task"))
net.forward()
print(len(os.listdir("/proc/self/task")) - before + 1)
""",
        **{variable: str(threads)},
    )
    assert done.stdout.split()[-1] == str(threads), done.stderr
