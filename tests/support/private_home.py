"""An environment for other processes, separate from the user's own files and credentials."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["private_environment"]

_FOLDERS = {
    "HOME": "home",
    "IPYTHONDIR": "ipython",
    "JUPYTER_CONFIG_DIR": "config",
    "JUPYTER_DATA_DIR": "data",
    "JUPYTER_RUNTIME_DIR": "runtime",
    "JUPYTERLAB_SETTINGS_DIR": "settings",
    "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    "XDG_CACHE_HOME": "cache",
    "XDG_CONFIG_HOME": "xdg-config",
    "XDG_DATA_HOME": "xdg-data",
    "XDG_STATE_HOME": "xdg-state",
}
_WITHOUT_IRIS = str(Path(__file__).parent / "without_iris")
_OURS = ("AERON_", "CHATZY_", "JPY_", "JUPYTER_")


def private_environment(folder: Path) -> dict[str, str]:
    """Environment variables for a kernel, server or terminal that keeps its files in `folder`.

    Settings, history and data of Jupyter, IPython and aeron-magic go there. Credentials and
    addresses of the services are removed, and the system's keyring is not used.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
    for variable, name in _FOLDERS.items():
        own = folder / name
        own.mkdir(parents=True, exist_ok=True)
        kept[variable] = str(own)
    path = [_WITHOUT_IRIS, *filter(None, [kept.get("PYTHONPATH")])]
    kept["PYTHONPATH"] = os.pathsep.join(path)
    kept["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    return kept
