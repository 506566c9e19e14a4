"""With offset learning (arXiv 2508.08811) in the place of the classifier."""

_base_ = "./segnext.base.512x512.ade.160k.py"

model = dict(decode_head=dict(type="LightHamHeadOffsetLearning"))
