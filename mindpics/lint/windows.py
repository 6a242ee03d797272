"""Lint of a WindowData layer's list: its pictures, the windows in them that batches are drawn from, their labels."""

import os
from itertools import islice
from typing import NamedTuple

import numpy as np

from mindpics.caffe_files.datum import decode
from mindpics.caffe_files.lmdb_check import Records
from mindpics.caffe_files.lmdbs import read_mean
from mindpics.files.bounded import open_regular, read_bytes
from mindpics.lint import pictures
from mindpics.lint.labels import check_labels

CHANNELS = 3  # in which Caffe decodes pictures, whatever the list says
LOST = 20  # pictures that do not decode, behind which no further one is looked at: each takes a child
INT = 2**31 - 1  # the most that Caffe reads


def check_windows(view, index, layer):
    """Yield what Caffe makes of a list of windows and nobody means, and labels that nobody knows.

    Parameters
    ----------
    view : NetPhase
    index : int
        Of the layer in its net.
    layer : LayerParameter
        WindowData.

    Raises
    ------
    ValueError
        What Caffe aborts on, or reads or writes foreign memory for.
    """
    source = layer.window_data_param.source
    listed = pictures.look(_look_through, source, layer)
    yield from check_labels(view, index, layer, Records(listed["count"], {}, dict(listed["labels"]), 0))
    for text in listed["warnings"]:
        yield view.finding("warning", "windows", index, f"{source}: {text}")
    if listed["is_cut"]:
        text = f"{source}: of its pictures the first {listed['decoded']} with windows were looked at"
        yield view.finding("note", "list", index, text)


def _look_through(layer):
    """Return what `check_windows` tells of a list; ValueError for what Caffe aborts on."""
    _check_parameters(layer)
    source, look = layer.window_data_param.source, _Look(layer)
    with open_regular(source, "a list of windows") as stream:
        words = _Words(stream)
        for number, block in enumerate(_blocks(words)):
            look.take(number, block)
    return look.result(words)


def _check_parameters(layer):
    param, transform = layer.window_data_param, layer.transform_param
    crop = transform.crop_size
    if not 0 <= param.fg_fraction <= 1:
        raise ValueError(f"found fg_fraction {param.fg_fraction:g}; wanted one from 0 to 1")
    if 2 * param.context_pad >= crop > 0:
        raise ValueError(f"found context_pad {param.context_pad}; wanted less than half the crop_size, {crop}")
    if os.path.isfile(transform.mean_file):
        mean = read_mean(transform.mean_file).shape
        if mean[0] < CHANNELS or mean[2] < crop or (mean[2] - crop) // 2 + crop > mean[1]:
            raise ValueError(f"found {transform.mean_file} of {mean}; wanted at least {(CHANNELS, crop, crop)}")


class _Words:
    """The words of a file, and the line of the last one."""

    def __init__(self, stream):
        self.line, self.warnings = 0, []
        self._words = self._split(stream)

    def _split(self, stream):
        for self.line, text in enumerate(stream, 1):
            yield from text.split()

    def take(self, count):
        """Return so many words, or as many as there are."""
        return list(islice(self._words, count))

    def rows(self, count, width):
        """Return an array of words; ValueError where there are fewer."""
        words = self.take(count * width)
        if len(words) < count * width:
            raise ValueError(f"line {self.line}: found the list's end; wanted {count * width - len(words)} words more")
        return np.array(words, "S").reshape(count, width)

    def numbers(self, words, dtype):
        """Return words that were read as numbers."""
        try:
            return words.astype(dtype)
        except (ValueError, OverflowError):
            raise ValueError(f"up to line {self.line}: found a word that is none; wanted numbers") from None


class _Block(NamedTuple):
    """A picture of a list, and its windows: label [N], overlap [N], x1 y1 x2 y2 [N, 4]."""

    line: int
    index: int
    path: str
    channels: int
    labels: np.ndarray
    overlaps: np.ndarray
    corners: np.ndarray


def _blocks(words):
    """Yield the _Block of each picture, as Caffe reads them."""
    is_first = True
    while len(head := words.take(2)) == 2:
        where = f"line {words.line}: found {os.fsdecode(b' '.join(head))!r}"
        is_number = head[1].lstrip(b"+-").isdigit()
        if not is_number and not is_first:
            words.warnings.append(f"{where}: Caffe reads no further")
            return
        if not is_number or head[0] != b"#":
            raise ValueError(f"{where}; wanted # and the number of a picture")
        line, is_first = words.line, False
        path = os.fsdecode(b"".join(words.take(1)))
        channels, _, _, count = words.numbers(words.rows(1, 4)[0], np.int64).tolist()
        rows = words.rows(min(max(0, count), INT), 6)
        whole = words.numbers(rows[:, [0, 2, 3, 4, 5]], np.int64)
        overlaps = words.numbers(rows[:, 1], np.float32)
        yield _Block(line, int(head[1]), path, channels, whole[:, 0], overlaps, whole[:, 1:])
    if is_first:
        raise ValueError("found an empty list; wanted pictures and windows")


