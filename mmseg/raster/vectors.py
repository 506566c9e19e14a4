"""The polygons of a map in other formats than GeoPackage."""

import json
from importlib.util import find_spec
from pathlib import Path

import pyogrio
from rasterio.crs import CRS

from mmseg.errors import UserError

VECTORS = ("gpkg", "fgb", "parquet", "geojson")


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
    if target.suffix == ".parquet":
        _write_parquet(source, target, layer)
        return
    is_json = target.suffix == ".geojson"
    with pyogrio.open_arrow(source, layer=layer) as (meta, stream):
        pyogrio.write_arrow(
            stream,
            target,
            layer=layer,
            driver="GeoJSON" if is_json else "FlatGeobuf",
            geometry_name=meta["geometry_name"] or "wkb_geometry",
            geometry_type="Polygon",
            crs=meta["crs"],
            **({"RFC7946": "YES"} if is_json else {}),
        )


def _write_parquet(source: Path, target: Path, layer: str) -> None:
    from pyarrow.parquet import ParquetWriter  # an extra of the project

    with pyogrio.open_arrow(source, layer=layer, use_pyarrow=True) as (meta, reader):
        name = meta["geometry_name"] or "wkb_geometry"
        crs = CRS.from_user_input(meta["crs"]).to_dict(projjson=True)
        column = {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": crs}
        geo = {"version": "1.1.0", "primary_column": name, "columns": {name: column}}
        schema = reader.schema.with_metadata({"geo": json.dumps(geo)})
        with ParquetWriter(target, schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
