"""Pretrained or not, on all or a tenth of the labels: SegNeXt-T."""

folder = "../segnext/tiny/segnext.tiny.512x512"
variants = {
    "full_pretrained": dict(config=f"{folder}.landcover.40k_weight.py"),
    "full_nopre": dict(config=f"{folder}.landcover.40k_weight_nopre.py"),
    "sub_pretrained": dict(config=f"{folder}.landcover.40k_weight_sub.py"),
    "sub_nopre": dict(config=f"{folder}.landcover.40k_weight_sub_nopre.py"),
}
seeds = [0, 1, 2]
