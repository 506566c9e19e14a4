"""Packaging of SegNeXt: the distribution is `segnext`, the import package is `mmseg`."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent

setup(
    name="segnext",
    version=re.search(r'__version__ = "(.+)"', (ROOT / "mmseg/__init__.py").read_text())[1],
    description="SegNeXt semantic segmentation: train, evaluate, map land cover",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    # `segnext` holds the tools and the shipped configs, for an installation without a checkout.
    packages=[*find_packages(include=["mmseg", "mmseg.*"]), "segnext", "segnext.local_configs"],
    package_dir={"segnext": "tools", "segnext.local_configs": "local_configs"},
    package_data={
        "mmseg": ["results/*.html", "results/*.md", "datasets/tables/*.csv"],
        "segnext": ["*/*.py"],
        "segnext.local_configs": ["**/*.py"],
    },
    entry_points={"console_scripts": ["segnext = segnext.__main__:main"]},
    python_requires=">=3.10",
    install_requires=(ROOT / "requirements.txt").read_text().splitlines(),
    extras_require={
        "dev": [
            *("pytest>=8.0", "pytest-xdist>=3.8", "hypothesis>=6.100", "pyarrow>=15"),
            *("ruff>=0.8", "mypy>=1.11", "import-linter>=2.0", "setuptools>=68"),
            # Its interpreter runs the GPU kernels in tests. The one of 3.9 takes comparisons of
            # scalars for integers. torch for CUDA depends on triton itself.
            "triton>=3.3,<3.9; platform_system == 'Linux'",
        ],
        "docs": ["mkdocs-material>=9.5", "mkdocstrings[python]>=0.26"],
        "tensorboard": ["tensorboard"],
        # ONNX files, the engines that run them, and INT8.
        "deploy": ["onnx>=1.16", "onnxruntime>=1.20", "openvino>=2025.0", "nncf>=2.15"],
    },
)
