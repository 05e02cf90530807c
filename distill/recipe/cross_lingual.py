"""The section of a task whose rows exist in several languages: which are learnt from, and which are
tested.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from distill.recipe.section import Section, each_once
from distill.recipe.source import Source

Setting = Literal["transfer", "translate_test", "translate_train", "translate_train_all"]
"""How a task is carried from one language to others, as in the literature on XNLI (Conneau et al.
2020, Table 1).
"""
ALL = "all languages"
"""What translate_train_all learns from; no language is called so."""


class CrossLingualSection(Section):
    """The same task in several languages."""

    languages: Annotated[
        list[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]],
        Field(min_length=2),
        AfterValidator(each_once),
    ]
    """What takes the place of {language}, such as en and sv; the report names the languages so."""
    settings: Annotated[list[Setting], Field(min_length=1), AfterValidator(each_once)] = [
        "transfer",
        "translate_test",
        "translate_train",
        "translate_train_all",
    ]
    """transfer: learn in the source language, test in each. translate_test: the same, on test rows
    translated into the source language. translate_train: learn and test in each language.
    translate_train_all: learn in all, test in each."""
    source_language: str = "en"
    """The language that transfer and translate_test learn in, one of the languages."""
    id: str | None = None
    """The column that says which rows are translations of each other; without it those of the same
    number are.
    """
    translated: Source | None = None
    """Test rows of each {language} in a translation into the source language; without it
    translate_test takes the source language's own rows, which no translation surpasses."""

    @model_validator(mode="after")
    def _source_among_languages(self) -> CrossLingualSection:
        if self.source_language not in self.languages:
            raise ValueError(
                f"source_language {self.source_language} is none of the languages "
                f"{', '.join(self.languages)}"
            )
        if self.translated is not None and "translate_test" not in self.settings:
            raise ValueError("translated goes with the setting translate_test")
        return self

    @property
    def learnt(self) -> list[str]:
        """The languages whose training rows some setting learns from."""
        is_translated = any(setting.startswith("translate_train") for setting in self.settings)
        return self.languages if is_translated else [self.source_language]

    @property
    def foreign(self) -> list[str]:
        """The languages that are translated from."""
        return [language for language in self.languages if language != self.source_language]

    @property
    def fine_tunes(self) -> list[str]:
        """What is learnt from: languages, or all of them; one fine-tune can serve several
        settings.
        """
        return list(
            dict.fromkeys(
                self.learnt_from(setting, name)
                for setting in self.settings
                for name in self.languages
            )
        )

    def learnt_from(self, setting: Setting, language: str) -> str:
        """What is learnt from to be tested in a language."""
        if setting == "translate_train_all":
            return ALL
        return language if setting == "translate_train" else self.source_language

    def reported(self, task: str) -> list[str]:
        """The names under which the report has the scores of a task: of each setting the average,
        and each language.
        """
        return [
            score_name(task, setting, name)
            for setting in self.settings
            for name in (None, *self.languages)
        ]


def score_name(task: str, setting: Setting, language: str | None) -> str:
    """Under which name the report has a task's score under a setting in a language, or the average
    over languages.
    """
    return ".".join((task, setting) if language is None else (task, setting, language))
