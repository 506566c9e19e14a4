"""A fused model against the plain one that it was made of."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from mmseg.errors import UserError
from mmseg.inference import conv, fuse
from mmseg.inference import fuse as fuse_module
from mmseg.models import EncoderDecoder
from mmseg.models.backbones.mscan import MSCAN
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
