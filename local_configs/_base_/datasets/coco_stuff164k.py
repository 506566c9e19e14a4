_base_ = "./loaders.py"

data_root = "data/coco_stuff164k"
crop_size = (512, 512)
scale = (2048, 512)

train_pipeline = _base_.train_pipeline
train_pipeline[2].update(scale=scale, crop_size=crop_size)
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=scale)
train_dataloader = dict(
    dataset=dict(
        type="COCOStuffDataset",
        data_root=data_root,
        data_prefix=dict(img_path="images/train2017", seg_map_path="annotations/train2017"),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        type="COCOStuffDataset",
        data_root=data_root,
        data_prefix=dict(img_path="images/val2017", seg_map_path="annotations/val2017"),
        pipeline=test_pipeline,
        test_mode=True,
    )
)
test_dataloader = val_dataloader
