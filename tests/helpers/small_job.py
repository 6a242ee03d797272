"""The main job at the tiny scale, on pictures drawn here: the same stages, tools and files, in a minute.

    python small_job.py [--no-pins] [ROW ...]     in a folder that `make_crawl` has filled

Fine-tuned nets start from weights that `make_crawl` made; the Pinterest part ends with its classifiers' scores.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from mindpics.caffe_files.messages import write_message
from mindpics.job import Job
from mindpics.jobs.runner import Runner
from mindpics.jobs.stages import StageError
from mindpics.nets.rows import messages, models_of
from mindpics.nets.scales import TINY
from mindpics.plan import plan
from mindpics.published import ROWS, Row
from mindpics.traits import TRAITS, word_slots
from pinterest_id.plan import plan as pinterest_plan

REPOSITORY = Path(__file__).resolve().parents[2]
WORDS = ("moon", "apple", "house", "river")
COUNTS = {split: dict.fromkeys(TRAITS, 10) for split in ("train", "test")}


def make_crawl(folder):
    """Fill `folder` with what the job reads: a crawl, pins' pictures, weights, and the tools."""
    folder.mkdir()
    (folder / "tools").symlink_to(REPOSITORY / "tools")
    rng = np.random.default_rng(0)
    slots = list({(trait, pole): word for word, trait, pole in word_slots()}.items())
    posts = [_post(f"p{i}", slots[i % len(slots)][1], "", f"author {i % 7}") for i in range(90)]
    _write(folder / "crawl", posts, rng)
    works = [_post(f"w{i}", "", f"a {WORDS[i % 4]} of {WORDS[i % 3]}", f"creator {i % 6}") for i in range(60)]
    _write(folder / "data/open/clipart", works, rng)
    (folder / "crawl/p5.png").write_bytes(b"<html>")  # one that cannot be read
    for net in ("alexnet", "resnet50"):
        _weights(net, folder / "weights")


def _post(id_, tag, title, author):
    return {
        "id": id_,
        "image": f"{id_}.png",
        "author": author,
        "text": "",
        "tags": [tag] if tag else [],
        "source": "drawn",
        "license": "CC0",
        "title": title,
    }


def _write(folder, posts, rng):
    folder.mkdir(parents=True)
    for post in posts:
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / post["image"])
    (folder / "posts.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts))


def _weights(net, folder):
    """Save a net as it is initialised: something to fine-tune from."""
    import caffe

    (model,) = models_of(Row(net, "all-in-one", "finetune"))
    _, deploy, _ = messages(model, TINY, COUNTS, data_root="", net_path="", snapshot_prefix="")
    for layer in deploy.layer:
        if layer.type in ("Convolution", "InnerProduct"):
            param = layer.convolution_param if layer.type == "Convolution" else layer.inner_product_param
            param.weight_filler.type = "msra"
    write_message(deploy, folder / f"{net}.prototxt")
    caffe.set_random_seed(1)
    caffe.Net(str(folder / f"{net}.prototxt"), caffe.TEST).save(str(folder / f"{net}.caffemodel"))


def stages(rows, pins=True):
    weights = {net: f"weights/{net}.caffemodel" for net in ("alexnet", "resnet50")}
    job = Job(TINY, "run", posts="crawl/posts.jsonl", weights=weights)
    return plan(job, rows) + (pinterest_plan(job.root)[:3] if pins else [])


def main():
    rows = [Row(*row.split("/")) for row in sys.argv[1:] if row != "--no-pins"] or ROWS
    try:
        Runner(stages(rows, "--no-pins" not in sys.argv), "run", 2).run()
    except StageError as error:
        sys.exit(f"small_job: {error}")


if __name__ == "__main__":
    main()
