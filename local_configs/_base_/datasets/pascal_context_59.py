"""Pascal Context without its background, which is ignored."""

_base_ = "./pascal_context.py"

train_dataloader = dict(dataset=dict(type="PascalContextDataset59"))
val_dataloader = dict(dataset=dict(type="PascalContextDataset59"))
test_dataloader = val_dataloader
