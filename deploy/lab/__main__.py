"""Lets `python3 deploy/lab up …` run from anywhere: makes `deploy.lab` importable, then hands over to the commands."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from deploy.lab.commands import main  # noqa: E402 - the path comes first

if __name__ == "__main__":
    sys.exit(main())
