"""PoolingParameter.round_mode, field 13, as in BVLC Caffe."""

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
