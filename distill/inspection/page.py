"""inspection.html: one file that needs no network, where layers are moved through and points tell
their sentence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from distill.inspection.languages import by_family, colours, language_name
from distill.inspection.projection import Projection
from distill.inspection.wording import LAYER_LABELS, short_name

_SIDE = 1000
"""The maps' coordinates are whole numbers up to this, either way."""


def render_page(content: Mapping[str, Any], projection: Projection) -> str:
    """The page; everything that comes from sentences and names is escaped."""
    environment = Environment(
        loader=PackageLoader("distill.inspection"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shades = colours(projection.languages)
    families = by_family(projection.languages)
    order = [code for members in families.values() for code in members]
    return environment.get_template("inspection.html.j2").render(
        models=[short_name(model["model"]) for model in content["models"]],
        families={
            family: [
                {
                    "at": projection.languages.index(code),
                    "code": code,
                    "name": language_name(code),
                    "colour": shades[code],
                }
                for code in members
            ]
            for family, members in families.items()
        },
        sentences=[_shortened(texts) for texts in zip(*projection.texts, strict=True)],
        ids=projection.ids,
        order=order,
        measures=list(LAYER_LABELS.values()),
        counts=(content["sentences"], len(content["languages"])),
        data=Markup(_as_script(_data(content, projection, shades))),
    )


def _data(
    content: Mapping[str, Any], projection: Projection, shades: Mapping[str, str]
) -> dict[str, object]:
    return {
        "languages": [
            {"code": code, "name": language_name(code), "colour": shades[code]}
            for code in projection.languages
        ],
        "texts": projection.texts,
        "models": [
            {
                "places": [_whole_numbers(layer) for layer in projection.points[model["model"]]],
                "figures": [
                    [round(row[key], 4) for key in LAYER_LABELS] for row in model["layers"]
                ],
            }
            for model in content["models"]
        ],
    }


def _whole_numbers(points: np.ndarray) -> Any:
    """A layer's map, as large as the frame takes."""
    return (points * (_SIDE / (float(np.abs(points).max()) or 1.0))).round().astype(int).tolist()


def _as_script(data: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return (
        json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        .replace("<", "\\u003c")
        .replace("&", "\\u0026")
    )


def _shortened(texts: tuple[str, ...], most: int = 60) -> str:
    """The first language's text of a sentence, cut at a word."""
    text = texts[0]
    return text if len(text) <= most else text[:most].rsplit(" ", 1)[0] + " …"
