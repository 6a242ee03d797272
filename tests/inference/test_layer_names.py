"""Which layer a blob is taken after: chains in place, layers of one name, BatchNorm by the batch."""

import json
import warnings

import caffe
import numpy as np
import pytest
from caffe_nets import make_net
from PIL import Image

from mindpics.inference.feature_net import FeatureNet
from mindpics.inference.features import extract_features, read_items
from mindpics.inference.infer import load_net
from mindpics.inference.picture_net import PictureNet
from mindpics.inference.predictor import Predictor

DATA = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 6 dim: 6 } } }\n'
CHAIN = """layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" %s }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
"""
RELU = 'layer { name: "relu" type: "%s" bottom: "conv" top: "conv" }\n'
FC = """layer { name: "%s" type: "InnerProduct" bottom: "%s" top: "%s"
  inner_product_param { num_output: 5 weight_filler { type: "gaussian" std: 1 } } }
"""
IN_PLACE = 'layer { name: "relu" type: "ReLU" bottom: "%s" top: "%s" }\n'
TWICE = DATA + FC % ("fc1", "data", "a") + IN_PLACE % ("a", "a") + FC % ("fc2", "a", "b") + IN_PLACE % ("b", "b")
PICTURES = np.random.default_rng(0).standard_normal((2, 3, 6, 6), np.float32)


def write(folder, text):
    """Write a net and its weights, none of which is zero; return (net, deploy, caffemodel)."""
    caffe.set_random_seed(1)
    net = make_net(folder, text)
    rng = np.random.default_rng(1)
    for layer in net.layers:
        for blob in layer.blobs if layer.type in ("BatchNorm", "Scale") else ():
            blob.data[...] = rng.uniform(0.5, 1.5, blob.data.shape)
    net.save(str(folder / "net.caffemodel"))
    return net, folder / "net.prototxt", folder / "net.caffemodel"


@pytest.mark.parametrize("kind", ["ReLU", "PReLU", "ELU"])
def test_before_relu_is_right_before_the_relu_of_a_chain_in_place(tmp_path, kind):
    net, *files = write(tmp_path, DATA + CHAIN % "" + RELU % kind)
    net.blobs["data"].data[...] = PICTURES
    wanted = net.forward(end="scale")["conv"].reshape(2, -1).copy()
    before = FeatureNet(*files, "conv", before_relu=True)
    assert before.last_layer == "scale" and (wanted < 0).any()
    np.testing.assert_array_equal(before.run(PICTURES), wanted)
    np.testing.assert_array_equal(FeatureNet(*files, "conv").run(PICTURES), net.forward()["conv"].reshape(2, -1))


def test_a_chain_in_place_without_a_relu_has_no_state_before_one(tmp_path):
    _, *files = write(tmp_path, DATA + CHAIN % "")
    message = "found no ReLU in place that overwrites conv, of the layers Convolution, BatchNorm, Scale; wanted one"
    with pytest.raises(ValueError, match=message):
        FeatureNet(*files, "conv", before_relu=True)


def test_a_relu_that_makes_the_blob_is_not_taken_for_one_in_place(tmp_path):
    relu = 'layer { name: "relu" type: "ReLU" bottom: "fc" top: "a" }\n'
    _, *files = write(tmp_path, DATA + FC % ("fc", "data", "fc") + relu + IN_PLACE % ("a", "a"))
    assert FeatureNet(*files, "a", before_relu=True).last == 2
    _, *files = write(tmp_path, DATA + FC % ("fc", "data", "fc") + relu)
    with pytest.raises(ValueError, match="found no ReLU in place that overwrites a, of the layers ReLU; wanted one"):
        FeatureNet(*files, "a", before_relu=True)


def test_layers_without_weights_may_have_one_name(tmp_path):
    net, *files = write(tmp_path, TWICE)
    net.blobs["data"].data[...] = PICTURES
    net.forward()
    keys = set()
    for blob in ("a", "b"):
        after = FeatureNet(*files, blob)
        np.testing.assert_array_equal(after.run(PICTURES), net.blobs[blob].data)
        before = FeatureNet(*files, blob, before_relu=True).run(PICTURES)
        assert (before < 0).any()
        np.testing.assert_array_equal(np.maximum(before, 0), net.blobs[blob].data)
        keys.add(after.key())
    assert len(keys) == 2


def test_heads_of_one_name_are_all_outputs(tmp_path):
    softmax = 'layer { name: "prob" type: "Softmax" bottom: "%s" top: "%s" }\n'
    heads = FC % ("one", "data", "one") + softmax % ("one", "p") + FC % ("two", "data", "two") + softmax % ("two", "q")
    net, *files = write(tmp_path, DATA + heads)
    predictor = Predictor(*files, (0, 0, 0), size=6)
    pictures = np.random.default_rng(2).integers(0, 3, (2, 6, 6, 3), np.uint8)
    net.blobs["data"].data[...] = pictures[..., ::-1].transpose(0, 3, 1, 2)
    of_net = net.forward()
    assert predictor.outputs == ["p", "q"]
    np.testing.assert_allclose(predictor.predict(pictures), np.stack([of_net["p"], of_net["q"]], axis=1), rtol=1e-5)


def test_layers_with_weights_of_one_name_are_refused_where_one_would_stay_at_its_fillers(tmp_path):
    _, *files = write(tmp_path, DATA + FC % ("fc", "data", "a") + FC % ("fc", "data", "b"))
    message = "net.prototxt: found several layers with weights of the name fc, of which .* reaches one; wanted a name"
    with pytest.raises(ValueError, match=message):
        load_net(*files)
    with pytest.raises(ValueError, match=message):
        FeatureNet(*files, "a")
    _, *files = write(tmp_path, DATA + FC % ("fc", "data", "a") + FC % ("head", "a", "b") + FC % ("head", "a", "c"))
    assert FeatureNet(*files, "a").run(PICTURES).shape == (2, 5)  # the heads are not needed


def test_a_net_that_normalises_by_its_batch_is_run_and_told_and_its_features_are_of_a_batch(tmp_path):
    _, *files = write(tmp_path, DATA + CHAIN % "batch_norm_param { use_global_stats: false }")
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (6, 6, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    lines = (json.dumps({"id": f"p{number}", "image": f"{number}.png"}) for number in range(5))
    (tmp_path / "pins.jsonl").write_text("\n".join(lines))
    items, mean = read_items(tmp_path / "pins.jsonl"), np.zeros((3, 6, 6), np.float32)
    with pytest.warns(UserWarning, match=r"net.prototxt: BatchNorm bn normalises by the statistics of the batch"):
        net = FeatureNet(*files, "conv")
    arrays = []
    for batch in (2, 3, 2):
        extract_features(net, items, tmp_path / "conv", mean, batch=batch)
        arrays.append(np.load(tmp_path / "conv.npy"))
    assert not np.allclose(arrays[0], arrays[1])
    np.testing.assert_array_equal(arrays[0], arrays[2])


@pytest.mark.parametrize("words", ["", "batch_norm_param { use_global_stats: true }"])
def test_a_net_that_normalises_by_what_is_stored_is_not_told_of(tmp_path, words):
    net, deploy, _ = write(tmp_path, DATA + CHAIN % words)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert PictureNet(deploy, net).by_batch == []


def test_pictures_of_another_shape_than_the_input_are_refused_before_caffe_aborts(tmp_path):
    _, *files = write(tmp_path, TWICE)
    with pytest.raises(ValueError, match=r"found pictures \(2, 1, 6, 6\); wanted \[N, 3, height, width\], of \(6, 6\)"):
        FeatureNet(*files, "b").run(PICTURES[:, :1])
