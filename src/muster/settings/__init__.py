"""The settings: read once, whole, from what the operator wrote; nobody else reads the environment."""

from muster.settings.configuration import Configuration, Row, load
from muster.settings.folder import make_data_dir
from muster.settings.model import Settings
from muster.settings.problems import Problem, SettingsError
from muster.settings.provision import ProvisionSettings, Vocabulary
from muster.settings.values import Address, LogLevel

__all__ = [
    "Address",
    "Configuration",
    "LogLevel",
    "Problem",
    "ProvisionSettings",
    "Row",
    "Settings",
    "SettingsError",
    "Vocabulary",
    "load",
    "make_data_dir",
]
