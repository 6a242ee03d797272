"""Facts that a check of nets needs from outside them: what a Python layer imports, an LMDB's Datums, a mean."""

from pathlib import Path

import lmdb
from caffe.proto import caffe_pb2
from google.protobuf.message import DecodeError

OUR_LAYERS = "mindpics.layers"


def check_data_layer(layer):
    """Check that a Data layer's LMDB opens, and that its Datums, mean and crop go together."""
    datum = first_datum(layer.data_param.source)
    if datum.encoded:
        return  # its size is known only once decoded
    shape = (datum.channels, datum.height, datum.width)
    crop = layer.transform_param.crop_size
    if crop > min(datum.height, datum.width):
        raise ValueError(f"layer {layer.name}: crop_size {crop} is larger than the Datums {shape}")
    if layer.transform_param.mean_file:
        mean = mean_shape(layer.transform_param.mean_file)
        if mean != shape:
            raise ValueError(f"{layer.transform_param.mean_file}: mean {mean}, but the Datums are {shape}")


def first_datum(source):
    """Return the first Datum of an LMDB.

    Raises
    ------
    ValueError
        When there is no LMDB, none that opens, or nothing in it.
    """
    if not (Path(source) / "data.mdb").is_file():
        raise ValueError(f"{source}: no LMDB there (no data.mdb); tools/create_lmdb makes one")
    try:
        with lmdb.open(str(source), readonly=True, lock=False) as env, env.begin() as transaction:
            _, value = next(iter(transaction.cursor()), (None, None))
    except lmdb.Error as error:
        raise ValueError(f"{source}: not a readable LMDB ({error})") from None
    if value is None:
        raise ValueError(f"{source}: an empty LMDB")
    try:
        return caffe_pb2.Datum.FromString(value)
    except DecodeError as error:
        raise ValueError(f"{source}: its first value is no Datum ({error})") from None


def mean_shape(path):
    """Return (channels, height, width) of a mean file, a BlobProto.

    Raises
    ------
    ValueError
        When it is missing or none.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: no mean file there; tools/compute_mean makes one")
    try:
        blob = caffe_pb2.BlobProto.FromString(Path(path).read_bytes())
    except DecodeError as error:
        raise ValueError(f"{path}: not a mean file ({error})") from None
    shape = tuple(blob.shape.dim)[-3:] or (blob.channels, blob.height, blob.width)
    if len(shape) != 3 or len(blob.data) != shape[0] * shape[1] * shape[2]:
        raise ValueError(f"{path}: a mean of shape {shape} with {len(blob.data)} values")
    return shape
