"""Cut iSAID into tiles: the same as tools/convert_dataset.py isaid."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).parents[1] / "convert_dataset.py"), run_name=__name__)
