"""What the loaders of all data sets share."""

# Each data set adds its scale and crop_size to the third step, which resizes, crops and flips. The
# scale None is the own size of an image.
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="RandomScaleCropFlip", ratio_range=(0.5, 2.0), cat_max_ratio=0.75),
    dict(type="PhotoMetricDistortion", on_device=True),
    dict(type="PackSegInputs"),
]
# Each data set adds its scale to the second step; scale_factor=1.0 is the own size of an image.
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", keep_ratio=True),
    dict(type="ResizeToMultiple", size_divisor=32),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
train_dataloader = dict(
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="StatelessSampler", shuffle=True),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
