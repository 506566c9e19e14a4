"""Every backbone and head here passes the contract."""

from contract import HEAD, ModelContract


class TestMSCANAndLightHamHead(ModelContract):
    pass


class TestOffsetLearning(ModelContract):
    decode_head = HEAD | {"type": "LightHamHeadOffsetLearning"}


FCN = {"type": "FCNHead", "in_channels": 8, "channels": 8, "num_classes": 3, "num_convs": 1}


class TestFCNHead(ModelContract):
    decode_head = FCN | {"norm_cfg": {"type": "BN"}}
