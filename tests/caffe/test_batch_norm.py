"""BatchNorm's running statistics are out of the solver's reach, as in BVLC Caffe 1.0."""

import caffe
import numpy as np
import pytest
from caffe_nets import make_net, write_solver

NET = """
layer {{ name: "data" type: "DummyData" top: "data" dummy_data_param {{
  shape {{ dim: 4 dim: 3 dim: 5 dim: 5 }} data_filler {{ type: "gaussian" mean: 7 std: 2 }} }} }}
layer {{ name: "bn" type: "BatchNorm" bottom: "data" top: "bn" {} }}
layer {{ name: "fc" type: "InnerProduct" bottom: "bn" top: "fc"
  inner_product_param {{ num_output: 1 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "EuclideanLoss" bottom: "fc" bottom: "fc" top: "loss" }}
"""


@pytest.mark.parametrize("params", ["", "param { lr_mult: 0 } " * 3, "param { } " * 3, "param { lr_mult: 0 }"])
def test_solver_leaves_the_statistics_alone(tmp_path, params):
    path = write_solver(tmp_path, NET.format(params), momentum=0.9, weight_decay=0.1, base_lr=0.01)
    solver = caffe.SGDSolver(path)
    solver.step(200)
    mean, variance, factor = (blob.data for blob in solver.net.params["bn"])
    assert factor[0] == pytest.approx(sum(0.999**i for i in range(200)), rel=1e-4)  # 181.4; unmended 82
    np.testing.assert_allclose(mean / factor, 7, atol=0.1)
    np.testing.assert_allclose(variance / factor, 4, atol=0.2)


def test_upgrade_keeps_what_the_user_wrote(tmp_path):
    named = 'param { name: "m" } param { name: "v" } param { name: "f" }'
    second = f'layer {{ name: "bn2" type: "BatchNorm" bottom: "bn" top: "bn2" {named} }}'
    net = make_net(tmp_path, NET.format(named) + second, caffe.TRAIN)
    net.params["bn"][1].data[...] = 5
    assert net.params["bn2"][1].data.tolist() == [5, 5, 5], "the two layers share statistics by name"


def test_root_is_the_correctly_rounded_one(tmp_path):
    channels = 400_000
    net = make_net(
        tmp_path,
        f"""
        layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ dim: 1 dim: {channels} }} }} }}
        layer {{ name: "bn" type: "BatchNorm" bottom: "data" top: "bn" batch_norm_param {{ eps: 0 }} }}""",
    )
    variance = np.random.default_rng(0).uniform(1, 4, channels).astype(np.float32)
    net.params["bn"][1].data[...] = variance
    net.params["bn"][2].data[...] = 1
    net.blobs["data"].data[...] = 1
    np.testing.assert_array_equal(net.forward()["bn"][0], np.float32(1) / np.sqrt(variance))
