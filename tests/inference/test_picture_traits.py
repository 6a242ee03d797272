"""What a net says of one picture, and what of a run is needed for it."""

import shutil

import numpy as np
import pytest
from small_run import BEST

from mindpics.caffe_files.lmdbs import write_mean
from mindpics.inference.infer import load_net
from mindpics.inference.picture_traits import PictureTraits, net_files, open_traits
from mindpics.results.run_files import RunFiles


@pytest.fixture
def copy(small_run, tmp_path):
    """A copy of the small run, to be broken."""
    shutil.copytree(small_run, tmp_path / "run", ignore=shutil.ignore_patterns("*_lmdb", "snapshots", "pinterest_id"))
    return tmp_path / "run"


def test_the_papers_net_is_taken_and_its_figure_said(small_run):
    traits, said = open_traits(RunFiles(small_run))
    row = RunFiles(small_run).models()[BEST]
    assert said.startswith(f"resnet50 all-in-one finetune, right on {row['avg']:.1f}% (95% interval {row['low95']:.1f}")
    assert traits.shape == (3, 75, 75) and len(traits.paths()) == 200


def test_an_occlusion_is_the_score_of_the_covered_picture(small_run):
    run = RunFiles(small_run)
    traits, _ = open_traits(run)
    pixels = np.random.default_rng(0).integers(0, 256, (75, 75, 3), np.uint8)
    answer = traits.answer(pixels)
    low, high = (75 - 32) // 2, (75 - 32) // 2 + 32
    covered = pixels.astype(np.float32)
    mean = traits.mean.transpose(1, 2, 0)
    covered[low : low + 6, low : low + 6] = mean[low : low + 6, low : low + 6]  # a cell of 4, half a cell around it
    net = load_net(*net_files(run, BEST))
    net.blobs["data"].data[...] = (covered - mean)[low:high, low:high].transpose(2, 0, 1)
    scores = net.forward()
    for trait in answer["traits"]:
        drop = trait["high"] - scores[f"prob_{trait['trait']}"].ravel()[1]
        assert answer["occlusion"][trait["trait"]][0][0] == pytest.approx(drop, abs=5e-5)


def test_another_net_by_name_and_without_features_no_neighbours(small_run):
    traits, said = open_traits(RunFiles(small_run), "alexnet_all-in-one_scratch")
    assert said.startswith("alexnet all-in-one scratch") and said.endswith("no MindPics to compare with")
    assert traits.answer(np.zeros((75, 75, 3), np.uint8))["nearest"] == [] and traits.paths() == []


def test_a_mean_of_another_kind_than_the_nets_pictures_is_refused_in_words(copy):
    write_mean(copy / "mindpics" / "mean.binaryproto", np.zeros((1, 75, 75), np.float32))
    with pytest.raises(ValueError, match=r"found the inputs .*; wanted one of \[N, 1, height, width\]"):
        open_traits(RunFiles(copy))


@pytest.mark.parametrize(
    ("gone", "model", "message"),
    [
        (
            "mindpics/mean.binaryproto",
            None,
            "mean.binaryproto: found no such file; wanted it, made by: tools/reproduce "
            "--row resnet50/all-in-one/finetune --out",
        ),
        (
            f"mindpics/nets/prototxt/{BEST}/deploy.prototxt",
            None,
            "deploy.prototxt: found no such file; wanted it, made by",
        ),
        (
            f"mindpics/{BEST}/{BEST}/final.caffemodel",
            BEST,
            f"no all-in-one net '{BEST}'; wanted one of alexnet_all-in-one_scratch",
        ),
        (
            "mindpics/mindpics.csv",
            "vgg_all-in-one",
            "no all-in-one net 'vgg_all-in-one'; wanted one of alexnet_all-in-one_sc",
        ),
    ],
)
def test_what_is_missing_is_named(copy, gone, model, message):
    (copy / gone).unlink()
    with pytest.raises(ValueError, match=message):
        open_traits(RunFiles(copy), model)


def test_a_net_without_five_heads_is_refused(small_run):
    net = load_net(*net_files(RunFiles(small_run), BEST))
    with pytest.raises(ValueError, match="found no output prob_O; wanted an all-in-one net"):
        PictureTraits(type("Net", (), {"outputs": [name for name in net.outputs if name != "prob_O"]}), None)
