"""The data sets that are known by name: classes, colours, and how their files are called."""

from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.classes import metainfo
from mmseg.registry import DATASETS

ADE_CLASSES = """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk,
person, earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf,
house, sea, mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub,
railing, cushion, base, box, column, signboard, chest of drawers, counter, sand, sink, skyscraper,
fireplace, refrigerator, grandstand, path, stairs, runway, case, pool table, pillow, screen door,
stairway, river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench,
countertop, stove, palm, kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel,
bus, towel, light, truck, tower, chandelier, awning, streetlight, booth, television receiver,
airplane, dirt track, apparel, pole, land, bannister, escalator, ottoman, bottle, buffet, poster,
stage, van, ship, fountain, conveyer belt, canopy, washer, plaything, swimming pool, stool,
barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball, food, step, tank, trade name,
microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase,
traffic light, tray, ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower,
radiator, glass, clock, flag
"""

# One colour RRGGBB per class, as other tools draw ADE20K.
ADE_PALETTE = """
787878 b47878 06e6e6 503232 04c803 787850 8c8c8c cc05ff e6e6e6 04fa07 e005ff ebff07 96053d 787846
08ff33 ff0652 8fff8c ccff04 ff3307 cc4603 0066c8 3de6fa ff0633 0b66ff ff0747 ff09e0 0907e6 dcdcdc
ff095c 7009ff 08ffd6 07ffe0 ffb806 0aff47 ff290a 07ffff e0ff08 6608ff ff3d06 ffc207 ff7a08 00ff14
ff0829 ff0599 0633ff eb0cff a09614 00a3ff 8c8c8c fa0a0f 14ff00 1fff00 ff1f00 ffe000 99ff00 0000ff
ff4700 00ebff 00adff 1f00ff 0bc8c8 ff5200 00fff5 003dff 00ff70 00ff85 ff0000 ffa300 ff6600 c2ff00
008fff 33ff00 0052ff 00ff29 00ffad 0a00ff adff00 00ff99 ff5c00 ff00ff ff00f5 ff0066 ffad00 ff0014
ffb8b8 001fff 00ff3d 0047ff ff00cc 00ffc2 00ff52 000aff 0070ff 3300ff 00c2ff 007aff 00ffa3 ff9900
00ff0a ff7000 8fff00 5200ff a3ff00 ffeb00 08b8aa 8500ff 00ff5c b800ff ff001f 00b8ff 00d6ff ff0070
5cff00 00e0ff 70e0ff 46b8a0 a300ff 9900ff 47ff00 ff00a3 ffcc00 ff008f 00ffeb 85ff00 ff00eb f500ff
ff007a fff500 0abed4 d6ff00 00ccff 1400ff ffff00 0099ff 0029ff 00ffcc 2900ff 29ff00 ad00ff 00f5ff
4700ff 7a00ff 00ffb8 005cff b8ff00 0085ff ffd600 19c2c2 66ff00 5c00ff
"""


@DATASETS.register_module()
class ADE20KDataset(BaseSegDataset):
    """ADE20K SceneParsing: masks hold 0 = other, which is ignored, and 1..150."""

    METAINFO = metainfo(ADE_CLASSES, ADE_PALETTE)
    reduce_zero_label = True
    source = "ADEChallengeData2016.zip of data.csail.mit.edu/places/ADEchallenge, unpacked as it is"


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """CamVid, the SegNet split, street scenes of 480x360: masks hold 0..10; 255 is void."""

    METAINFO = metainfo(
        "sky, building, pole, road, pavement, tree, sign, fence, car, pedestrian, bicyclist",
        "808080 800000 c0c080 804080 0000c0 808000 c08080 404080 400080 404000 0080c0",
    )
    source = "images in img_dir/{train,val,test}, masks of ids 0-10 in ann_dir/{train,val,test}"


@DATASETS.register_module()
class CityscapesDataset(BaseSegDataset):
    """Street scenes: masks hold the train ids 0..18 and 255."""

    METAINFO = metainfo(
        """
        road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation,
        terrain, sky, person, rider, car, truck, bus, train, motorcycle, bicycle
        """,
        """
        804080 f423e8 464646 66669c be9999 999999 faaa1e dcdc00 6b8e23 98fb98 4682b4 dc143c ff0000
        00008e 000046 003c64 005064 0000e6 770b20
        """,
    )
    img_suffix = "_leftImg8bit.png"
    seg_map_suffix = "_gtFine_labelTrainIds.png"
    source = (
        "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, unpacked in one folder; then "
        "tools/convert_dataset.py cityscapes writes the train ids"
    )


