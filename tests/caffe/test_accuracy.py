"""Accuracy counts a tie against the label and gives 0, not NaN, without valid labels."""

import numpy as np
import pytest
from caffe_nets import make_net

NET = """
layer {{ name: "data" type: "Input" top: "score" top: "label"
  input_param {{ shape {{ dim: 4 dim: 3 }} shape {{ dim: 4 }} }} }}
layer {{ name: "accuracy" type: "Accuracy" bottom: "score" bottom: "label" top: "accuracy" top: "per_class"
  accuracy_param {{ top_k: {} ignore_label: -1 }} }}
"""
SCORES = [[0, 0, 0], [1, 3, 2], [5, 5, 1], [1, 2, 3]]


@pytest.mark.parametrize(
    ("top_k", "labels", "accuracy", "per_class"),
    [
        (1, [2, 1, 1, 2], 0.5, [0, 0.5, 0.5]),  # both ties are lost, whichever label is the larger
        (1, [0, 1, 0, 2], 0.5, [0, 1, 1]),
        (2, [0, 2, 0, 1], 0.75, [0.5, 1, 1]),
        (1, [-1, 1, -1, 0], 0.5, [0, 1, 0]),
        (1, [-1, -1, -1, -1], 0, [0, 0, 0]),
    ],
)
def test_accuracy(tmp_path, top_k, labels, accuracy, per_class):
    net = make_net(tmp_path, NET.format(top_k))
    net.blobs["score"].data[...] = SCORES
    net.blobs["label"].data[...] = labels
    found = net.forward()
    assert found["accuracy"] == accuracy
    np.testing.assert_array_equal(found["per_class"], per_class)
