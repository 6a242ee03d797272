"""Stages of the Pinterest experiment in the main job.

Creators of Open Clip Art stand in for Pinterest's users. Their pictures are described by fc7 of
the AlexNet that learned emoji artwork: no picture and no author of theirs is in it.
"""

from mindpics.jobs.stages import Stage

POSTS = "data/open/clipart/posts.jsonl"
PINS = "data/open/clipart/pins.jsonl"  # beside its pictures
# Few works a creator, and many creators, keep it hard; titles alone are about as short as the
# paper's texts (median 4 words).
LEAST, MOST, WORDS = 8, 20, "title"
CRAWL_SEED = 0  # which works of a creator with many: the data, and so the same for all seeds of a run
SPLIT = ("0.6667", "0.1667", "0.1666")  # the paper's 400 : 100 : 100
NET = "alexnet_all-in-one_scratch"


def plan(root, scale="mini", seed=0, gpu=None):
    """Return the stages from posts to table2.csv.

    Parameters
    ----------
    root : str
        Folder of the run, like runs/mini, whose MindPics part has trained NET.
    scale : str
        Of NET, which fine-tuning goes on from: a name of `mindpics.nets.scales.SETTINGS`.
    seed : int
        Of the split into train, validation and test, and of fine-tuning.
    gpu : int, optional
    """
    mindpics, folder = f"{root}/mindpics", f"{root}/pinterest_id"
    deploy = f"{mindpics}/nets/prototxt/{NET}/deploy.prototxt"
    weights = f"{mindpics}/{NET}/{NET}/final.caffemodel"
    mean = f"{mindpics}/mean.binaryproto"
    on_gpu = () if gpu is None else ("--gpu", str(gpu))
    pins = Stage(
        "pins",
        (
            "tools/make_pins",
            "posts",
            POSTS,
            "--pins-per-user",
            str(LEAST),
            str(MOST),
            "--words",
            WORDS,
            "--seed",
            str(CRAWL_SEED),
            "--out",
            PINS,
        ),
        (POSTS,),
        (PINS,),
        note=f"creators of {LEAST} works or more stand in for users, at most {MOST} works each",
    )
    features = Stage(
        "fc7",
        (
            "tools/extract_features",
            deploy,
            weights,
            "--mean",
            mean,
            "--jsonl",
            PINS,
            "--blob",
            "fc7",
            "--out",
            f"{folder}/fc7",
            *on_gpu,
        ),
        (f"{mindpics}/nets/prototxt", weights, mean, PINS),
        (f"{folder}/fc7.npy", f"{folder}/fc7.ids.txt"),
        cost=30,
        note="fc7 of the AlexNet that learned emoji, in place of DeCAF's; after ReLU, centre crop",
    )
    run = (
        "tools/run_identification",
        "--pins",
        PINS,
        "--features",
        f"{folder}/fc7",
        "--split",
        *SPLIT,
        "--seed",
        str(seed),
        "--out",
        folder,
    )
    made = (PINS, f"{folder}/fc7.npy", f"{folder}/fc7.ids.txt")
    identify = Stage(
        "identify",
        run,
        made,
        (f"{folder}/split.csv",),
        cost=20,
        note="classifiers, cascade, refinement",
    )
    tuned = f"{folder}/fine_tuned"
    fine_tune = Stage(
        "finetune_fc7",
        (
            "tools/finetune_fc7",
            "--pins",
            PINS,
            "--split",
            f"{folder}/split.csv",
            "--weights",
            weights,
            "--scale",
            scale,
            "--seed",
            str(seed),
            "--out",
            tuned,
            *on_gpu,
        ),
        (PINS, f"{folder}/split.csv", weights),
        (f"{tuned}/fc7.npy", f"{tuned}/fc7.ids.txt"),
        cost=80,
        note="fc7 that has seen the users' training pictures: not in the paper",
    )
    report = Stage(
        "table2",
        (*run, "--fine-tuned", f"{tuned}/fc7"),
        (*made, f"{tuned}/fc7.npy", f"{tuned}/fc7.ids.txt"),
        (f"{folder}/table2.csv",),
        cost=20,
        note="with the fine-tuned rows; tables and figures",
    )
    return [pins, features, identify, fine_tune, report]
