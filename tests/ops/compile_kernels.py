"""Compile the kernels of `mmseg.ops.triton` for Hopper, which takes no GPU.

Triton's interpreter runs Python that its compiler refuses.
"""

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from mmseg.ops.triton import class_map, cross_entropy, depthwise

HOPPER = GPUTarget("cuda", 90, 32)
TYPES = {
    **dict.fromkeys(("x_ptr", "y_ptr"), "*bf16"),
    "result_ptr": "*u8",
    "taps": ("*i32", "*fp32", "*i32", "*fp32"),
    "inputs": ("*fp32", "*i64", "*fp32", "*i32", "*i32", "*fp32", "*fp32"),
    "outputs": ("*fp32", "*fp32", "*i64"),
    "geometry": ("i32",) * 7,
}


def compile_kernel(kernel, **constants):
    """Compile for constants, which are written in capitals; other arguments are float32 or int."""
    signature = {}
    for name in kernel.arg_names:
        other = "*fp32" if name.endswith("_ptr") else "i32"
        signature[name] = "constexpr" if name.isupper() else TYPES.get(name, other)
    if "sizes" in signature:
        signature["sizes"] = ("i32",) * (5 if "inputs" in signature else 4)
    places = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    triton.compile(ASTSource(kernel, signature, places), target=HOPPER)


def main():
    compile_kernel(depthwise._convolve, TAPS=2, WIDTH=2)
    compile_kernel(depthwise._sum_products, TAPS=2, WIDTH=2)
    compile_kernel(cross_entropy._compare, PIXELS=16, CLASSES=256)
    compile_kernel(class_map._best_classes, DOWN=2, ACROSS=3, COLUMNS=16, CLASSES=256)


if __name__ == "__main__":
    main()
