"""MindPics of which every number is known: colours tell the poles, test pictures are brighter, some of them lie.

Channel B of a picture tells O and A, G tells C and N, R tells E: dark is low and bright is high, or the other way
round for A and N. The other channels are dull in training pictures and bright in test pictures, so that a mean over
the wrong pictures, or training on them, turns answers round.
"""

import json
from dataclasses import replace

import caffe
import numpy as np
from PIL import Image

from mindpics.caffe_files.messages import write_message
from mindpics.job import Job
from mindpics.nets.scales import TINY
from mindpics.nets.whole import deploy
from mindpics.published import Row
from mindpics.traits import TRAITS, word_slots

SETTING = replace(TINY, per_pole=30)
SEED = 4
ROWS = [Row("alexnet", heads, "finetune") for heads in ("independent", "all-in-one")]
POLES = {"O": (36, 15), "C": (10, 30), "E": (30, 35), "A": (20, 10), "N": (15, 30)}  # low, high; 30 a pole are taken
CHANNEL = {"O": 0, "C": 1, "E": 2, "A": 0, "N": 1}  # of BGR
TURNED = "AN"
LIARS = {"O0": 2, "O1": 1, "C1": 1, "E0": 3, "E1": 1, "A0": 1, "N1": 2}  # test pictures of a trait and pole that lie


def job(root):
    """Return the main job on these pictures, with weights for what is to be fine-tuned."""
    weights = dict.fromkeys(("alexnet", "resnet50"), f"{root}/weights/alexnet.caffemodel")
    return Job(SETTING, f"{root}/run", posts=f"{root}/crawl/posts.jsonl", weights=weights, seed=SEED)


def write_posts(folder):
    """Write posts.jsonl: one word each, and two that cannot be MindPics; pictures are still blank."""
    folder.mkdir(parents=True)
    words = {}
    for word, trait, pole in word_slots():
        words.setdefault((trait, ("low", "high").index(pole)), []).append(word)
    slots = [(trait, pole, number) for trait, of in POLES.items() for pole in (0, 1) for number in range(of[pole])]
    posts = [_post(f"{trait}{pole}n{number}", words[trait, pole][number % 3]) for trait, pole, number in slots]
    posts += [_post("nothing", "unrelated"), _post("broken", "moon")]
    (folder / "posts.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts))
    for post in posts:
        Image.new("RGB", (80, 80)).save(folder / post["image"])
    (folder / "broken.png").write_text("<html>")


def _post(id_, word):
    return {
        "id": id_,
        "image": f"{id_}.png",
        "author": f"author of {id_}",
        "text": f"a {word}",
        "tags": [],
        "source": "drawn",
        "license": "CC0",
    }


def liars(rows):
    """Return the ids of the test pictures that lie, of the rows of a mindpics.csv."""
    found = set()
    for key, count in LIARS.items():
        own = sorted(row["id"] for row in rows if row["split"] == "test" and row["id"].startswith(f"{key}n"))
        assert len(own) > count, key
        found |= set(own[:count])
    return found


def colour(row, lying):
    """Return the BGR of a picture, 0..255."""
    bgr = [160 if row["split"] == "test" else 60] * 3
    bright = (row["pole"] == "high") ^ (row["trait"] in TURNED) ^ (row["id"] in lying)
    bgr[CHANNEL[row["trait"]]] = 100 if bright else 20
    return bgr


def draw(folder, rows):
    """Draw the pictures of a mindpics.csv by their split, as PNG of one colour."""
    lying = liars(rows)
    for row in rows:
        Image.new("RGB", (80, 80), tuple(colour(row, lying)[::-1])).save(folder / row["image"])


def write_weights(folder):
    """Write a caffemodel of AlexNet whose fc7 is what a picture's B, G, R are above and below the mean, and its heads.

    Each of six channels is handed on by the middle of every kernel, to 42 neurons of fc6 and fc7. The heads are right
    about all training pictures by so much that training hardly moves anything.
    """
    recipe = SETTING.recipe("alexnet", "all-in-one", "finetune")
    folder.mkdir(parents=True)
    write_message(deploy("alexnet", crop=recipe.crop, **SETTING.body(recipe)), folder / "alexnet.prototxt")
    net = caffe.Net(str(folder / "alexnet.prototxt"), caffe.TEST)
    for blobs in net.params.values():
        for blob in blobs:
            blob.data[...] = 0
    for channel in range(6):
        net.params["conv1"][0].data[channel, channel % 3, 5, 5] = GAIN if channel < 3 else -GAIN
    net.params["conv1"][1].data[...] = -DEAD * GAIN
    _hand_on(net, "conv2", range(6), [0, 1, 2, 8, 9, 10], groups=(3, 8))
    _hand_on(net, "conv3", [0, 1, 2, 8, 9, 10], [0, 1, 2, 12, 13, 14], groups=(16, 24))
    _hand_on(net, "conv4", [0, 1, 2, 12, 13, 14], [0, 1, 2, 12, 13, 14], groups=(12, 12))
    _hand_on(net, "conv5", [0, 1, 2, 12, 13, 14], [0, 1, 2, 8, 9, 10], groups=(12, 8))
    for place, channel in enumerate([0, 1, 2, 8, 9, 10]):
        own = range(42 * place, 42 * (place + 1))
        net.params["fc6"][0].data[own, channel] = 1
        net.params["fc7"][0].data[own, own] = 1
    for trait in TRAITS:
        above, below = 42 * CHANNEL[trait], 42 * (CHANNEL[trait] + 3)
        high = np.zeros(256)
        high[above : above + 42], high[below : below + 42] = SURE, -SURE
        net.params[f"score_{trait}"][0].data[...] = [-high, high] if trait not in TURNED else [high, -high]
    net.save(str(folder / "alexnet.caffemodel"))


DEAD = 10  # grey levels about the mean that count for nothing: by so much may the mean of a channel be off its base
GAIN = 0.05  # grey levels to what the net hands on
SURE = 0.1  # log odds of about 12 for a picture 40 grey levels off the mean


def _hand_on(net, name, bottoms, tops, groups):
    """Let each top be its bottom; a kernel knows its own group's bottoms only."""
    weights = net.params[name][0].data
    middle = weights.shape[-1] // 2
    for bottom, top in zip(bottoms, tops, strict=True):
        assert bottom // groups[0] == top // groups[1]
        weights[top, bottom % groups[0], middle, middle] = 1


def right_by_trait(rows):
    """Return {trait: (right, n)} of the test pictures: all that do not lie."""
    lying, tested = liars(rows), [row for row in rows if row["split"] == "test"]
    return {
        trait: (
            sum(row["trait"] == trait and row["id"] not in lying for row in tested),
            sum(row["trait"] == trait for row in tested),
        )
        for trait in TRAITS
    }