class _Look:
    """One look at each picture of a list and at its windows that batches are drawn from."""

    def __init__(self, layer):
        self.param, self.transform = layer.window_data_param, layer.transform_param
        front = int(np.float32(self.param.batch_size) * np.float32(self.param.fg_fraction))
        self.draws = {True: front > 0, False: front < self.param.batch_size}  # by whether a window is of the foreground
        self.counts = {True: 0, False: 0}
        self.labels, self.strays, self.lost = {}, [], []
        self.count = self.decoded = self.size = self.channels = 0
        self.is_cut = False

    def take(self, number, block):
        """Look at a picture and its windows; ValueError at what Caffe aborts on."""
        path, line = self.param.root_folder + block.path, block.line
        self.count, self.channels = number + 1, block.channels
        is_drawn = self._draw(block, path)
        if self.param.cache_images and not os.path.isfile(path):
            raise ValueError(f"line {line}: found {path}, which is not there; wanted a picture")
        if not is_drawn.any():
            return
        if block.index != number:
            self.strays.append((block.index, line, number))
        elif self.decoded >= pictures.PICTURES or self.size > pictures.BYTES or len(self.lost) >= LOST:
            self.is_cut = True
        else:
            self._decode(line, path, block.corners[is_drawn])

    def _draw(self, block, path):
        """Tell of each window whether a batch may have it, and keep the label that Caffe gives it there."""
        in_front = block.overlaps >= np.float32(self.param.fg_threshold)
        behind = ~in_front & (block.overlaps < np.float32(self.param.bg_threshold))
        of_front = block.labels[in_front]
        if (of_front < 1).any():
            text = f"found a window of the foreground with label {of_front.min()}; wanted 1 on"
            raise ValueError(f"line {block.line}: {text}")
        self.counts[True] += int(in_front.sum())
        self.counts[False] += int(behind.sum())
        is_drawn = in_front & self.draws[True] | behind & self.draws[False]
        for label in np.unique(np.where(in_front, block.labels, 0)[is_drawn]).tolist():
            self.labels.setdefault(label, path)
        return is_drawn

    def _decode(self, line, path, corners):
        self.decoded += 1
        pixels = None
        if os.path.isfile(path):
            self.size += os.path.getsize(path)
            reader = "Data" if self.param.cache_images else "ImageData"
            pixels = decode(read_bytes(path, "a picture"), CHANNELS, reader)
        if pixels is None and self.param.cache_images:
            raise ValueError(f"line {line}: found {path}, which does not decode; wanted a picture")
        if pixels is None:
            self.lost.append((line, path))
            return
        height, width = pixels.shape[:2]
        bad = corners[~_fits(corners, (height, width), self.param, self.transform)]
        if len(bad):
            text = f"line {line}: found a window {bad[0].tolist()} of {path}"
            raise ValueError(f"{text}; wanted x1 y1 x2 y2 inside it, {width} wide and {height} high")

    def result(self, words):
        """Return what was found out, as JSON has it; ValueError for what Caffe aborts on."""
        for index, line, number in self.strays:
            if not 0 <= index < self.count:
                text = f"found # {index}; wanted # {number}, its place: Caffe reads foreign memory"
                raise ValueError(f"line {line}: {text}")
        for kind, name in ((True, "fg_threshold on"), (False, "below bg_threshold")):
            if not self.counts[kind]:
                raise ValueError(f"found no window with an overlap {name}; wanted some to draw")
        if self.channels != CHANNELS:
            text = f"found {self.channels} channels of its last picture; wanted {CHANNELS}, as Caffe decodes them"
            raise ValueError(text)
        labels, warnings = list(self.labels.items()), [*words.warnings, *self._warnings()]
        counts = {"count": self.count, "decoded": self.decoded, "is_cut": self.is_cut}
        return {"labels": labels, "warnings": warnings} | counts

    def _warnings(self):
        for index, line, number in self.strays[:1]:
            yield f"line {line}: # {index} is not # {number}, its place: Caffe cuts its windows out of another picture"
        for line, path in self.lost[:1]:
            text = f"line {line}: {path} is not there or does not decode (of {len(self.lost)})"
            yield f"{text}: Caffe leaves the rest of a batch black, under older labels"


def _fits(corners, sides, param, transform):
    """Tell of windows [N, 4] whether Caffe can cut each out of a picture of so many rows and columns."""
    x1, y1, x2, y2 = corners.T.astype(float)
    crop, mirror = transform.crop_size, transform.mirror
    if not crop:  # which Caffe says as it builds the net
        return np.ones(len(corners), bool)
    is_square = param.crop_mode == "square"
    if not param.context_pad and not is_square:
        return (x1 >= 0) & (x1 <= x2) & (x2 < sides[1]) & (y1 >= 0) & (y1 <= y2) & (y2 < sides[0])
    half_x, half_y = (x2 - x1 + 1) / 2, (y2 - y1 + 1) / 2
    middle_x, middle_y = x1 + half_x, y1 + half_y
    if is_square:
        half_x = half_y = np.maximum(half_x, half_y)
    scale = crop / (crop - 2 * param.context_pad)
    is_wide = _fits_along(middle_x, half_x * scale, sides[1], crop, mirror)
    return is_wide & _fits_along(middle_y, half_y * scale, sides[0], crop, False)


def _fits_along(middle, half, side, crop, mirror):
    """Tell whether something is left of windows with their context, clipped by a picture's side and warped."""
    low, high = _rounded(middle - half), _rounded(middle + half)
    first, last = np.maximum(low, 0), np.minimum(high, side - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = crop / (high - low + 1)
        before, after = _rounded((first - low) * scale), _rounded((high - last) * scale)
        length = _rounded((last - first + 1) * scale)
    length = np.minimum(length, crop - (np.maximum(before, after) if mirror else before))
    return (first <= last) & (length > 0)


def _rounded(values):
    """Return values rounded as C does, halves away from zero."""
    return np.copysign(np.floor(np.abs(values) + 0.5), values)
