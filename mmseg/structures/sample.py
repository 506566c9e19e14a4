"""One image on its way through the network: its labels, its prediction and its metadata."""

from mmengine.structures import BaseDataElement, PixelData


class SegDataSample(BaseDataElement):
    """Ground truth, prediction and metadata of one image.

    `gt_sem_seg.data` and `pred_sem_seg.data` are (1, H, W) uint8 maps of train ids, 255 = ignored.
    Metadata: `img_path`, `seg_map_path`, `ori_shape` and `img_shape` (H, W), `flip`,
    `flip_direction`, `reduce_zero_label`.
    """

    gt_sem_seg: PixelData
    pred_sem_seg: PixelData

    def pin_memory(self) -> "SegDataSample":
        """Return the sample with its labels in pinned memory, which a GPU copies on its own."""
        if "gt_sem_seg" not in self:
            return self
        pinned = self.new()
        pinned.gt_sem_seg = PixelData(data=self.gt_sem_seg.data.pin_memory())
        return pinned
