"""The data folder: made where the settings say, or an error that names the setting."""

from muster.settings.model import Settings
from muster.settings.problems import Problem, SettingsError


def make_data_dir(settings: Settings) -> None:
    """Make the data folder unless it is there, for nobody else to read. SettingsError if it cannot be."""
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = f"{settings.data_dir} cannot be made a folder: {error.strerror}"
        raise SettingsError([Problem("MUSTER_DATA_DIR", reason)]) from None
