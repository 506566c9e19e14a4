"""Cut Vaihingen into tiles: the same as tools/convert_dataset.py vaihingen."""

import runpy
import sys
from pathlib import Path

sys.argv.insert(1, Path(__file__).stem)
runpy.run_path(str(Path(__file__).parents[1] / "convert_dataset.py"), run_name=__name__)
