"""`python -m stoop …` is `stoop …`, under this Python."""

import os
import sys
import sysconfig


def _launcher():
    """The path of the installed `stoop` script."""
    folders = [
        os.path.dirname(sys.executable),
        sysconfig.get_path("scripts"),
        sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")),
    ]
    for folder in folders:
        path = os.path.join(folder, "stoop")
        if os.access(path, os.X_OK):
            return path
    sys.exit("stoop: the script `stoop` is not installed beside " + sys.executable)


if __name__ == "__main__":
    launcher = _launcher()
    os.environ["_STOOP_PYTHON"] = sys.executable
    os.execv(launcher, [launcher, *sys.argv[1:]])
