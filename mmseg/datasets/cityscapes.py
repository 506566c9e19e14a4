"""Cityscapes, 19 classes of street scenes (https://www.cityscapes-dataset.com/)."""

from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.classes import metainfo
from mmseg.registry import DATASETS


@DATASETS.register_module()
class CityscapesDataset(BaseSegDataset):
    """Masks hold the train ids 0..18 and 255; `<city>/<name>_leftImg8bit.png` are the images."""

    METAINFO = metainfo(
        """
        road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation,
        terrain, sky, person, rider, car, truck, bus, train, motorcycle, bicycle
        """,
        """
        804080 f423e8 464646 66669c be9999 999999 faaa1e dcdc00 6b8e23 98fb98 4682b4 dc143c ff0000
        00008e 000046 003c64 005064 0000e6 770b20
        """,
    )
    img_suffix = "_leftImg8bit.png"
    seg_map_suffix = "_gtFine_labelTrainIds.png"
    source = (
        "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, unpacked in one folder; then "
        "tools/convert_dataset.py cityscapes writes the train ids"
    )
