"""Tiles of 256 pixels of NAIP, aerial images of the USA: red, green, blue and near infrared.

data/naip_tiles/{train,val,test}/{img,mask} hold the tiles and their masks, under the same names.
"""

_base_ = "./loaders.py"

crop_size = (256, 256)
scale = (256, 256)
bands = ("red", "green", "blue", "nir")
# Of the training tiles, as tools/check_dataset.py counts them.
mean = (131.83, 142.94, 107.89, 209.90)
std = (43.63, 33.72, 28.04, 32.52)
metainfo = dict(
    classes=("background", "building", "road", "bare land", "forest", "water"),
    palette=[
        (140, 140, 140),
        (200, 40, 40),
        (240, 220, 60),
        (170, 110, 60),
        (30, 110, 40),
        (40, 90, 200),
    ],
    bands=bands,
    gsd=0.6,
)
train_pipeline = _base_.train_pipeline
train_pipeline[0].fill = mean
train_pipeline[2].update(scale=scale, crop_size=crop_size)
train_pipeline.insert(3, dict(type="RandomTurn"))
test_pipeline = _base_.test_pipeline
test_pipeline[0].fill = mean
test_pipeline[1].update(scale=scale)
dataset = dict(
    type="BaseSegDataset",
    data_root="data/naip_tiles",
    metainfo=metainfo,
    img_suffix=".tif",
    seg_map_suffix=".tif",
)
train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        dataset,
        data_prefix=dict(img_path="train/img", seg_map_path="train/mask"),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        dataset,
        data_prefix=dict(img_path="val/img", seg_map_path="val/mask"),
        pipeline=test_pipeline,
        test_mode=True,
    )
)
test_dataloader = dict(
    dataset=dict(
        val_dataloader["dataset"],
        data_prefix=dict(img_path="test/img", seg_map_path="test/mask"),
    )
)
