"""The polygons of a map in other formats than GeoPackage."""

import json
from importlib.util import find_spec
from pathlib import Path

import pyogrio
from rasterio.crs import CRS

from mmseg.errors import UserError

VECTORS = {"gpkg": "GPKG", "fgb": "FlatGeobuf", "geojson": "GeoJSON", "parquet": "Parquet"}


def check_vectors(vectors: str | None) -> None:
    """Raise `UserError` for a format that is unknown or needs a package that is not there."""
    if vectors not in (None, *VECTORS):
        raise UserError(f"vectors={vectors}: choose one of {', '.join(VECTORS)}")
    if vectors == "parquet" and find_spec("pyarrow") is None:
        raise UserError("vectors=parquet needs pyarrow: pip install pyarrow")


def convert(source: Path, target: Path, layer: str) -> None:
    """Copy a layer of a GeoPackage to a FlatGeobuf, GeoParquet or GeoJSON file, by its suffix.

    Features are streamed. GeoJSON is in degrees, as RFC 7946 wants it.
    """
    target.unlink(missing_ok=True)
    kind = target.suffix[1:]
    with pyogrio.open_arrow(source, layer=layer, use_pyarrow=kind == "parquet") as (meta, stream):
        name = meta["geometry_name"] or "wkb_geometry"
        if kind != "parquet":
            more = {"RFC7946": "YES"} if kind == "geojson" else {}
            place = {"geometry_name": name, "geometry_type": "Polygon", "crs": meta["crs"]}
            pyogrio.write_arrow(stream, target, layer=layer, driver=VECTORS[kind], **place, **more)
            return
        from pyarrow.parquet import ParquetWriter  # an extra of the project; GDAL's needs a plugin

        crs = CRS.from_user_input(meta["crs"]).to_dict(projjson=True)
        column = {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": crs}
        geo = {"version": "1.1.0", "primary_column": name, "columns": {name: column}}
        schema = stream.schema.with_metadata({"geo": json.dumps(geo)})
        with ParquetWriter(target, schema) as writer:
            for batch in stream:
                writer.write_batch(batch)
