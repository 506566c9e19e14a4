"""map_scene: from a scene of any size to a finished, georeferenced map of its classes.

The scene is read in rows of overlapping windows; each row adds to a band of class probabilities,
and what no later window touches is written as a strip. The strips become the map.
"""

import hashlib
import json
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.logging import MMLogger
from rasterio.errors import NotGeoreferencedWarning

import mmseg
from mmseg.errors import UserError
from mmseg.files import cannot_be_written
from mmseg.lock import sole_process
from mmseg.raster.bands import BandMapper, Grid, Progress
from mmseg.raster.clock import Clock
from mmseg.raster.georeference import ground_resolution
from mmseg.raster.options import MapOptions
from mmseg.raster.predict import WindowPredictor
from mmseg.raster.products import Products
from mmseg.raster.scene import Scene
from mmseg.raster.strips import START_AGAIN, Workshop
from mmseg.raster.survey import Survey, check_truth, compare
from mmseg.raster.windows import window_axis

if TYPE_CHECKING:
    # What maps knows nothing of models but how to call them.
    from mmseg.models import EncoderDecoder

# How many times finer or coarser than the scene the model may be: beyond that, a window would take
# gigabytes or a few pixels, and the gsd is in another unit than metres.
MOST_RESAMPLING = 32
# GDAL's cache of blocks, in bytes; by default it takes 5 % of the machine's memory.
CACHE = 2**28


@dataclass(frozen=True)
class SceneMap:
    """A finished map: its file, what it holds and, given the truth, its confusion matrix (K, K)."""

    path: Path
    survey: Survey
    confusion: np.ndarray | None


def map_scene(
    model: "EncoderDecoder",
    scene: str | Path,
    out: str | Path,
    options: MapOptions | None = None,
    truth: str | None = None,
    progress: Progress = lambda done, total: None,
) -> SceneMap | None:
    """Map the classes of `model` on a scene, anything that GDAL opens, into the folder `out`.

    Writes `<name>.landcover.tif` and what else `options` ask for; each file appears when it is
    whole. Started again after an interruption, it goes on with the strips that are missing. The
    processes of a group share the strips; all but the first return None.

    `model` is what `mmseg.apis.init_model` returns, `truth` a mask of the scene with the values of
    its data set's masks. Raises `UserError`, in all processes, when the scene or the truth cannot
    be read or the outputs cannot be written, or are those of another scene.
    """
    options, out = options or MapOptions(), Path(out)
    with _raster_environment():
        with _together(out):
            opened = Scene(scene, options.bands, options.scale, options.nodata, options.aoi)
            if truth:
                check_truth(truth, opened, model.dataset_meta)
            products = Products(opened, out, model.dataset_meta, options)
        _map(model, opened, products, options, progress)
        with _together(out):
            if get_rank() != 0:
                return None
            map_path = str(products.map_path)
            matrix = compare(map_path, truth, model.dataset_meta) if truth else None
            return SceneMap(products.map_path, products.survey(), matrix)


@contextmanager
def _raster_environment() -> Iterator[None]:
    with rasterio.Env(GDAL_CACHEMAX=CACHE), warnings.catch_warnings():
        # Strips have no georeference, nor have some scenes, of which the log says so.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


@contextmanager
def _together(out: Path) -> Iterator[None]:
    """Leave a step of the work when all processes do; what fails in one of them fails in all."""
    problem = None
    try:
        yield
    except UserError as error:
        problem = error
    except OSError as error:
        problem = cannot_be_written(out, error, START_AGAIN)
        problem.__cause__ = error
    problems = [p for p in all_gather_object(problem) if p is not None]
    if problems:
        raise problem or problems[0]


