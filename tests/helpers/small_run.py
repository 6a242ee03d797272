"""A whole run in miniature, as tools/reproduce leaves one: drawn pictures, two real nets, pins, both tables.

For the tests of the report and of the page, in a browser. The text in it would break a careless page.
"""

import csv
import json

import caffe
import lmdb
import numpy as np
from PIL import Image
from striped_pictures import picture

from mindpics.caffe_files.lmdbs import read_mean, write_mean
from mindpics.caffe_files.messages import write_message
from mindpics.inference.feature_net import FeatureNet
from mindpics.inference.infer import save_scores, score_lmdb
from mindpics.inference.picture_net import centre_crop
from mindpics.nets.solvers import Schedule, solver
from mindpics.nets.whole import Data, deploy, train_val
from mindpics.published import Row
from mindpics.results.table3 import line_of, write_table3
from mindpics.training.train import solve
from mindpics.traits import trait_of
from pinterest_id.experiment import Experiment
from pinterest_id.options import Options
from pinterest_id.plan import NET
from pinterest_id.records import Pin, write_pins
from pinterest_id.tables import write_report

EVIL = "<script>document.title='broken'</script>"
BEST = "resnet50_all-in-one_finetune"
SIDE = 75
TRAIN, TEST = 160, 40
CREATORS = [EVIL, "Zoë Ångström", "A. Very-Long-Name-Without-Any-Space-In-It-At-All-As-Some-Creators-Have", "Mo"]
COLOURS = [(40, 160, 0), (160, 0, 40), (0, 40, 160), (90, 90, 90)]
SUBJECTS = ["moon", "apple", "house", "river"]


def make_small_run(folder):
    """Make FOLDER/run, with its pictures beside it; return it."""
    run = folder / "run"
    run.mkdir()
    stripes = _draw_stripes(folder / "emoji")
    _select(folder / "emoji", run / "mindpics")
    _train(stripes, run / "mindpics")
    _identify(folder / "clipart", run / "pinterest_id", run / "mindpics")
    facts = {"data": f"stand-in: drawn stripes {EVIL}", "seed": 0, "gpu": None, "versions": {"numpy": np.__version__}}
    (run / "run.json").write_text(json.dumps(facts))
    return run


def _draw_stripes(folder):
    """Stripes of ten kinds, one a label, as files; return them, uint8 [N, SIDE, SIDE, 3], RGB."""
    rng = np.random.default_rng(0)
    drawn = [picture(index % 10, rng)[::-1].transpose(1, 2, 0) for index in range(TRAIN + TEST)]
    return _save(folder, [np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE))) for pixels in drawn])


def _select(pictures, mindpics):
    mindpics.mkdir()
    with open(mindpics / "mindpics.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("id", "image", "trait", "pole", "word", "label", "split", "group"))
        for i in range(TRAIN + TEST):
            label, split = i % 10, "train" if i < TRAIN else "test"
            writer.writerow((f"p{i}", f"images/{i}.png", *trait_of(label), EVIL, label, split, i))
    facts = {"arguments": {"posts": str(pictures / "posts.jsonl"), "split": "image"}}
    (mindpics / "summary.json").write_text(json.dumps(facts))


def _train(stripes, mindpics):
    """LMDBs and a mean; a ResNet-50 that learns the stripes, and an AlexNet that hardly begins to, for its fc7."""
    paths = [str(mindpics / name) for name in ("train_lmdb", "test_lmdb", "mean.binaryproto")]
    _write_lmdb(paths[0], stripes, range(TRAIN))
    _write_lmdb(paths[1], stripes, range(TRAIN, TRAIN + TEST))
    write_mean(paths[2], stripes[:TRAIN, :, :, ::-1].mean(axis=0).transpose(2, 0, 1))
    rows = [
        _row("alexnet", "scratch", Data(*paths, 20, 20, 67), Schedule(4, 4, 0.01), mindpics, {}),
        _row("resnet50", "finetune", Data(*paths, 20, 20, 32), Schedule(15, 12, 0.01), mindpics, {"fraction": 0.9}),
    ]
    write_table3(mindpics / "table3.csv", rows)
    _write_features(mindpics / BEST / "pool5", BEST, stripes, "p", mindpics)


def _row(net, init, data, schedule, mindpics, size):
    """Train and score one all-in-one net; return its row of Table 3."""
    name, size = f"{net}_all-in-one_{init}", {"width": 0.0625, **size}
    nets, out = mindpics / "nets/prototxt" / name, mindpics / name
    write_message(train_val(net, data, **size), nets / "train_val.prototxt")
    write_message(deploy(net, crop=data.crop, **size), nets / "deploy.prototxt")
    message = solver(
        str(nets / "train_val.prototxt"),
        schedule,
        train=TRAIN,
        batch=20,
        test=TEST,
        test_batch=20,
        prefix="",
        seed=1,
        snapshots=1,
        tests=3,
    )
    weights = solve(message, out / name, progress=False).caffemodel
    save_scores(out / "scores.npz", *score_lmdb([(nets / "deploy.prototxt", weights)], data.mean, data.test))
    row = Row(net, "all-in-one", init)
    return line_of(row, out / "scores.npz", f"tools/reproduce --row {row.switch} {EVIL}")


def _identify(folder, out, mindpics):
    """Creators who each draw one colour and one subject, mostly; the whole Pinterest experiment on them."""
    rng, drawn, pins = np.random.default_rng(1), [], []
    for i in range(12 * len(CREATORS)):
        code = i % len(CREATORS)
        drawn.append((rng.integers(0, 90, (SIDE, SIDE, 3)) + COLOURS[code]).astype(np.uint8))
        subject = SUBJECTS[code if rng.random() < 0.8 else rng.integers(4)]
        text = f"{subject} number {rng.integers(9)} {EVIL if i % 5 == 0 else ''}"
        pins.append(Pin(f"c{i}", CREATORS[code], None, f"images/{i}.png", text))
    drawn = _save(folder, drawn)
    write_pins(folder / "pins.jsonl", pins)
    out.mkdir()
    _write_features(out / "fc7", NET, drawn, "c", mindpics)
    Experiment(folder / "pins.jsonl", out / "fc7", out, Options(sizes=(8, 2, 2))).run()
    write_report(out, f"tools/run_identification {EVIL}")


def _save(folder, drawn):
    (folder / "images").mkdir(parents=True)
    for i, pixels in enumerate(drawn):
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
    return np.stack(drawn)


def _channels(drawn):
    """RGB [N, H, W, 3] -> BGR [N, 3, H, W]."""
    return drawn[..., ::-1].transpose(0, 3, 1, 2)


def _write_lmdb(path, drawn, places):
    with lmdb.open(path, map_size=1 << 28) as env, env.begin(write=True) as transaction:
        for i in places:
            datum = caffe.io.array_to_datum(_channels(drawn[i : i + 1])[0], i % 10)
            transaction.put(f"{i:08d}_p{i}".encode(), datum.SerializeToString())


def _write_features(path, model, drawn, letter, mindpics):
    """Features as tools/extract_features writes them, without its child processes."""
    net = FeatureNet(
        mindpics / "nets/prototxt" / model / "deploy.prototxt", mindpics / model / model / "final.caffemodel", path.name
    )
    mean = read_mean(mindpics / "mean.binaryproto")
    np.save(f"{path}.npy", net.run(centre_crop(_channels(drawn), mean, net.crop)))
    path.with_name(f"{path.name}.ids.txt").write_text("".join(f"{letter}{i}\n" for i in range(len(drawn))))
