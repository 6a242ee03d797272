"""ResNet-50's body against He's, field by field (AlexNet's: test_bvlc_alexnet.py); heads, data layers, variants."""

from dataclasses import replace

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from published_nets import he_resnet50

from mindpics.nets import alexnet, resnet50
from mindpics.nets.whole import Data, classification_train_val, deploy, features_deploy, train_val
from mindpics.traits import TRAITS

DATA = Data("train_lmdb", "test_lmdb", "mean.binaryproto", 128, 40, 227)


def multipliers(layer):
    return [(p.lr_mult, p.decay_mult) for p in layer.param]


def body_of(net, head):
    names = [layer.name for layer in net.layer]
    return net.layer[2 : names.index(head)]


def resnet_facts(layer):
    if layer.type == "Convolution":
        p = layer.convolution_param
        return (p.num_output, p.kernel_size[0], p.stride[0], p.pad[0], p.bias_term)
    if layer.type == "Pooling":
        p = layer.pooling_param
        return (p.PoolMethod.Name(p.pool), p.kernel_size, p.stride)
    if layer.type == "Scale":
        return (layer.scale_param.bias_term,)
    if layer.type == "Eltwise":
        return (layer.eltwise_param.EltwiseOp.Name(layer.eltwise_param.operation),)
    return ()


def test_resnet50_body_is_hes_release_field_by_field():
    body = body_of(train_val("resnet50", replace(DATA, crop=224)), "score_O")
    found = [(la.name, la.type, tuple(la.bottom), la.top[0], resnet_facts(la)) for la in body]
    assert found == he_resnet50()
    assert len([la for la in body if la.type == "Convolution"]) == 53


def test_batch_norm_is_frozen_against_the_solver_and_left_to_the_phase():
    norms = [la for la in train_val("resnet50", DATA).layer if la.type == "BatchNorm"]
    assert len(norms) == 53
    for layer in norms:
        assert multipliers(layer) == [(0, 0)] * 3
        assert not layer.batch_norm_param.HasField("use_global_stats")


@pytest.mark.parametrize(("init", "expected"), [("scratch", [(1, 1), (2, 0)]), ("finetune", [(10, 1), (20, 0)])])
@pytest.mark.parametrize("body", ["alexnet", "resnet50"])
def test_five_heads_with_their_losses(body, init, expected):
    net = {layer.name: layer for layer in train_val(body, DATA, init=init).layer}
    top = {"alexnet": "fc7", "resnet50": "pool5"}[body]
    for trait in TRAITS:
        head = net[f"score_{trait}"]
        assert (head.type, list(head.bottom), head.inner_product_param.num_output) == ("InnerProduct", [top], 2)
        assert head.inner_product_param.weight_filler.std == pytest.approx(0.01)
        assert multipliers(head) == expected
        loss = net[f"loss_{trait}"]
        assert (loss.type, list(loss.bottom), list(loss.loss_weight)) == ("Python", [f"score_{trait}", "label"], [1])
        assert (loss.python_param.module, loss.python_param.layer) == ("mindpics.layers", "TraitLoss")
    assert not {"fc8", "fc1000"} & set(net)


def test_every_learned_layer_writes_out_multipliers_and_fillers():
    for body in ("alexnet", "resnet50"):
        for layer in train_val(body, DATA).layer:
            if layer.type in ("Convolution", "InnerProduct"):
                p = layer.convolution_param if layer.type == "Convolution" else layer.inner_product_param
                assert p.HasField("weight_filler"), layer.name
                assert p.HasField("bias_filler") or not p.bias_term, layer.name
                assert all(m.HasField("lr_mult") and m.HasField("decay_mult") for m in layer.param), layer.name
                assert len(layer.param) == 1 + p.bias_term, layer.name


def test_data_layers_crop_and_mirror_in_training_only():
    train, test = train_val("alexnet", DATA).layer[:2]
    for layer, phase, mirror, batch, source in (
        (train, caffe.TRAIN, True, 128, "train_lmdb"),
        (test, caffe.TEST, False, 40, "test_lmdb"),
    ):
        assert layer.include[0].phase == phase
        assert layer.transform_param.mirror is mirror
        assert layer.transform_param.crop_size == 227
        assert layer.transform_param.mean_file == "mean.binaryproto"
        assert (layer.data_param.batch_size, layer.data_param.source) == (batch, source)
        assert layer.data_param.backend == caffe_pb2.DataParameter.LMDB


def load(message, tmp_path, phase=caffe.TEST):
    path = tmp_path / "net.prototxt"
    path.write_text(str(message))
    return caffe.Net(str(path), phase)


@pytest.mark.parametrize("crop", [227, 224])
def test_fc6_has_the_same_shape_at_both_of_the_papers_crops(tmp_path, crop):
    net = load(features_deploy("alexnet", crop=crop, width=1), tmp_path)
    assert net.params["fc6"][0].data.shape == (4096, 9216)


def test_resnet50_ends_in_2048_channels_of_one_pixel(tmp_path):
    net = load(features_deploy("resnet50"), tmp_path)
    assert net.blobs["pool5"].data.shape == (1, 2048, 1, 1)


@pytest.mark.parametrize(("body", "crop"), [("alexnet", 99), ("resnet50", 99), ("resnet50", 65), ("resnet50", 113)])
def test_narrow_nets_at_other_crops_load_and_give_probabilities(tmp_path, body, crop):
    # TRAIN: an untrained BatchNorm has no running statistics to go by
    net = load(deploy(body, crop=crop, width=0.125), tmp_path, caffe.TRAIN)
    out = net.forward(data=np.random.default_rng(0).normal(size=(1, 3, crop, crop)))
    assert sorted(out) == [f"prob_{trait}" for trait in sorted(TRAITS)]
    for probabilities in out.values():
        assert probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_pretraining_head_has_the_published_name():
    for body, head in ((alexnet, "fc8"), (resnet50, "fc1000")):
        net = classification_train_val(body.NAME, DATA, 50)
        assert next(la for la in net.layer if la.name == head).inner_product_param.num_output == 50


def test_unknown_body_is_refused():
    with pytest.raises(ValueError, match="found body 'vgg'; wanted one of"):
        train_val("vgg", DATA)
