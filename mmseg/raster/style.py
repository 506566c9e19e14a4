"""Names and colours of the classes of a map, as QGIS and GDAL find them by themselves."""

from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pyogrio

from mmseg.imagery.pictures import Palette

# One document for both: a raster layer reads the pipe, a layer of polygons the renderer.
QML = """<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.0" styleCategories="Symbology"><pipe>\
<rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1">\
<colorPalette>{entries}</colorPalette></rasterrenderer></pipe>\
<renderer-v2 type="categorizedSymbol" attr="class_id"><categories>{categories}</categories>\
<symbols>{symbols}</symbols></renderer-v2></qgis>"""
SYMBOL = """<symbol type="fill" name="{}" alpha="1"><layer class="SimpleFill" enabled="1">\
<prop k="color" v="{},{},{},255"/><prop k="outline_style" v="no"/></layer></symbol>"""
# The columns of an attribute table with GDAL's numbers for their type (0 integer, 1 real, 2 text)
# and use (5 value, 2 name, 6 to 8 colour, 1 pixels, 0 other).
COLUMNS = {"Value": (0, 5), "Class": (2, 2), "Red": (0, 6), "Green": (0, 7), "Blue": (0, 8)}
MEASURES = {"Pixels": (1, 1), "Hectares": (1, 0)}


def qgis_style(names: Mapping[int, str], palette: Palette) -> str:
    """Return a QML document that names values of a map, each with its colour of the palette."""
    entries, categories, symbols = "", "", ""
    rows = zip(names.items(), palette, strict=True)
    for number, ((value, name), (red, green, blue)) in enumerate(rows):
        label = f"label={quoteattr(name)}"
        colour = f'color="#{red:02x}{green:02x}{blue:02x}" alpha="255"'
        entries += f'<paletteEntry value="{value}" {colour} {label} />'
        categories += f'<category value="{value}" symbol="{number}" {label} render="true" />'
        symbols += SYMBOL.format(number, red, green, blue)
    return QML.format(entries=entries, categories=categories, symbols=symbols)


def add_default_style(path: Path, layer: str, style: str) -> None:
    """Store a QML document as the default style of a layer in its GeoPackage, as QGIS does."""
    names = ["f_table_catalog", "f_table_schema", "f_table_name", "f_geometry_column", "styleName"]
    names += ["styleQML", "styleSLD", "description", "owner", "ui"]
    texts = dict.fromkeys(names, "") | {"f_table_name": layer, "f_geometry_column": "geom"}
    texts |= {"styleName": "classes", "styleQML": style}
    columns = {name: np.array([text], object) for name, text in texts.items()}
    columns |= {"useAsDefault": np.array([True]), "update_time": np.array([0], "datetime64[ms]")}
    data = None, [*columns.values()], [*columns]  # no geometry
    pyogrio.raw.write(path, *data, driver="GPKG", layer="layer_styles", FID="id")


def add_attribute_table(
    raster: Path, names: Mapping[int, str], palette: Palette, measures: Mapping[str, np.ndarray]
) -> None:
    """Write a table of the classes of a map to the sidecar of the raster, `<raster>.aux.xml`.

    `measures` has numbers of each class: "Pixels" and maybe "Hectares".
    """
    table = '<GDALRasterAttributeTable tableType="thematic">'
    columns = COLUMNS | {name: MEASURES[name] for name in measures}
    for index, (name, (kind, use)) in enumerate(columns.items()):
        table += f'<FieldDefn index="{index}"><Name>{name}</Name><Type>{kind}</Type>'
        table += f"<Usage>{use}</Usage></FieldDefn>"
    rows = zip(names.items(), palette, *measures.values(), strict=True)
    for index, (entry, colour, *numbers) in enumerate(rows):
        cells = "".join(f"<F>{escape(str(cell))}</F>" for cell in (*entry, *colour, *numbers))
        table += f'<Row index="{index}">{cells}</Row>'
    table = f'<PAMRasterBand band="1">{table}</GDALRasterAttributeTable></PAMRasterBand>'
    sidecar = raster.with_name(raster.name + ".aux.xml")
    rest = sidecar.read_text("utf-8") if sidecar.is_file() else "<PAMDataset></PAMDataset>"
    sidecar.write_text(rest.replace("</PAMDataset>", f"{table}</PAMDataset>"), encoding="utf-8")