def _map(
    model: "EncoderDecoder",
    scene: Scene,
    products: Products,
    options: MapOptions,
    progress: Progress,
) -> None:
    logger = MMLogger.get_current_instance()
    clock = Clock()
    predictor = WindowPredictor(model, clock)
    with _together(products.out):
        grid = _grid(scene, predictor.crop_size, options)
        job = _describe_job(scene, model, grid, options)
        digest = hashlib.sha256(job.encode()).hexdigest()
        workshop = Workshop(products.workshop_folder, products.layers)
        finished = products.are_finished(digest)
        if finished and get_rank() == 0 and workshop.job == job:
            workshop.clear()  # which a kill did not let the run do that finished
        if not finished:
            _refuse_another_scene(scene, products, workshop)
    if finished:
        logger.info(f"{products.map_path} is finished already; delete it to map the scene again")
        return
    with ExitStack() as held:
        with _together(products.out):
            held.enter_context(sole_process(workshop.folder, "maps this scene", "--out"))
            if get_rank() == 0:
                workshop.prepare(job)
                logger.info(_introduction(scene, grid, options))
        with _together(products.out):
            strips = _share(grid.rows.count)
            missing = [index for index in strips if not workshop.has(index)]
            if done := len(strips) - len(missing):
                logger.info(f"going on: {done} of {len(strips)} strips are done")
            BandMapper(scene, grid, predictor, workshop, clock).map(missing, progress)
        with _together(products.out):
            if get_rank() == 0:
                with clock("map and products"):
                    products.write(workshop, grid.rows, digest)
                share = clock.share("model")
                logger.info(f"{products.map_path}: the model took {share:.1f} % of {clock}")
    if get_rank() == 0:
        workshop.clear()


def _refuse_another_scene(scene: Scene, products: Products, workshop: Workshop) -> None:
    """Raise `UserError` where the outputs would replace those of another scene of this name."""
    cure = "choose another --out, or delete it"
    if products.mapped_scene() not in (None, scene.mark):
        raise UserError(
            f"{products.map_path}: is the map of a scene of this name at another place; {cure}"
        )
    if workshop.scene not in (None, scene.place):
        raise UserError(f"{workshop.folder}: is the unfinished map of {workshop.scene}; {cure}")


def _grid(scene: Scene, crop_size: tuple[int, int], options: MapOptions) -> Grid:
    """Lay windows that cover on the ground what the model's crop covers."""
    height, width = crop_size
    if options.gsd is not None:
        if not scene.is_measurable:
            raise UserError(
                f"{scene.path}: its place is unknown and with it its resolution; omit the gsd"
            )
        down, across = ground_resolution(scene.transform, scene.crs, scene.height, scene.width)
        if not 1 / MOST_RESAMPLING <= options.gsd / across <= MOST_RESAMPLING:
            raise UserError(
                f"{scene.path}: its pixels are {across:g} m wide, the gsd is {options.gsd:g} m: "
                f"they may differ {MOST_RESAMPLING}-fold; give metres"
            )
        height = max(1, round(height * options.gsd / down))
        width = max(1, round(width * options.gsd / across))
    return Grid(
        window_axis(scene.height, height, options.overlap),
        window_axis(scene.width, width, options.overlap),
        options.batch_size,
    )


def _share(count: int) -> range:
    """Return the strips of this process, about as many as those of every other."""
    rank, processes = get_rank(), get_world_size()
    return range(count * rank // processes, count * (rank + 1) // processes)


def _describe_job(scene: Scene, model: "EncoderDecoder", grid: Grid, options: MapOptions) -> str:
    """Tell one job from another: strips of the same job fit together."""
    weights = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        weights.update(name.encode())
        weights.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
    job = {
        "version": mmseg.__version__,
        "scene": scene.identity(),
        "model": [weights.hexdigest(), str(model.cfg.model)],
        "classes": [model.dataset_meta[key] for key in ("classes", "palette")],
        "grid": asdict(grid),
        "options": asdict(options),
    }
    return json.dumps(job, sort_keys=True)


def _introduction(scene: Scene, grid: Grid, options: MapOptions) -> str:
    rows, columns = grid.rows, grid.columns
    lines = [
        f"{scene.path}: {scene.width} x {scene.height} pixels, bands {scene.bands}, "
        f"{rows.count} x {columns.count} windows of {columns.size} x {rows.size} pixels"
    ]
    if not scene.is_measurable:
        lines.append(
            "its place is unknown (no CRS, a local one, or no transform): areas are in pixels, and "
            "there are no polygons"
        )
    if scene.aoi and not scene.aoi.touches(scene.transform, scene.height, scene.width):
        lines.append("the area of interest lies elsewhere: nothing is mapped")
    if scene.ranges is None and options.scale:
        lines.append("its samples have 8 bits and are not scaled")
    if scene.ranges is not None:
        ranges = ", ".join(f"{low:g} to {high:g}" for low, high in scene.ranges)
        lines.append(f"16-bit samples scaled to 0 to 255, by band: {ranges}")
    return "; ".join(lines)
