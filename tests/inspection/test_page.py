from __future__ import annotations

import json
import re
from html.parser import HTMLParser

from distill.inspection.page import render_page
from tests.inspection.examples import LANGUAGES, TEXTS, example


class Elements(HTMLParser):
    """What a browser would see: each element's name and attributes, and what stands in scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._within = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._within = tag
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self._within == "script":
            self.scripts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._within = ""


PAGE = render_page(*example())
SEEN = Elements(PAGE)


def test_every_sentence_is_there_in_every_language_to_the_letter() -> None:
    data = json.loads(SEEN.scripts[0])
    assert data["texts"] == [list(texts) for texts in TEXTS]
    assert [language["code"] for language in data["languages"]] == list(LANGUAGES)


def test_every_layer_of_every_model_has_a_place_for_each_sentence_within_the_frame() -> None:
    models = json.loads(SEEN.scripts[0])["models"]
    assert (
        [len(model["places"]) for model in models]
        == [5, 3]
        == [len(model["figures"]) for model in models]
    )
    for layer in (layer for model in models for layer in model["places"]):
        assert [len(of_language) for of_language in layer] == [3, 3, 3]
        assert (
            max(abs(value) for of_language in layer for point in of_language for value in point)
            == 1000
        )


def test_sentences_cannot_become_markup() -> None:
    assert len(SEEN.scripts) == 2 and "alert(1)" not in SEEN.scripts[1]
    assert not [attributes for tag, attributes in SEEN.found if tag == "u"]


def test_names_of_models_cannot_become_markup() -> None:
    page = render_page(*example((("<img src=x onerror=alert(1)>", 1),)))
    assert "<img" not in page


def test_it_needs_no_network() -> None:
    linked = [
        value
        for _, attributes in SEEN.found
        for key, value in attributes.items()
        if key in ("src", "href")
    ]
    assert linked == []
    assert set(re.findall(r"https?://[^\"' ]+", PAGE)) == {"http://www.w3.org/2000/svg"}


def test_languages_sentences_and_models_can_be_chosen() -> None:
    buttons = [attributes for tag, attributes in SEEN.found if tag == "button"]
    assert {a["data-language"] for a in buttons if "data-language" in a} == {"0", "1", "2"}
    assert {a["data-sentence"] for a in buttons if "data-sentence" in a} == {"0", "1", "2"}
    assert (
        sum(
            tag == "input" and "value" in attributes and attributes["type"] == "checkbox"
            for tag, attributes in SEEN.found
        )
        == 2
    )
