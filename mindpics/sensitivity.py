"""Open readings of MindPics, varied one at a time: the job, the stages and the answers of each.

The headline number is the mean accuracy of AlexNet all-in-one from scratch: no weights of others stand in it. It has
no BatchNorm; for that the row is ResNet-50 all-in-one fine-tuned, the paper's best. At mini scale, where that net takes
twice as long as the other, its two trainings are shorter than the main job's and start from the first seed's weights.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from mindpics.files.json_files import read_json
from mindpics.files.layout import RowFiles, TrainingFiles
from mindpics.job import NETS, Job, pretrained
from mindpics.jobs.stages import stages_for
from mindpics.nets.scales import SETTINGS
from mindpics.nets.switches import switched
from mindpics.nets.trait_loss import NORMALIZATIONS
from mindpics.plan import plan
from mindpics.published import Row
from mindpics.results.comparisons import right_answers
from mindpics.results.metrics import load_scores
from mindpics.results.sensitivity import FOLDER, Answers, Change, Varied, move, no_scores
from mindpics.results.study import tested_a_trained
from mindpics.traits import unpack

PAPER = "MindPics"
HEADLINE = Row("alexnet", "all-in-one", "scratch")
BATCH_NORM = Row("resnet50", "all-in-one", "finetune")
NAMES = ("normalization", "crop", "half-epochs", "twice-epochs", "batch-norm", "tags-only", "split", "best-iterate")
BY_DEFAULT = tuple(name for name in NAMES if name != "twice-epochs")  # which takes as long as two others
OTHER_CROP = 224 / 227  # section 4 has both
SHORT = {"mini": 8.0}  # epochs of ResNet-50, with and without frozen BatchNorm, in place of the scale's


@dataclass(frozen=True)
class Reading:
    """One open choice read otherwise.

    Attributes
    ----------
    name : str
        Of its folder, and on the command line.
    choice, default, reading : str
    job : mindpics.job.Job
        Which differs from the default one in this choice alone.
    base : mindpics.job.Job
        The default that it is held against: the main job, or one beside it.
    row : mindpics.published.Row
    iterate : {"last", "best"}
    """

    name: str
    choice: str
    default: str
    reading: str
    job: Job
    base: Job
    row: Row = HEADLINE
    iterate: str = "last"

    @property
    def scores(self):
        best = RowFiles(f"{self.job.root}/{FOLDER}/best-iterate")
        return best.scores if self.iterate == "best" else self.job.scores(self.row)

    @property
    def change(self):
        epochs = self.base.setting.recipe(*self.row).schedule.epochs
        short = f" of {epochs:g} epochs" if self.row == BATCH_NORM and self.base.setting.name in SHORT else ""
        return Change(PAPER, f"{self.row.title}{short}, mean accuracy", self.choice, self.default, self.reading)


def readings(job, first=None):
    """Return every `Reading` of a job's open choices.

    Parameters
    ----------
    job : mindpics.job.Job
    first : mindpics.job.Job, optional
        That of the first seed.
    """
    setting = job.setting
    crop, epochs = (setting.recipe(*HEADLINE).crop, setting.recipe(*HEADLINE).schedule.epochs)
    (divisor,) = (name for name in NORMALIZATIONS if name != setting.normalization)
    smaller = round(crop * OTHER_CROP)
    group_by = job.group_by or (("author", "copies") if job.posts else ("copies", "emoji"))
    split = {"split": "group", "group_by": group_by} if job.split == "image" else {"split": "image", "group_by": ()}
    splits = "by image", f"by group ({' '.join(group_by)})"
    words = "tags and text", "tags alone"
    other_nets = [
        ("normalization", "equation 5", setting.normalization, divisor, {"normalization": divisor}),
        ("crop", "crop of AlexNet", f"{crop}", f"{smaller}", {"alexnet_crop": smaller}),
        ("half-epochs", "length", f"{epochs:g} epochs", f"{epochs / 2:g}", {"epochs": epochs / 2}),
        ("twice-epochs", "length", f"{epochs:g} epochs", f"{epochs * 2:g}", {"epochs": epochs * 2}),
    ]
    readings = [
        Reading(name, choice, default, reading, _net(job, name, switches), job)
        for name, choice, default, reading, switches in other_nets
    ]
    readings.append(_batch_norm(job, first or job))
    other_data = [
        ("tags-only", "words in", *_turned(words, job.tags_only), {"tags_only": not job.tags_only}),
        ("split", "split", *_turned(splits, job.split == "group"), split),
    ]
    readings += [
        Reading(name, choice, default, reading, _beside(job, name, **otherwise), job)
        for name, choice, default, reading, otherwise in other_data
    ]
    best = "best by Caffe's test accuracy"
    return [*readings, Reading("best-iterate", "iterate", "last", best, job, job, iterate="best")]


def stages(job, chosen):
    """Return the stages of the default and of the chosen readings, each that two have in common once.

    Where a reading's stage fails, such as a training that diverges, its number is left out and the rest goes on.
    """
    main = plan(job, [HEADLINE, BATCH_NORM])
    beside = [stage for reading in chosen for stage in _stages_of(reading, main)]
    targets = [reading.base.scores(reading.row) for reading in chosen]
    return [*stages_for(main, [*targets, *(path for stage in beside for path in stage.inputs)]), *beside]


def varied(jobs, chosen_names, left_out=()):
    """Return the `mindpics.results.sensitivity.Varied` of chosen readings over jobs that differ in the seed.

    Parameters
    ----------
    jobs : list of mindpics.job.Job
    chosen_names : collection of str
    left_out : collection of str
        Of `mindpics.jobs.turns.run_jobs`: scores that an earlier call left there are not taken.
    """
    by_seed = [[reading for reading in readings(job, jobs[0]) if reading.name in chosen_names] for job in jobs]
    return [_varied(jobs, seeds, left_out) for seeds in zip(*by_seed, strict=True)]


def _varied(jobs, seeds, left_out):
    result = Varied(seeds[0].change, [])
    for job, reading in zip(jobs, seeds, strict=True):
        before, diverged = reading.base.scores(reading.row), _diverged(reading)
        there = all(path not in left_out and Path(path).is_file() for path in (before, reading.scores))
        if diverged or not there:
            result.notes.append(diverged or no_scores(job.root))
            continue
        result.moves.append(move(_answers(before), _answers(reading.scores)))
        result.test_to_train.append(tested_a_trained(read_json(job.files.mindpics.summary)))
    return result


def _diverged(reading):
    row = reading.job.files.mindpics.row(reading.row.name)
    message = read_json(row.training(reading.row.name).facts).get("diverged")
    return f"diverged: {message}" if message else ""


def _answers(path):
    ids, right = right_answers(path)
    traits, _ = unpack(load_scores(path)[1])
    return Answers(ids, traits, right)


def _batch_norm(job, first):
    """Frozen BatchNorm against batch statistics, or the reverse, at one length and from one pretraining."""
    frozen, short, base = job.setting.recipe(*BATCH_NORM).frozen, {}, job
    if job.setting.name in SHORT:
        short = {"epochs": SHORT[job.setting.name]}
        base = _net(job, "batch-norm-default", short, first)
    named = _turned(("batch statistics", "frozen"), frozen)
    reading = _net(job, "batch-norm", {**short, "frozen_batch_norm": not frozen}, first if short else job)
    return Reading("batch-norm", "BatchNorm", *named, reading, base, BATCH_NORM)


def _net(job, name, switches, pretraining=None):
    """The job with other nets on the same pictures; `pretraining` is the job whose weights are fine-tuned."""
    asked = {**job.setting.switches, **switches}
    setting = switched(
        SETTINGS[job.setting.name], **{key: reading for key, reading in asked.items() if reading is not False}
    )
    return _beside(job, name, pretraining, setting=setting, prepared=job.mindpics)


def _beside(job, name, pretraining=None, **otherwise):
    weights = {net: pretrained(pretraining or job, net) for net in NETS}
    return replace(job, root=f"{job.root}/{FOLDER}/{name}", weights=weights, **otherwise)


def _turned(pair, is_second):
    return pair[::-1] if is_second else pair


def _stages_of(reading, main):
    """Stages that the main job has not, under names of their own."""
    if reading.iterate == "best":
        scoring = next(stage for stage in main if stage.name == f"score_{reading.row.name}")
        words = [reading.scores if word == reading.job.scores(reading.row) else word for word in scoring.command]
        command = (*words, "--iterate", "best")
        runs = [TrainingFiles(Path(path).parent) for path in scoring.inputs if path.endswith(".caffemodel")]
        tested = [
            str(path) for files in runs for path in (files.solver, files.tests)
        ]  # which say what is snapped, how good
        inputs, outputs = (*scoring.inputs, *tested), (reading.scores,)
        return [
            replace(
                scoring, name=f"score_{reading.name}", command=command, inputs=inputs, outputs=outputs, may_fail=True
            )
        ]
    jobs = [job for job in (reading.base, reading.job) if Path(job.root).parent.name == FOLDER]
    return [
        replace(stage, name=f"{Path(job.root).name}_{stage.name}", may_fail=True, command=_to_the_end(stage))
        for job in jobs
        for stage in stages_for(plan(job, [reading.row]), [job.scores(reading.row)])
        if stage not in main
    ]


def _to_the_end(stage):
    """A head that stays at guessing ends the main job's training; here its accuracy is what is asked for."""
    return (*stage.command, "--patience", "0") if stage.begun else stage.command
