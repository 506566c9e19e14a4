"""LandCover.ai, and tiles of one's own: trained, tested and mapped at their own resolution."""

_base_ = "./loaders.py"

data_root = "data/landcover"
crop_size = (512, 512)
# 1 / ln(1.02 + share) of the areas that the data set publishes, scaled so that the average pixel
# weighs 1 (tools/class_weights.py --method inverse_log does so with your own masks).
class_weight = [0.548, 9.159, 0.853, 3.319, 7.255]

train_pipeline = _base_.train_pipeline
train_pipeline[2].update(scale=None, crop_size=crop_size)
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale_factor=1.0)
del test_pipeline[2]
train_dataloader = dict(
    dataset=dict(
        type="LandCoverAIDataset",
        data_root=data_root,
        ann_file="splits/train.txt",
        data_prefix=dict(img_path="img_dir", seg_map_path="ann_dir"),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        type="LandCoverAIDataset",
        data_root=data_root,
        ann_file="splits/val.txt",
        data_prefix=dict(img_path="img_dir", seg_map_path="ann_dir"),
        pipeline=test_pipeline,
        test_mode=True,
    )
)
test_dataloader = dict(dataset=dict(val_dataloader["dataset"], ann_file="splits/test.txt"))
