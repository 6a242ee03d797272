"""A small experiment on generated pins: 12 users of 20 pins each, 24 image features."""

import numpy as np

from pinterest_id.experiment import Experiment
from pinterest_id.generated import generate_pins
from pinterest_id.options import Options
from pinterest_id.records import write_pins

SMALL = Options(sizes=(12, 4, 4))


def write_data(folder, generated, ids=None):
    """Write pins.jsonl and fc7 to a folder; return their Experiment, which has not run."""
    pins = generated.pins()
    write_pins(folder / "pins.jsonl", pins)
    np.save(folder / "fc7.npy", generated.images)
    (folder / "fc7.ids.txt").write_text("".join(f"{i}\n" for i in ids or [pin.id for pin in pins]))
    return Experiment(folder / "pins.jsonl", folder / "fc7", folder / "run", SMALL)


def small_pins():
    return generate_pins(12, 20, 24, n_words=120, text_signal=0.6)
