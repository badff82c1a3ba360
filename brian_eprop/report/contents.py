"""What is in a run folder, finished or not."""

import json
from dataclasses import dataclass
from pathlib import Path

from ..network import RecurrentNetwork
from ..recording import Recording
from ..runs import Configuration, Result
from ..runs import folder as files

__all__ = ["RunContents"]


@dataclass(frozen=True)
class RunContents:
    """A run as far as it has come.

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
        if not (folder / files.CONFIGURATION).is_file():
            raise FileNotFoundError(
                f"'{folder}' is not a run folder: there is no '{files.CONFIGURATION}' in it; give "
                "the folder that 'brian-eprop train' has written"
            )
        saved = [folder / name for name in (files.WEIGHTS, files.CHECKPOINT)]
        saved = [path for path in saved if path.exists()]
        return cls(
            folder=folder,
            configuration=Configuration.read(folder / files.CONFIGURATION),
            history=_history(folder),
            result=_table(folder / files.RESULT, lambda table: Result(**table)),
            environment=_table(folder / files.ENVIRONMENT, dict) or {},
            network=RecurrentNetwork.load(saved[0]) if saved else None,
            # "before" before "after"
            recordings={p.stem: Recording.load(p) for p in reversed(files.recordings(folder))},
        )


def _history(folder):
    path = folder / files.HISTORY
    if not path.exists():
        return []
    try:
        entries = files.read_history(folder)
        for entry in entries:
            entry["iteration"], entry["loss"], entry["rate"], entry["seconds"]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"'{path}' is damaged or is not the history of a run ({error!r}); put it back, or "
            "remove it"
        ) from None
    return entries


def _table(path, convert):
    """A JSON object, converted; None if there is no such file."""
    try:
        return convert(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"'{path}' is damaged ({error}); put it back, or remove it: the report is then of an "
            "unfinished run"
        ) from None
