"""What is in a run folder, finished or not."""

import json
from dataclasses import dataclass
from pathlib import Path

from ..network import RecurrentNetwork
from ..recording import Recording
from ..runs import Configuration, Result
from ..runs import folder as files

__all__ = ["RecordedTask", "RunContents"]


@dataclass(frozen=True)
class RunContents:
    """A run as far as it has come; reading it executes nothing.

    Attributes
    ----------
    folder : Path
    configuration : Configuration
    history : list of dict
        Empty before the first iteration.
    result : Result or None
        None if the run has not ended.
    environment : dict of str to str
        Empty if the run has written none.
    network : RecurrentNetwork or None
        The trained one, else that of the last checkpoint.
    recordings : dict of str to Recording
    """

    folder: Path
    configuration: Configuration
    history: list
    result: Result | None
    environment: dict
    network: RecurrentNetwork | None
    recordings: dict

    def task(self):
        """The task, as far as it is known without executing anything; None if nothing is."""
        if not self.configuration.own_task:
            return self.configuration.make_task()
        recordings = list(self.recordings.values())
        return RecordedTask(recordings[-1]) if recordings else None

    @classmethod
    def read(cls, folder):
        """Read a run folder.

        Raises
        ------
        FileNotFoundError
            If the folder is none of a run.
        ValueError
            If a file in it is damaged; names the file.
        """
        folder = Path(folder)
        files.check_is_run(folder)
        saved = [folder / name for name in (files.WEIGHTS, files.CHECKPOINT)]
        saved = [path for path in saved if path.exists()]
        return cls(
            folder=folder,
            configuration=Configuration.read(folder / files.CONFIGURATION, execute=False),
            history=files.read_history(folder) if (folder / files.HISTORY).exists() else [],
            result=files.read_result(folder),
            environment=_environment(folder / files.ENVIRONMENT),
            network=RecurrentNetwork.load(saved[0]) if saved else None,
            # "before" before "after"
            recordings={p.stem: Recording.load(p) for p in reversed(files.recordings(folder))},
        )


def _environment(path):
    """With what the run was made; empty if there is no such file."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"'{path}' is damaged ({error}); put it back, or remove it") from None


@dataclass(frozen=True)
class RecordedTask:
    """Of a task that is a Python file, and not executed: the one trial that was recorded."""

    recording: Recording

    def sample(self, rng, batch):
        return self.recording.inputs[None], self.recording.target[None]
