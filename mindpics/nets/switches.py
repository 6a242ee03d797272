"""Switches for the paper's open readings: arguments, the setting they give, the words that repeat them."""

import math
from dataclasses import replace

from mindpics.nets.head_losses import LOSSES
from mindpics.nets.trait_loss import NORMALIZATIONS

SWITCHES = {
    "normalization": {"choices": NORMALIZATIONS, "help": "of equation 5, which BATCH_SIZE reads literally"},
    "base_lr": {"type": float, "help": "the rate to start with"},
    "epochs": {"type": float, "help": "length; stepsize, snapshot and test_interval scale along"},
    "batch": {"type": int, "help": "pictures a pass, a divisor of the net's batch; iter_size keeps an update's"},
    "snapshots": {"type": int, "help": "how many, evenly over a training; each is kept"},
    "frozen_batch_norm": {
        "action": "store_true",
        "default": None,
        "help": "use_global_stats when fine-tuning, as He's release says",
    },
    "alexnet_crop": {"type": int, "help": "the paper says both 227 (the default) and 224"},
    "loss": {"choices": LOSSES, "help": "layers of the losses: our Python ones (default), or Caffe's own alone"},
}

# of a pretraining, which stands in for published weights: no other switch changes those
PRETRAINING = ("batch", "snapshots", "alexnet_crop")


def add_arguments(parser, names=tuple(SWITCHES)):
    """Give an argparse parser switches of the nets; none of them given is the scale's, or the solver's, own reading.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    names : iterable of str
        Keys of SWITCHES.
    """
    for name in names:
        parser.add_argument(f"--{name.replace('_', '-')}", **SWITCHES[name])


def from_args(args):
    """Return {name: value} of the switches that parsed arguments give."""
    return {name: getattr(args, name) for name in SWITCHES if getattr(args, name, None) is not None}


def check(values):
    """Raise ValueError where a name is no switch, a number is not above 0, a word none of those there are."""
    for name, value in values.items():
        if name not in SWITCHES:
            raise ValueError(f"found {name}={value!r}; wanted one of {', '.join(SWITCHES)}")
        choices = SWITCHES[name].get("choices", (value,))
        if value not in choices:
            raise ValueError(f"found {name}={value!r}; wanted one of {', '.join(choices)}")
    for name in ("base_lr", "epochs", "alexnet_crop", "batch", "snapshots"):
        if name in values and not 0 < values[name] < math.inf:
            raise ValueError(f"found {name}={values[name]}; wanted more than 0")


def passes(net, batch, smaller, scales):
    """Return the iter_size that keeps a batch; ValueError where the smaller one does not divide it, or none would.

    Parameters
    ----------
    net : str
        For the message.
    batch : int
        Pictures of an update.
    smaller : int
        Pictures of a pass.
    scales : bool
        It has Scale layers, in which BVLC does not add up the gradients of single pictures.
    """
    if batch % smaller:
        raise ValueError(f"found batch={smaller}; wanted a divisor of {net}'s batch, {batch}")
    if scales and smaller == 1 < batch:
        text = "whose gradients BVLC's Scale does not add up over single pictures"
        raise ValueError(f"found batch=1 for {net}, {text}; wanted 2 or more")
    return batch // smaller


def switched(setting, **values):
    """Return a `Setting` with other readings, which it remembers; see `add_arguments`.

    Raises
    ------
    ValueError
        A rate, a length or a crop that is none, or a batch that does not divide a net's or is above all nets'.
    """
    check(values)
    largest = max(recipe.batch for recipe in setting.recipes.values())
    if values.get("batch", largest) > largest:
        raise ValueError(f"found batch={values['batch']}; wanted {largest}, the largest of a net, or a divisor of it")
    recipes = {key: _recipe(key, recipe, values) for key, recipe in setting.recipes.items()}
    whole = {name: values[name] for name in ("normalization", "loss", "snapshots") if name in values}
    return replace(setting, recipes=recipes, switches=setting.switches | values, **whole)


def words(setting, names=tuple(SWITCHES)):
    """Return the command-line words that give the same readings, of those named, again, over the scale's own."""
    return [word for name, value in setting.switches.items() if name in names for word in words_of(name, value)]


def words_of(name, value):
    """Return the command-line words of one reading; [] of one that is False."""
    if value is False:
        return []
    return [f"--{name.replace('_', '-')}", *([] if value is True else [f"{value}"])]


def _recipe(key, recipe, values):
    net, heads, init = key
    if net == "alexnet" and "alexnet_crop" in values:
        recipe = replace(recipe, crop=values["alexnet_crop"])
    if values.get("batch", recipe.batch) < recipe.batch:
        recipe = replace(recipe, iter_size=passes(net, recipe.batch, values["batch"], net == "resnet50"))
    if heads == "pretrain":
        return recipe
    schedule = recipe.schedule
    if "base_lr" in values:
        schedule = replace(schedule, base_lr=values["base_lr"])
    if "epochs" in values:
        longer = values["epochs"] / schedule.epochs
        schedule = replace(schedule, epochs=values["epochs"], step_epochs=longer * schedule.step_epochs)
        recipe = replace(recipe, seconds=longer * recipe.seconds)
    return replace(recipe, schedule=schedule, frozen=init == "finetune" and "frozen_batch_norm" in values)
