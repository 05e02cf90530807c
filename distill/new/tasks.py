"""What a language's models are measured on: EuroEval's sets on the Hub, and two that nearly every
language has.
"""

from __future__ import annotations

from dataclasses import dataclass

from distill.new.languages import Language


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownTask:
    """A task of the Hub, as a recipe writes it."""

    name: str
    kind: str
    hub: str
    config: str | None = None
    dev: str = "val"
    """The split that chooses."""
    columns: dict[str, str]
    """Keys of the task and the columns that they name."""
    metrics: tuple[str, ...]
    labels: str | None = None
    """In YAML's flow style."""
    note: str


_SENTIMENT = {
    "da": "angry-tweets-mini",
    "de": "sb10k-mini",
    "en": "sst5-mini",
    "fi": "scandisent-fi-mini",
    "fo": "fosent",
    "nl": "dbrd-mini",
    "no": "norec-mini",
    "nb": "norec-mini",
    "sv": "swerec-mini",
}
_ENTITIES = {
    "da": "dansk-mini",
    "de": "germeval-mini",
    "en": "conll-en-mini",
    "fi": "turku-ner-fi-mini",
    "fo": "fone",
    "is": "mim-gold-ner-mini",
    "nl": "conll-nl-mini",
    "no": "norne-nb-mini",
    "nb": "norne-nb-mini",
    "nn": "norne-nn-mini",
    "sv": "suc3-mini",
}
_ACCEPTABILITY = {
    "da": "scala-da",
    "de": "scala-de",
    "en": "scala-en",
    "fi": "scala-fi",
    "fo": "scala-fo",
    "is": "scala-is",
    "nl": "scala-nl",
    "no": "scala-nb",
    "nb": "scala-nb",
    "nn": "scala-nn",
    "sv": "scala-sv",
}
"""EuroEval's sets of a language, by their names under EuroEval/ on the Hub."""
_WIKIANN_LABELS = "{0: O, 1: B-PER, 2: I-PER, 3: B-ORG, 4: I-ORG, 5: B-LOC, 6: I-LOC}"


def known_tasks(language: Language) -> list[KnownTask]:
    """The tasks that are known for the language; none where nothing is."""
    tasks = [] if language.in_other_script else _tasks_by_code(language)
    if language.sib200:
        tasks.append(
            KnownTask(
                name="topics",
                kind="classification",
                hub="Davlan/sib200",
                config=language.sib200,
                dev="validation",
                columns={"text": "text", "label": "category"},
                metrics=("macro_f1", "accuracy"),
                note="SIB-200: which of seven topics a sentence is about",
            )
        )
    return tasks


def _tasks_by_code(language: Language) -> list[KnownTask]:
    """The tasks whose texts are in the script that most of the language is written in."""
    code, tasks = language.code, []
    if code in _SENTIMENT:
        tasks.append(
            _classes(
                "sentiment", _SENTIMENT[code], "whether a text is positive, neutral or negative"
            )
        )
    if code in _ACCEPTABILITY:
        tasks.append(
            _classes(
                "acceptability", _ACCEPTABILITY[code], "ScaLA: whether a sentence is grammatical"
            )
        )
    if code in _ENTITIES:
        tasks.append(
            KnownTask(
                name="entities",
                kind="tokens",
                hub=f"EuroEval/{_ENTITIES[code]}",
                columns={"words": "tokens", "label": "labels"},
                metrics=("entity_f1",),
                note="persons, places and organisations",
            )
        )
    elif language.in_xlm_r:
        tasks.append(
            KnownTask(
                name="entities",
                kind="tokens",
                hub="unimelb-nlp/wikiann",
                config=code,
                dev="validation",
                columns={"words": "tokens", "label": "ner_tags"},
                metrics=("entity_f1",),
                labels=_WIKIANN_LABELS,
                note="WikiANN: persons, places and organisations, marked by Wikipedia's links",
            )
        )
    return tasks


def _classes(name: str, dataset: str, note: str) -> KnownTask:
    return KnownTask(
        name=name,
        kind="classification",
        hub=f"EuroEval/{dataset}",
        columns={"text": "text", "label": "label"},
        metrics=("mcc", "macro_f1"),
        note=note,
    )
