"""Small nets, solvers and databases for the tests of Caffe itself."""

import caffe
import cv2
import lmdb
from caffe.proto import caffe_pb2
from google.protobuf import text_format


def make_net(folder, text, phase=caffe.TEST, **options):
    """Return the caffe.Net that the prototxt `text` describes."""
    path = folder / "net.prototxt"
    path.write_text(text)
    return caffe.Net(str(path), phase, **options)


def write_solver(folder, net, **fields):
    """Write net.prototxt and solver.prototxt (base_lr 1, fixed, CPU, seed 1); return the latter's path."""
    (folder / "net.prototxt").write_text(net)
    given = {
        "base_lr": 1,
        "lr_policy": "fixed",
        "solver_mode": caffe_pb2.SolverParameter.CPU,
        "random_seed": 1,
        "snapshot_after_train": False,
        **fields,
    }
    solver = caffe_pb2.SolverParameter(net=str(folder / "net.prototxt"), **given)
    path = folder / "solver.prototxt"
    path.write_text(text_format.MessageToString(solver))
    return str(path)


def write_lmdb(path, pictures, labels, encoded=False):
    """Write `pictures` (uint8 [C, H, W]) with their labels, raw or as PNG, and return the path."""
    with lmdb.open(str(path), map_size=1 << 26) as env, env.begin(write=True) as txn:
        for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
            datum = caffe_pb2.Datum(
                channels=picture.shape[0],
                height=picture.shape[1],
                width=picture.shape[2],
                label=int(label),
                data=picture.tobytes(),
            )
            if encoded:
                datum.data = cv2.imencode(".png", picture.transpose(1, 2, 0))[1].tobytes()
                datum.encoded = True
            txn.put(b"%08d" % number, datum.SerializeToString())
    return path


def data_layer(source, batch_size=1, name="data", **transform):
    """Return the prototxt of a Data layer with the tops `data` and `label`."""
    layer = caffe_pb2.LayerParameter(name=name, type="Data", top=["data", "label"])
    layer.data_param.CopyFrom(caffe_pb2.DataParameter(source=str(source), batch_size=batch_size, backend=1))
    layer.transform_param.CopyFrom(caffe_pb2.TransformationParameter(**transform))
    return text_format.MessageToString(caffe_pb2.NetParameter(layer=[layer]))


def caffe_train():
    """`caffe train` of the working directory's solver.prototxt, for a child: Caffe may end the process."""
    caffe.set_mode_cpu()
    caffe.get_solver("solver.prototxt").solve()


def pass_forward(path, seeds):
    """Feed a net by five batches for each of so many seeds, for a child: Caffe may end the process."""
    for seed in range(seeds):
        caffe.set_random_seed(seed)
        net = caffe.Net(path, caffe.TRAIN)
        for _ in range(5):
            net.forward()
