"""Lint of pictures that lists name, decoded in a child as Caffe has them, as many as there is time for."""

import os

from mindpics.caffe_files.datum import decode
from mindpics.caffe_files.lmdbs import read_mean
from mindpics.files.bounded import read_bytes
from mindpics.jobs.fork_first import in_fork

PICTURES, BYTES = 10_000, 1 << 30  # of a list that are looked at: some seconds, or a minute
TIMEOUT = 86_400  # seconds; Caffe reads the same files as slowly


def look(function, source, *args):
    """Return what a child finds: what is listed may be a stranger's.

    Parameters
    ----------
    function : callable
    source : str
        The list, which errors name first.
    *args : object
        What the function is called with.
    """
    try:
        return in_fork(function, *args, timeout=TIMEOUT)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def check_pictures(layer, names):
    """Return how many of an ImageData layer's pictures were looked at; ValueError at the first at which it would abort.

    Parameters
    ----------
    layer : LayerParameter
    names : list of str
        As the list has them, without root_folder.
    """
    param, crop, size, first = layer.image_data_param, layer.transform_param.crop_size, 0, None
    channels = 3 if param.is_color else 1
    mean, alike = _mean(layer.transform_param, channels), _alike(param, len(names))
    for number, name in enumerate(names[:PICTURES]):
        path = param.root_folder + name
        if size > BYTES:
            return number
        size += os.path.getsize(path)
        sides = _decoded_sides(path, channels, f"line {number + 1}")
        if param.new_height:
            sides = param.new_height, param.new_width
        where = f"line {number + 1}: found {path} of {sides}"
        if crop > min(sides):
            raise ValueError(f"{where}; wanted at least the crop_size, {crop}")
        if mean and mean[1:] != sides:
            raise ValueError(f"{where}; wanted {mean[1:]}, as the mean of {layer.transform_param.mean_file}")
        first = sides if number % alike == 0 else first
        if sides != first and not crop:
            rest = "others of its batch" if alike == param.batch_size else "all: batches begin anywhere in the list"
            raise ValueError(f"{where}; wanted {first}, as {rest}")
    return min(len(names), PICTURES)


def _alike(param, count):
    """Return how many pictures in a row have to be of one size, if nothing crops them.

    Those of a batch, and all where shuffle, rand_skip or a list that no batch ends with let a batch begin anywhere.
    """
    if param.batch_size <= 1:
        return 1
    return count if param.shuffle or param.rand_skip > 1 or count % param.batch_size else param.batch_size


def _mean(transform, channels):
    """Return the shape of a TransformationParameter's mean; None without one; ValueError for one of other channels."""
    if len(transform.mean_value) not in (0, 1, channels):
        raise ValueError(f"found {len(transform.mean_value)} mean_value; wanted one, or one for each of {channels}")
    if not os.path.isfile(transform.mean_file):  # which Caffe says as it builds the net
        return None
    shape = read_mean(transform.mean_file).shape
    if shape[0] != channels:
        raise ValueError(f"found {transform.mean_file} of {shape[0]} channels; wanted the pictures' {channels}")
    return shape


def _decoded_sides(path, channels, where):
    pixels = decode(read_bytes(path, "a picture"), channels, "ImageData")
    if pixels is None:
        raise ValueError(f"{where}: found {path}, which does not decode; wanted a picture")
    return pixels.shape[:2]
