_base_ = "./loaders.py"

data_root = "data/VOCdevkit/VOC2010"
crop_size = (480, 480)
scale = (520, 520)

train_pipeline = _base_.train_pipeline
train_pipeline[2].update(scale=scale, crop_size=crop_size)
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=scale)
train_dataloader = dict(
    dataset=dict(
        type="PascalContextDataset",
        data_root=data_root,
        ann_file="ImageSets/SegmentationContext/train.txt",
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassContext"),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        type="PascalContextDataset",
        data_root=data_root,
        ann_file="ImageSets/SegmentationContext/val.txt",
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassContext"),
        pipeline=test_pipeline,
        test_mode=True,
    )
)
test_dataloader = val_dataloader
