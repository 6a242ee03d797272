"""Trained row of Table 3 in a run's folder: its nets, their mean, its numbers."""

from dataclasses import dataclass
from pathlib import Path

from mindpics.files.json_files import read_json
from mindpics.files.layout import MindpicsFiles, TrainingFiles
from mindpics.jobs.commands import as_typed
from mindpics.nets.rows import Model, models_of
from mindpics.published import ROWS, Row
from mindpics.results.run_files import RunFiles


@dataclass(frozen=True)
class TrainedNet:
    """One net of a row.

    Attributes
    ----------
    model : mindpics.nets.rows.Model
    folder : Path
        Of its training: net.prototxt, solver.prototxt, run.json, final.caffemodel.
    deploy : Path
    """

    model: Model
    folder: Path
    deploy: Path

    @property
    def caffemodel(self):
        return TrainingFiles(self.folder).weights

    @property
    def facts(self):
        """The training's run.json; {} without one."""
        return read_json(TrainingFiles(self.folder).facts)


class TrainedRow:
    """A row such as runs/mini/mindpics/resnet50_all-in-one_finetune.

    Parameters
    ----------
    folder : path
        RUN/mindpics/NET_HEADS_INIT.

    Attributes
    ----------
    run : mindpics.results.run_files.RunFiles
    nets : list of TrainedNet
        One, or five.
    mean : Path
    accuracy : dict
        Its row of table3.csv, in %; {} where the table has none.

    Raises
    ------
    ValueError
        When the folder is no row's, or a net of it is not there.
    """

    def __init__(self, folder):
        folder = Path(folder)
        self.name = folder.name
        rows = {row.name: row for row in ROWS}
        if self.name not in rows:
            raise ValueError(
                f"{folder}: found no row of Table 3; wanted RUN/mindpics/NAME, NAME one of {', '.join(rows)}"
            )
        command = as_typed(["tools/reproduce", "--row", rows[self.name].switch])
        if not folder.is_dir():
            raise ValueError(f"{folder}: found no such folder; wanted what {command} makes")
        self.run = RunFiles(folder.parent.parent)
        files = MindpicsFiles(folder.parent)
        self.mean = files.mean
        self.nets = [
            TrainedNet(model, folder / model.name, files.nets.net(model.name).deploy)
            for model in models_of(rows[self.name])
        ]
        for path in [self.mean, *(path for net in self.nets for path in (net.deploy, net.caffemodel))]:
            if not path.is_file():
                raise ValueError(f"{path}: found no such file; wanted what {command} makes")
        self.accuracy = next((row for row in self.run.table3 if Row.of(row).name == self.name), {})

    def files(self):
        """Return [(deploy, caffemodel), ...] for `mindpics.inference.infer.TraitNets`."""
        return [(net.deploy, net.caffemodel) for net in self.nets]

    def describe(self):
        """Return the row's accuracy as a sentence; "" where the table has none."""
        if not self.accuracy:
            return ""
        data, row = " of the stand-in" if self.run.data_stands_in() else "", self.accuracy
        return (
            f"Right on {row['avg']:.1f}% of {row['n']:.0f} test pictures{data}, mean over traits (95% interval "
            f"{row['low95']:.1f} to {row['high95']:.1f}); always guessing the larger pole gives "
            f"{row['larger_pole_avg']:.1f}%."
        )
