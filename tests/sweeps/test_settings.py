"""Settings of a sweep: grids, draws, and what a solver and its layers take."""

import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from mindpics.caffe_files.fields import set_layers, setting, settings
from mindpics.sweeps.settings import Range, Run, axes_of, parse, runs_of


def test_a_grid_has_every_combination_with_every_seed():
    runs = runs_of({"base_lr": [0.1, 0.01], "normalization": ["VALID", "BATCH_SIZE"]}, ["a", None], seeds=3)
    assert len(runs) == len({run.name for run in runs}) == 24
    assert runs[0] == Run({"base_lr": 0.1, "normalization": "VALID"}, "a", 0)
    assert runs[0].words() == [
        *("--weights", "a", "--seed", "0"),
        *("--set", "base_lr=0.1", "--normalization", "VALID"),
    ]


def test_random_draws_are_distinct_always_the_same_and_inside_their_range():
    settings = dict([parse("base_lr=1e-4..1e-1"), parse("momentum=.5,.9")])
    drawn = runs_of(settings, draws=20)
    assert drawn == runs_of(settings, draws=20) and len({run.name for run in drawn}) == 20
    rates = [run.settings["base_lr"] for run in drawn]
    assert all(1e-4 <= rate <= 1e-1 for rate in rates)
    assert 5 < sum(rate < 3e-3 for rate in rates) < 15  # evenly by the logarithm
    assert len(runs_of({"momentum": [0.5, 0.9]}, draws=20)) == 2


def test_a_setting_is_read_as_it_is_written():
    assert parse("layer[fc6].dropout_ratio=.5,.7") == ("layer[fc6].dropout_ratio", [0.5, 0.7])
    assert parse("base_lr=1e-4..1e-1") == ("base_lr", Range(1e-4, 1e-1))
    assert [setting(f"a={text}")[1] for text in ("3", ".5", "true", "VALID")] == [3, 0.5, True, "VALID"]


def test_values_of_a_repeated_field_are_given_one_by_one_and_come_together_again():
    settings_of_run = {"stepvalue": [100, 200], "gamma": 0.5}
    words = Run(settings_of_run).words()
    assert words == ["--set", "stepvalue=100", "--set", "stepvalue=200", "--set", "gamma=0.5"]
    assert settings(words[1::2]) == settings_of_run


@pytest.mark.parametrize("text", ["base_lr", "base_lr=", "=3", "base_lr=1..0.1", "base_lr=a..b"])
def test_what_is_no_setting_is_refused(text):
    with pytest.raises(ValueError, match="wanted"):
        parse(text)


def test_a_name_that_stands_twice_or_has_a_switch_of_its_own_is_refused():
    with pytest.raises(ValueError, match="found base_lr twice; wanted its values behind it, base_lr=A,B"):
        axes_of(["base_lr=.01", "momentum=.9", "base_lr=.001"])
    with pytest.raises(ValueError, match="found weights among the settings; wanted it as weights"):
        runs_of({"weights": ["a.caffemodel"]})
    with pytest.raises(ValueError, match="found random_seed among the settings; wanted it as seeds"):
        runs_of({"random_seed": [1, 2]})


def test_a_range_wants_random_draws():
    with pytest.raises(ValueError, match="base_lr: found a range; wanted values, or draws=N"):
        runs_of({"base_lr": Range(1, 2)})


NET = """
name: "small"
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param { num_output: 4 weight_filler { type: "gaussian" std: 0.01 } } }
layer { name: "fc6" type: "InnerProduct" bottom: "conv1" top: "fc6" inner_product_param { num_output: 4 } }
layer { name: "relu6" type: "ReLU" bottom: "fc6" top: "fc6" }
layer { name: "drop6" type: "Dropout" bottom: "fc6" top: "fc6" dropout_param { dropout_ratio: 0.5 } }
layer { name: "norm" type: "LRN" bottom: "fc6" top: "norm" }
"""


def test_fields_of_layers_are_set_by_the_layers_name():
    net = text_format.Parse(NET, caffe_pb2.NetParameter())
    fields = {
        "layer[fc6].dropout_ratio": 0.7,
        "layer[drop6].dropout_ratio": 0.7,
        "layer[fc6].num_output": 8,
        "layer[conv1].weight_filler.std": 0.5,
        "layer[norm].lrn_param.local_size": 7,
        "layer[norm].loss_weight": [0.5],
    }
    set_layers([net], fields)
    by_name = {layer.name: layer for layer in net.layer}
    assert by_name["drop6"].dropout_param.dropout_ratio == pytest.approx(0.7)
    assert by_name["fc6"].inner_product_param.num_output == 8
    assert by_name["conv1"].convolution_param.weight_filler.std == 0.5
    assert by_name["norm"].lrn_param.local_size == 7
    assert list(by_name["norm"].loss_weight) == [0.5]


def test_a_field_is_set_in_each_net_of_a_solver_that_has_the_layer():
    trained, tested = (text_format.Parse(NET, caffe_pb2.NetParameter()) for _ in range(2))
    del tested.layer[-1]
    set_layers([trained, tested], {"layer[fc6].num_output": 8, "layer[norm].lrn_param.local_size": 7})
    for net in (trained, tested):
        assert [layer.inner_product_param.num_output for layer in net.layer if layer.name == "fc6"] == [8]
    assert trained.layer[-1].lrn_param.local_size == 7


DATA = """
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
        data_param { source: "train" batch_size: 20 } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
        transform_param { crop_size: 227 } data_param { source: "test" batch_size: 40 } }
"""


def test_fields_of_pictures_are_set_in_training_and_test_alike_where_caffe_looks_for_them():
    net, tested = (text_format.Parse(DATA, caffe_pb2.NetParameter()) for _ in range(2))
    fields = {"crop_size": 224, "scale": 0.5, "mean_file": "mean.binaryproto", "force_color": True, "mirror": True}
    set_layers([net, tested], {f"layer[data].{name}": value for name, value in fields.items()})
    for layer in (*net.layer, *tested.layer):
        assert {name: getattr(layer.transform_param, name) for name in fields} == fields
        assert {field.name for field, _ in layer.data_param.ListFields()} == {"source", "batch_size"}


def test_a_batch_size_is_that_of_the_training_where_tests_share_the_name():
    trained, tested = (text_format.Parse(DATA, caffe_pb2.NetParameter()) for _ in range(2))
    del tested.layer[0]
    tested.layer[0].ClearField("include")
    set_layers([trained, tested], {"layer[data].batch_size": 10})
    assert [layer.data_param.batch_size for layer in (*trained.layer, *tested.layer)] == [10, 40, 40]
    del trained.layer[0]
    set_layers([trained], {"layer[data].batch_size": 30})
    assert trained.layer[0].data_param.batch_size == 30


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("layer[fc66].num_output", r"found layer\[fc66\]; wanted a layer of small; did you mean 'fc6'"),
        ("layer[fc6].kernel", r"wanted a layer of small that has this field"),
        ("layer[fc6]", r"wanted layer\[NAME\].FIELD"),
    ],
)
def test_a_layer_or_a_field_that_is_not_there_is_named(path, message):
    with pytest.raises(ValueError, match=message):
        set_layers([text_format.Parse(NET, caffe_pb2.NetParameter())], {path: 1})
