"""Facts from outside a net: what a Python layer imports, an LMDB's Datums, a mean."""

import os

from mindpics.caffe_files.lmdb_check import check_records
from mindpics.caffe_files.lmdbs import is_lmdb, read_mean

OUR_LAYERS = "mindpics.layers"


def check_data_layer(layer):
    """Check that a Data layer's LMDB opens, and that its Datums, mean and crop go together, as Caffe does."""
    source, transform = layer.data_param.source, layer.transform_param
    if transform.force_color and transform.force_gray:
        raise ValueError(f"layer {layer.name}: found force_color and force_gray; wanted one of them")
    shapes = records_of(layer).shapes
    (first, key), *further = shapes.items()
    for shape, other in further:
        if shape[0] != first[0]:
            raise ValueError(
                f"{source}: found {shape[0]} channels under key {other!r}, and {first[0]} under {key!r}; wanted as "
                "many, which force_color: true (or force_gray) makes of encoded pictures"
            )
    crop = transform.crop_size
    smallest = min(min(shape[1:]) for shape in shapes)
    if crop > smallest:
        raise ValueError(f"layer {layer.name}: found crop_size {crop}; wanted at most the Datums' {min(shapes)}")
    if transform.mean_file:
        mean = read_mean(transform.mean_file).shape
        for shape in shapes:
            if mean != shape:
                raise ValueError(f"{transform.mean_file}: found mean {mean}; wanted the Datums' shape {shape}")
    if len(transform.mean_value) not in (0, 1, first[0]):
        text = f"found {len(transform.mean_value)} mean_value; wanted one, or one for each of {first[0]} channels"
        raise ValueError(f"layer {layer.name}: {text}")
    if len(shapes) > 1 and not crop and layer.data_param.batch_size > 1:
        raise ValueError(f"{source}: found Datums from {min(shapes)} to {max(shapes)}; wanted one shape")


def picture_shape(layer):
    """Return (channels, height, width) of the first picture that a Data layer's LMDB gives it; ValueError for none."""
    return next(iter(records_of(layer).shapes))


def records_of(layer):
    """Return the `Records` of a Data layer's LMDB, its pictures in as many channels as the layer asks for."""
    transform = layer.transform_param
    return check_records(layer.data_param.source, 3 if transform.force_color else 1 if transform.force_gray else None)


def known_channels(layer):
    """Return how many channels a Data layer's pictures have, of which they themselves or the layer tells; or None.

    Parameters
    ----------
    layer : LayerParameter
    """
    source, transform = layer.data_param.source, layer.transform_param
    try:
        if is_lmdb(source):
            return picture_shape(layer)[0]
        if os.path.isfile(transform.mean_file):
            return read_mean(transform.mean_file).shape[0]
    except ValueError:
        return None
    if transform.force_color or transform.force_gray:
        return 3 if transform.force_color else 1
    return len(transform.mean_value) if len(transform.mean_value) > 1 else None


def stand_in_shape(layer, guess):
    """Return (channels, height, width) of the blob a Data layer gives, as far as files tell; None if they do not.

    Parameters
    ----------
    layer : LayerParameter
    guess : int
        Channels of pictures of which nothing tells, see `known_channels`.
    """
    crop, is_there = layer.transform_param.crop_size, is_lmdb(layer.data_param.source)
    try:
        shape = picture_shape(layer) if is_there else (known_channels(layer) or guess, 0, 0)
    except ValueError:
        return None
    if crop:
        return shape[0], crop, crop
    return shape if is_there else None