COCO_CLASSES = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra,
giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite,
baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork,
knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut,
cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard,
cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear,
hair drier, toothbrush, banner, blanket, branch, bridge, building-other, bush, cabinet, cage,
cardboard, carpet, ceiling-other, ceiling-tile, cloth, clothes, clouds, counter, cupboard,
curtain, desk-stuff, dirt, door-stuff, fence, floor-marble, floor-other, floor-stone, floor-tile,
floor-wood, flower, fog, food-other, fruit, furniture-other, grass, gravel, ground-other, hill,
house, leaves, light, mat, metal, mirror-stuff, moss, mountain, mud, napkin, net, paper, pavement,
pillow, plant-other, plastic, platform, playingfield, railing, railroad, river, road, rock, roof,
rug, salad, sand, sea, shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw,
structural-other, table, tent, textile-other, towel, tree, vegetable, wall-brick, wall-concrete,
wall-other, wall-panel, wall-stone, wall-tile, wall-wood, water-other, waterdrops, window-blind,
window-other, wood
"""
COCO_PALETTE = """
00c040 00c040 004060 80c0c0 004040 00c0e0 00c0c0 80c040 00c060 80c040 8020c0 0000e0 000040 00a0c0
800060 8000c0 0020c0 8080e0 0000c0 80a0c0 808000 800020 802000 800080 408020 00a000 000000 c080a0
002000 008080 4080a0 80a000 008000 c08020 806080 000080 400020 00e080 800000 c000a0 006080 808080
4000a0 80e080 808040 c00020 806000 8000c0 008020 40e000 000040 8080a0 406000 0080c0 0080a0 c0e000
008040 808020 c02080 0040c0 000020 40a080 804040 8000a0 402080 80c0c0 0000a0 c0a080 80c000 800060
c02000 804080 408060 40a000 004000 c080e0 402000 00c080 4080e0 c0a000 00c000 c08060 c06080 004080
400060 40e080 804000 c000e0 406080 80c080 4000e0 c0e080 80c040 c00060 c06000 8040c0 008060 00e000
404040 8080e0 006000 40c0c0 0080e0 80e000 40c040 808060 802080 4000c0 004060 00a080 c00040 8040e0
002080 c080c0 0040e0 80a080 c08000 804020 802040 c00080 40c020 00a040 400000 c0c0a0 002040 408080
40c0a0 80a040 408000 c0c020 8060c0 400080 404020 00e0c0 c00000 c040a0 0060c0 c08080 4040a0 80e0c0
c08040 c04020 806040 c000c0 00c020 40e040 400040 80c0a0 406040 4080c0 00c0a0 c0e040 408040 80c020
c020c0 4040c0 004020 40a0c0 c04040 8040a0 4020c0 c0c0c0 0040a0 c0a0c0 c0c000 804060 c02040 c04080
40c060 40a040 404000
"""


@DATASETS.register_module()
class COCOStuffDataset(BaseSegDataset):
    """COCO-Stuff 164k (arXiv 1612.03716): masks hold the train ids 0..170 and 255."""

    METAINFO = metainfo(COCO_CLASSES, COCO_PALETTE)
    seg_map_suffix = "_labelTrainIds.png"
    source = (
        "train2017.zip, val2017.zip and stuffthingmaps_trainval2017.zip, unpacked; then "
        "tools/convert_dataset.py coco_stuff164k writes the train ids"
    )


@DATASETS.register_module()
class iSAIDDataset(BaseSegDataset):
    """Objects in aerial images (arXiv 1905.12886): 0 = background, which is scored, and 1..15."""

    METAINFO = metainfo(
        """
        background, ship, store_tank, baseball_diamond, tennis_court, basketball_court,
        Ground_Track_Field, Bridge, Large_Vehicle, Small_Vehicle, Helicopter, Swimming_pool,
        Roundabout, Soccer_ball_field, plane, Harbor
        """,
        """
        000000 00003f 003f3f 003f00 003f7f 003fbf 003fff 007f3f 007f7f 00007f 0000bf 0000ff 00bf7f
        007fbf 007fff 00649b
        """,
    )
    img_suffix = ".png"
    seg_map_suffix = "_instance_color_RGB.png"
    source = "tools/convert_dataset.py isaid cuts its images and masks into tiles"


@DATASETS.register_module()
class PotsdamDataset(BaseSegDataset):
    """ISPRS benchmark: masks hold 0 = the rim of an object, which is ignored, and 1..6."""

    METAINFO = metainfo(
        "impervious_surface, building, low_vegetation, tree, car, clutter",
        "ffffff 0000ff 00ffff 00ff00 ffff00 ff0000",
    )
    img_suffix = ".png"
    reduce_zero_label = True
    source = "tools/convert_dataset.py potsdam makes them"


@DATASETS.register_module()
class ISPRSDataset(PotsdamDataset):
    """Vaihingen, near infrared, red and green. Masks are as those of Potsdam."""

    source = "tools/convert_dataset.py vaihingen makes them"


@DATASETS.register_module()
class LandCoverAIDataset(BaseSegDataset):
    """Version 1 (arXiv 2005.02264), five classes; the background is a class that is scored."""

    METAINFO = metainfo(
        "background, building, woodland, water, road", "000000 614a4a 267300 00c5ff cfcfcf"
    )
    group_pattern = r"(.+)_\d+"  # a sheet and the number of the tile in it
    source = "tools/convert_dataset.py landcover makes it from landcover.ai.v1.zip"


@DATASETS.register_module()
class LoveDADataset(BaseSegDataset):
    """LoveDA (arXiv 2110.08733): masks hold 0 = no data, which is ignored, and 1..7."""

    METAINFO = metainfo(
        "background, building, road, water, barren, forest, agricultural",
        "ffffff ff0000 ffff00 0000ff 9f81b7 00ff00 ffc380",
    )
    img_suffix = ".png"
    reduce_zero_label = True
    source = "tools/convert_dataset.py loveda sorts the files of Train.zip and Val.zip"


CONTEXT_CLASSES = """
background, aeroplane, bag, bed, bedclothes, bench, bicycle, bird, boat, book, bottle,
building, bus, cabinet, car, cat, ceiling, chair, cloth, computer, cow, cup, curtain, dog,
door, fence, floor, flower, food, grass, ground, horse, keyboard, light, motorbike,
mountain, mouse, person, plate, platform, pottedplant, road, rock, sheep, shelves, sidewalk,
sign, sky, snow, sofa, table, track, train, tree, truck, tvmonitor, wall, water, window,
wood
"""


@DATASETS.register_module()
class PascalContextDataset(BaseSegDataset):
    """Pascal Context, 60 classes: masks hold 0 = background, which is scored, and 1..59."""

    # The colours are the first of ADE20K.
    METAINFO = metainfo(CONTEXT_CLASSES, " ".join(ADE_PALETTE.split()[:60]))
    source = (
        "VOCtrainval_03-May-2010.tar, unpacked; tools/convert_dataset.py pascal_context makes the "
        "masks from the label maps of trainval.tar.gz"
    )


@DATASETS.register_module()
class PascalContextDataset59(PascalContextDataset):
    """59 classes: the same masks, with the background ignored."""

    METAINFO = {key: values[1:] for key, values in PascalContextDataset.METAINFO.items()}
    reduce_zero_label = True


@DATASETS.register_module()
class PascalVOCDataset(BaseSegDataset):
    """Pascal VOC 2012: 21 classes with background; 255 marks the borders of objects."""

    METAINFO = metainfo(
        """
        background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable,
        dog, horse, motorbike, person, pottedplant, sheep, sofa, train, tvmonitor
        """,
        """
        000000 800000 008000 808000 000080 800080 008080 808080 400000 c00000 408000 c08000 400080
        c00080 408080 c08080 004000 804000 00c000 80c000 004080
        """,
    )
    source = (
        "VOCtrainval_11-May-2012.tar, unpacked; tools/convert_dataset.py voc_aug makes the "
        "SegmentationClassAug masks and trainaug.txt from SBD"
    )
