"""PoolingParameter.round_mode, field 13, as in BVLC Caffe; a backward pass without its forward pass."""

import numpy as np
import pytest
from caffe.proto import caffe_pb2
from caffe_nets import make_net


@pytest.mark.parametrize(("mode", "side"), [("", 4), ("round_mode: CEIL", 4), ("round_mode: FLOOR", 3)])
def test_output_size(tmp_path, mode, side):
    net = make_net(
        tmp_path,
        f"""
        layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ dim: 1 dim: 1 dim: 8 dim: 8 }} }} }}
        layer {{ name: "pool" type: "Pooling" bottom: "data" top: "pool"
          pooling_param {{ kernel_size: 3 stride: 2 {mode} }} }}""",
    )
    assert list(net.blobs["pool"].shape) == [1, 1, side, side]


def test_field_number():
    field = caffe_pb2.PoolingParameter.DESCRIPTOR.fields_by_name["round_mode"]
    assert field.number == 13
    assert caffe_pb2.PoolingParameter(round_mode=1).SerializeToString() == b"\x68\x01"
    assert caffe_pb2.PoolingParameter.FLOOR == 1


POOLED = """force_backward: true
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 9 dim: 7 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 8 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 3 stride: 2 } }
"""


def test_without_a_forward_pass_over_such_pictures_no_gradient_goes_down(tmp_path):
    net = make_net(tmp_path, POOLED)
    net.blobs["pool"].diff[...] = 1
    net.backward()
    assert not net.blobs["conv"].diff.any()
    net.blobs["data"].data[...] = np.random.default_rng(0).normal(size=(2, 3, 9, 7))
    net.forward()
    net.backward()
    assert net.blobs["conv"].diff.sum() == net.blobs["pool"].diff.size
    net.blobs["data"].reshape(40, 3, 90, 70)
    net.reshape()
    net.blobs["pool"].diff[...] = 1
    net.backward()
    assert not net.blobs["conv"].diff.any()
