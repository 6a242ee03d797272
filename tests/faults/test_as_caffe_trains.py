"""Strangers' solvers beside Caffe itself: what it trains is no error of lint_net and train_net, what it refuses is."""

import caffe
import lmdb
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from caffe_nets import caffe_train

from mindpics.caffe_files.messages import read_message
from mindpics.files.findings import errors
from mindpics.jobs.fork_first import in_fork
from mindpics.lint.net import lint_file
from mindpics.training.train import solve

DATA = (
    'layer { name: "data" type: "Data" top: "data" top: "label" include { %s } '
    'data_param { source: "%s" batch_size: 4 backend: LMDB } }\n'
)
TRAIN, TEST = DATA % ("phase: TRAIN", "train"), DATA % ("phase: TEST", "test")
END = """layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 0.001 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""
RATE = (
    'base_lr: 0.001 lr_policy: "fixed" max_iter: 3 display: 1 snapshot_prefix: "snap" solver_mode: CPU random_seed: 1\n'
)
TESTS = "test_iter: 2 test_interval: 2\n"
SOLVER = 'net: "net.prototxt"\n' + TESTS + RATE
DIGITS = (
    DATA % ('stage: "train"', "train")
    + DATA % ('stage: "val"', "test")
    + 'layer { name: "deploy" type: "Input" top: "data" include { stage: "deploy" } '
    "input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }\n"
    + END.replace('top: "loss"', 'top: "loss" exclude { stage: "deploy" }')
    + 'layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" include { stage: "deploy" } }'
)
NONSENSE = 'layer { name: "x" type: "Nonsense" bottom: "fc" top: "x" include { %s } }'


def over(layer, top="x"):
    """A net whose head stands on `layer`."""
    return TRAIN + TEST + layer + END.replace('bottom: "data"', f'bottom: "{top}"')


def pooled(text):
    return over('layer { name: "p" type: "Pooling" bottom: "data" top: "x" pooling_param { ' + text + " } }\n")


def dropped(ratio):
    return over(
        'layer { name: "d" type: "Dropout" bottom: "data" top: "x" dropout_param { dropout_ratio: ' + f"{ratio} }} }}\n"
    )


def normed(params):
    return over('layer { name: "bn" type: "BatchNorm" bottom: "data" top: "x" ' + params + " }\n")


def in_place(kind):
    return over(
        'layer { name: "c" type: "Convolution" bottom: "data" top: "x" '
        'convolution_param { num_output: 4 kernel_size: 1 weight_filler { type: "xavier" } } }\n'
        f'layer {{ name: "r" type: "{kind}" bottom: "x" top: "x" }}\n'
    )


NET = TRAIN + TEST + END
ADAGRAD = SOLVER + 'type: "AdaGrad"'
RUNS = {
    "as it is": (NET, SOLVER),
    "fed in TRAIN alone, never tested": (TRAIN + END, SOLVER.replace(TESTS, "")),
    "test_interval without test_iter": (NET, SOLVER.replace("test_iter: 2", "")),
    "test_iter 0": (NET, SOLVER.replace("test_iter: 2", "test_iter: 0")),
    "two tests of one net": (NET, SOLVER + "test_iter: 1"),
    "max_iter 0": (NET, SOLVER.replace("max_iter: 3", "max_iter: 0")),
    "stages, as DIGITS writes them": (DIGITS, SOLVER + 'train_state { stage: "train" } test_state { stage: "val" }'),
    "a level that is not built": (NET + NONSENSE % "min_level: 2", SOLVER + "test_state { level: 1 }"),
    "not_stage": (NET + NONSENSE % 'not_stage: "q"', SOLVER + 'train_state { stage: "q" } test_state { stage: "q" }'),
    "a net's own state": ('state { stage: "q" }' + NET + NONSENSE % 'not_stage: "q"', SOLVER),
    "train_net and test_net": (NET, SOLVER.replace("net:", 'test_net: "net.prototxt" train_net:')),
    "net_param": (None, "net_param {" + NET + "}" + TESTS + RATE),
    "train_net_param and test_net_param": (
        None,
        f"train_net_param {{ {NET} }} test_net_param {{ {NET} }}" + TESTS + RATE,
    ),
    "snapshot_format HDF5": (NET, SOLVER + "snapshot_format: HDF5"),
    "kernel_h kernel_w pad": (pooled("kernel_h: 3 kernel_w: 2 pad: 1 stride: 2"), SOLVER),
    "a loss without top, with loss_weight": (NET.replace('top: "loss"', "loss_weight: 2"), SOLVER),
    "dropout_ratio 0": (dropped(0), SOLVER),
    "layers without weights, of one name": (
        over(
            'layer { name: "r" type: "ReLU" bottom: "data" top: "a" }\n'
            'layer { name: "r" type: "TanH" bottom: "a" top: "x" }'
        ),
        SOLVER,
    ),
    "layers without weights, of no name": (
        over('layer { type: "ReLU" bottom: "data" top: "a" } layer { type: "TanH" bottom: "a" top: "x" }'),
        SOLVER,
    ),
    "weights of no name": (NET.replace('name: "fc"', ""), SOLVER),
    "testing on the training LMDB": (NET.replace('"test"', '"train"'), SOLVER),
    "a BatchNorm's three lr_mult 1": (normed("param { lr_mult: 1 }" * 3), SOLVER),
    "use_global_stats: false in TEST": (normed("batch_norm_param { use_global_stats: false }"), SOLVER),
    "LRN in place": (in_place("LRN"), SOLVER),
    "base_lr 0, momentum 2": (NET, SOLVER.replace("base_lr: 0.001", "base_lr: 0 momentum: 2")),
    "stepvalue that does not ascend": (
        NET,
        SOLVER.replace('"fixed"', '"multistep" gamma: 1 stepvalue: 2 stepvalue: 1'),
    ),
    "multistep without stepvalue": (NET, SOLVER.replace('"fixed"', '"multistep"')),
    "L3 without weight_decay": (NET, SOLVER + 'regularization_type: "L3"'),
    "no loss": (NET[: NET.index('layer { name: "loss"')], SOLVER),
}
ABORTS = {
    "test_iter without test_interval": (NET, SOLVER.replace("test_interval: 2", "")),
    "more test_state than tests": (NET, SOLVER + "test_state { } test_state { }"),
    "fewer test_iter than test nets": (NET, SOLVER + 'test_net: "net.prototxt" test_net: "net.prototxt"'),
    "net and train_net": (NET, SOLVER + 'train_net: "net.prototxt"'),
    "a stage whose data is nowhere": (
        DIGITS,
        SOLVER + 'train_state { stage: "train" } test_state { stage: "nowhere" }',
    ),
    "a level that is built": (NET + NONSENSE % "min_level: 1", SOLVER + "test_state { level: 1 }"),
    "an unknown bottom in net_param": (
        None,
        "net_param {" + NET.replace('bottom: "fc"', 'bottom: "f"') + "}" + TESTS + RATE,
    ),
    "kernel_h alone": (pooled("kernel_h: 3"), SOLVER),
    "kernel_size and kernel_h kernel_w": (pooled("kernel_size: 3 kernel_h: 3 kernel_w: 3"), SOLVER),
    "a pad of the kernel's width": (pooled("kernel_h: 3 kernel_w: 2 pad: 2"), SOLVER),
    "pad_h of the kernel": (pooled("kernel_size: 2 pad_h: 2 pad_w: 1"), SOLVER),
    "global_pooling and a kernel": (pooled("kernel_size: 3 global_pooling: true"), SOLVER),
    "dropout_ratio 2": (dropped(2), SOLVER),
    "dropout_ratio -1": (dropped(-1), SOLVER),
    "a BatchNorm's one lr_mult 1": (normed("param { lr_mult: 1 }"), SOLVER),
    "Accuracy without top": (NET + 'layer { name: "a" type: "Accuracy" bottom: "fc" bottom: "label" }', SOLVER),
    "AbsVal in place": (in_place("AbsVal"), SOLVER),
    "in place on what others read": (
        over(
            'layer { name: "q" type: "TanH" bottom: "data" top: "x" }\n'
            'layer { name: "r" type: "ReLU" bottom: "data" top: "data" }'
        ),
        SOLVER,
    ),
    "momentum of AdaGrad": (NET, ADAGRAD + " momentum: 0.9"),
    "step without stepsize": (NET, SOLVER.replace('"fixed"', '"step" gamma: 0.1')),
    "L3": (NET, SOLVER + 'regularization_type: "L3" weight_decay: 0.1'),
    "a kernel larger than the pictures": (
        over(
            'layer { name: "c" type: "Convolution" bottom: "data" top: "x" '
            "convolution_param { num_output: 4 kernel_size: 11 } }"
        ),
        SOLVER,
    ),
}


def write_pictures(path, label=lambda i: i % 2):
    rng = np.random.default_rng(0)
    with lmdb.open(str(path), map_size=1 << 24) as env, env.begin(write=True) as transaction:
        for i in range(20):
            datum = caffe_pb2.Datum(channels=3, height=8, width=8, label=label(i), data=rng.bytes(192))
            transaction.put(b"%08d" % i, datum.SerializeToString())


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("train", "test"):
        write_pictures(tmp_path / name)
    return tmp_path


def write(net, solver):
    if net is not None:
        with open("net.prototxt", "w") as stream:
            stream.write(net)
    with open("solver.prototxt", "w") as stream:
        stream.write(solver)


@pytest.mark.parametrize("name", RUNS)
def test_what_caffe_trains_is_no_error(work, name):
    write(*RUNS[name])
    in_fork(caffe_train)
    assert not errors(lint_file("solver.prototxt", data=True))
    history = solve("solver.prototxt", "run", progress=False)
    assert history.iteration == read_message("solver.prototxt", caffe_pb2.SolverParameter()).max_iter
    assert (work / "run/final.caffemodel").is_file()


@pytest.mark.parametrize("name", ABORTS)
def test_what_caffe_aborts_on_is_an_error_before_it_does(work, name):
    write(*ABORTS[name])
    with pytest.raises(ValueError):
        in_fork(caffe_train)
    assert errors(lint_file("solver.prototxt", data=True))
    with pytest.raises(ValueError) as refused:
        solve("solver.prototxt", "run", progress=False)
    assert "\n" not in str(refused.value) and not (work / "run/train.csv").exists()


def test_comments_may_be_of_any_bytes(work):
    write(NET, SOLVER)
    for name in ("net.prototxt", "solver.prototxt"):
        text = (work / name).read_bytes()
        (work / name).write_bytes(b'# Gr\xf6\xdfe \xe9 "\n' + text)
    in_fork(caffe_train)
    assert not errors(lint_file("solver.prototxt", data=True))
    assert solve("solver.prototxt", "run", progress=False).iteration == 3


def test_a_solver_of_hdf5_snapshots_gets_its_weights_in_hdf5(work):
    write(NET, SOLVER + "snapshot_format: HDF5")
    solve("solver.prototxt", "run", progress=False)
    one = caffe.Net("run/net.prototxt", "run/final.caffemodel", caffe.TRAIN).params["fc"][0].data
    other = caffe.Net("run/net.prototxt", "run/final.caffemodel.h5", caffe.TRAIN).params["fc"][0].data
    assert np.array_equal(one, other) and one.any()


def test_a_deploy_net_may_write_over_its_input(work):
    (work / "deploy.prototxt").write_text(
        'input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8\n'
        'layer { name: "n" type: "MVN" bottom: "data" top: "data" }\n' + END[: END.index('layer { name: "loss"')]
    )
    in_fork(lambda: caffe.Net("deploy.prototxt", caffe.TEST).forward() and None)
    assert not lint_file("deploy.prototxt") or not errors(lint_file("deploy.prototxt"))


def test_a_net_of_stages_alone_is_left_to_its_solver(work):
    write(DIGITS, SOLVER)
    assert [(f.severity, f.check) for f in lint_file("net.prototxt")] == [("note", "stages")]
