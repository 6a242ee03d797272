"""Constants of the papers, asserted where they act: on what comes out, or on the message that Caffe gets."""

import json

import numpy as np
import pytest
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from mindpics.nets.rows import all_models, messages, paper_counts
from mindpics.nets.scales import PAPER
from mindpics.posts.candidates import find_candidates
from mindpics.posts.near_copies import group_copies
from mindpics.posts.selection import MindPic, Picker, split
from mindpics.report.maps import project
from mindpics.report.sheets import most_activating
from mindpics.traits import trait_of
from pinterest_id.splits import split_users

NETS = {
    model.name: messages(model, PAPER, paper_counts(), data_root="d", net_path="n", snapshot_prefix="p")
    for model in all_models()
}


@pytest.mark.parametrize("name", NETS)
def test_section_4_of_mindpics_as_caffe_gets_it(name):
    """Batches, crops, rates, the factor of 10 at new layers, dropout, momentum, decay, mirroring, mean."""
    train_val, deploy, solver = NETS[name]
    alexnet, fine_tuned = name.startswith("alexnet"), "finetune" in name
    train, test = (layer for layer in train_val.layer if layer.type == "Data")
    assert train.data_param.batch_size == (128 if alexnet else 32)
    assert [d.transform_param.crop_size for d in (train, test)] == [227 if alexnet else 224] * 2
    assert list(deploy.layer[0].input_param.shape[0].dim) == [1, 3, *[227 if alexnet else 224] * 2]
    assert [d.transform_param.mirror for d in (train, test)] == [True, False]
    assert {d.transform_param.mean_file for d in (train, test)} == {"d/mean.binaryproto"}
    assert solver.base_lr == np.float32(0.001 if fine_tuned else 0.01) and solver.momentum == np.float32(0.9)
    assert solver.weight_decay == np.float32(0.0005) and solver.regularization_type == "L2" and solver.type == "SGD"
    for layer in train_val.layer:
        own = [param.lr_mult for param in layer.param]
        if layer.name.startswith("score_"):
            assert own == ([10, 20] if fine_tuned else [1, 2])
        elif layer.type in ("Convolution", "InnerProduct"):
            assert own == [1, 2][: len(own)]
    ratios = [layer.dropout_param.dropout_ratio for layer in train_val.layer if layer.type == "Dropout"]
    assert ratios == ([0.5, 0.5] if alexnet else [])
    pictures = 96_800 if "all-in-one" in name else 19_360  # 80% of 121,000; of a fifth of them (sections 3.1 and 4)
    epochs = 62.5 if fine_tuned else 90
    assert solver.max_iter == -(-epochs * pictures // (128 if alexnet else 32))
    assert solver.test_iter[0] * test.data_param.batch_size == pictures / 4


def test_pictures_are_256_pixels_wide_and_1100_a_word(tmp_path):
    """Sections 3.1 and 4."""
    post = {"author": "a", "tags": ["moon"], "text": "", "source": "s", "license": "l"}
    lines = [json.dumps(post | {"id": f"p{i}", "image": f"{i}.png"}) + "\n" for i in range(1105)]
    (tmp_path / "posts.jsonl").write_text("".join(lines))
    assert len(Picker(find_candidates(tmp_path / "posts.jsonl", 0, 1)).pick()) == 1100
    assert (PAPER.size, PAPER.per_word, PAPER.per_pole) == (256, 1100, None)


def test_a_fifth_of_the_pictures_is_for_testing():
    """Section 4: "80% of the images are used for training and 20% for testing"."""
    pics = [MindPic({"id": f"p{i}"}, "w", *trait_of(i % 10)) for i in range(1000)]
    done = split(pics, np.arange(1000))
    tested = [pic.label for pic in done if pic.split == "test"]
    assert sorted(tested) == sorted(list(range(10)) * 20)


def test_fifty_pictures_most_activate_a_pole():
    """Section 4.2, figures 4 to 8."""
    high = np.random.default_rng(0).random((300, 5))
    found = most_activating(np.stack([1 - high, high], axis=2), "E")
    assert {pole: len(places) for pole, places in found.items()} == {"high": 50, "low": 50}
    assert set(found["high"]) == set(np.argsort(high[:, 2])[-50:])


def test_maps_have_a_perplexity_of_30_from_a_random_start():
    """Section 4.2."""
    features = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    with threadpool_limits(1):
        wanted = TSNE(perplexity=30, init="random", random_state=1).fit_transform(features)
    np.testing.assert_allclose(project(features, seed=1), wanted, atol=1e-3)


def test_near_copies_differ_in_20_bits_of_256_at_most():
    """Ours: the papers look for no copies."""

    def flipped(bits):
        return np.packbits(np.arange(256) < bits)

    assert list(group_copies([flipped(0), flipped(20)])) == [0, 0]
    assert list(group_copies([flipped(0), flipped(21)])) == [0, 1]


def test_400_pins_of_a_user_train_100_choose_C_and_100_test():
    """Section 4 of the Pinterest paper."""
    parts, _ = split_users(["ann"] * 600 + ["bob"] * 600)
    for own in (parts[:600], parts[600:]):
        assert [int(np.sum(own == part)) for part in ("train", "validation", "test")] == [400, 100, 100]
