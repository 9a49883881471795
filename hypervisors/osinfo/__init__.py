"""Which operating systems there are, what they need, and which one a medium is of: osinfo-db read as data."""

from hypervisors.osinfo.database import all_systems, find_system, use_directories, warm_up
from hypervisors.osinfo.detection import IsoLabels, detect_media, guess_from_file_name
from hypervisors.osinfo.files import STANDARD_DIRECTORIES
from hypervisors.osinfo.install_scripts import InstallConfig, InstallScript, render_install_script, script_profiles
from hypervisors.osinfo.systems import GENERIC, OperatingSystem, Resources

__all__ = [
    "GENERIC",
    "STANDARD_DIRECTORIES",
    "InstallConfig",
    "InstallScript",
    "IsoLabels",
    "OperatingSystem",
    "Resources",
    "all_systems",
    "detect_media",
    "find_system",
    "guess_from_file_name",
    "render_install_script",
    "script_profiles",
    "use_directories",
    "warm_up",
]
