"""Are the files of a configuration fit to train on? Asked before anything starts. Writes nothing."""

from pathlib import Path

from apps.datasets.checking import Checked, faults_of
from apps.datasets.formats.shapes import Shape
from apps.training.errors import DataUnfit
from gpu_worker.training.config import TrainingConfig

_N_SHOWN = 5


def data_check(config: TrainingConfig) -> None:
    """Raises: DataUnfit; FileUnreadable."""
    for name in (*config.data.files, *config.data.test_files):
        checked, shown = Checked(), list[str]()
        for fault in faults_of(Path(name), Shape.MESSAGES, checked):
            if len(shown) < _N_SHOWN:
                shown.append(str(fault))
        if shown:
            raise DataUnfit(path=name, n_wrong=checked.n_wrong, n_records=checked.n_records, faults="\n".join(shown))
