"""Operations that plain torch computes slowly, each exact and with one implementation.

    algebra         the linear maps of the decoder, in the order that costs least
    class_map       the class of every pixel from coarse logits
    cross_entropy   the loss of upsampled logits, without holding them at full size
    depthwise       depth-wise convolutions, whose weight gradient is fast on CPUs
    nmf             non-negative matrix factorisation
    photometric     brightness, contrast, saturation and hue of a batch

An operation decides by itself how it runs on the device of its tensors. On CPUs, numba compiles the
loop of the class map if it is installed; everywhere else torch's operations run. The Triton kernels
for CUDA GPUs run only after `mmseg.ops.triton.enable(True)`.
"""
