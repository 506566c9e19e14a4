"""mIoU against the share of the labels: SegNeXt-T on LandCover.ai."""

shares = [1, 2, 5, 10, 25, 50, 100]  # percent of the images
variants = {
    f"{share:03d}_percent": dict(
        config="../segnext/tiny/segnext.tiny.512x512.landcover.40k_weight.py",
        options={"train_dataloader.dataset.subset": dict(fraction=share / 100, seed=0)},
        x=share,
    )
    for share in shares
}
x_label = "labelled images (%)"
seeds = [0, 1, 2]
