"""Load an image and its mask."""

from mmcv.transforms import BaseTransform

from mmseg.errors import UserError
from mmseg.imagery.image import read_image
from mmseg.imagery.mask import read_mask, to_train_ids
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImageFromFile(BaseTransform):
    """Add `img`, (H, W, 3) uint8 BGR, `img_shape` and `ori_shape` from `img_path`.

    An image that is already in `img` is kept.
    """

    def __init__(self, imdecode_backend: str = "cv2", backend_args: dict | None = None) -> None:
        self.imdecode_backend = imdecode_backend
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        if "img" not in results:
            path = results["img_path"]
            results["img"] = read_image(path, self.imdecode_backend, self.backend_args)
        results["img_shape"] = results["ori_shape"] = results["img"].shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadAnnotations(BaseTransform):
    """Add `gt_seg_map`, (H, W) uint8 train ids with 255 = ignored, from `seg_map_path`.

    The data set gives the number of classes and whether 0 is ignored (`reduce_zero_label`). Train
    ids that are already in `gt_seg_map` are kept. Raises `UserError` if there is no mask, or if
    its size is not that of the image.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        if "gt_seg_map" in results:
            return results
        path = results.get("seg_map_path")
        if path is None:
            raise UserError(
                f"{results['img_path']}: the data set has no masks; give data_prefix.seg_map_path, "
                "or leave LoadAnnotations out of the pipeline"
            )
        values = read_mask(path, self.backend_args)
        if values.shape != tuple(results["ori_shape"]):
            raise UserError(
                f"{path}: the mask is {values.shape[1]}x{values.shape[0]} pixels, its image "
                f"{results['img_path']} {results['ori_shape'][1]}x{results['ori_shape'][0]}"
            )
        results["gt_seg_map"] = to_train_ids(
            values, results["num_classes"], results["reduce_zero_label"], path
        )
        return results
