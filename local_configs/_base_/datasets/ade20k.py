_base_ = "./loaders.py"

data_root = "data/ade/ADEChallengeData2016"
crop_size = (512, 512)
scale = (2048, 512)

train_pipeline = _base_.train_pipeline
train_pipeline[2].update(scale=scale, crop_size=crop_size)
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=scale, keep_ratio=True),
    dict(type="ResizeToMultiple", size_divisor=32),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
train_dataloader = dict(
    dataset=dict(
        type="ADE20KDataset",
        data_root=data_root,
        data_prefix=dict(img_path="images/training", seg_map_path="annotations/training"),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        type="ADE20KDataset",
        data_root=data_root,
        data_prefix=dict(img_path="images/validation", seg_map_path="annotations/validation"),
        pipeline=test_pipeline,
        test_mode=True,
    )
)
test_dataloader = val_dataloader
