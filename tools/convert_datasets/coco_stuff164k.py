"""Write the train ids of COCO-Stuff: the same as tools/convert_dataset.py coco_stuff164k."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).parents[1] / "convert_dataset.py"), run_name=__name__)
