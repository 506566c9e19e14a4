"""Operations that plain torch computes slowly, each exact and with one implementation.

An operation decides by itself how it runs on the device of its tensors. On CPUs, numba compiles the
loop of the class map if it is installed; everywhere else torch's operations run. The Triton kernels
for CUDA GPUs run only after `mmseg.ops.triton.enable(True)`.
"""
