"""Pascal VOC 2012 with the masks of SBD: 10,582 training images instead of 1,464."""

_base_ = "./pascal_voc12.py"

train_dataloader = dict(
    dataset=dict(
        ann_file="ImageSets/Segmentation/trainaug.txt",
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassAug"),
    )
)
