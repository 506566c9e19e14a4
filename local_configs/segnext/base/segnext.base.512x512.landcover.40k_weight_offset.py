"""With offset learning (arXiv 2508.08811) in the place of the classifier."""

_base_ = "./segnext.base.512x512.landcover.40k_weight.py"

model = dict(decode_head=dict(type="LightHamHeadOffsetLearning"))
