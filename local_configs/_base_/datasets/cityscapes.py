"""Cityscapes; the models slide a window of the crop size over it, so nothing is stretched."""

_base_ = "./loaders.py"

data_root = "data/cityscapes"
crop_size = (1024, 1024)
scale = (2048, 1024)

train_pipeline = _base_.train_pipeline
train_pipeline[2].update(scale=scale, crop_size=crop_size)
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=scale)
del test_pipeline[2]
train_dataloader = dict(
    dataset=dict(
        type="CityscapesDataset",
        data_root=data_root,
        data_prefix=dict(img_path="leftImg8bit/train", seg_map_path="gtFine/train"),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        type="CityscapesDataset",
        data_root=data_root,
        data_prefix=dict(img_path="leftImg8bit/val", seg_map_path="gtFine/val"),
        pipeline=test_pipeline,
        test_mode=True,
    )
)
test_dataloader = val_dataloader
