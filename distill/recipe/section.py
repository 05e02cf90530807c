"""What every section of a recipe is made of: strictness, counts, shares, values from the
environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
)

_COUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([kMB]?)")
_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9}
ENVIRONMENT_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""How a recipe writes a value that the environment fills: `${NAME}`."""


def parse_count(value: object) -> object:
    """A whole number from 1500, "1500", "400k", "400M" or "1.5B"; anything else is left to the type
    check.
    """
    if isinstance(value, str) and (match := _COUNT.fullmatch(value.strip().replace("_", ""))):
        number = float(match[1]) * _FACTORS[match[2]]
        return int(number) if number.is_integer() else value
    return value


Positive = Annotated[int, Field(gt=0)]
Natural = Annotated[int, Field(ge=0)]
_CountText = Annotated[str, Field(pattern=rf"^{_COUNT.pattern}$")]
Count = Annotated[
    Positive, BeforeValidator(parse_count, json_schema_input_type=Positive | _CountText)
]
"""A number above 0, which may be written as 400M."""
CountOrNone = Annotated[
    Natural, BeforeValidator(parse_count, json_schema_input_type=Natural | _CountText)
]
"""The same, or 0."""
Share = Annotated[float, Field(gt=0, lt=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def each_once(names: list[Any]) -> list[Any]:
    """`names` if none stands there twice. Raises ValueError otherwise."""
    if twice := sorted({str(name) for name in names if names.count(name) > 1}):
        raise ValueError(f"names {', '.join(twice)} twice")
    return names


def filled_from_environment(path: str | None) -> str | None:
    """A path with its ${NAME}s filled from the environment."""
    for name in ENVIRONMENT_NAME.findall(path or ""):
        if not os.environ.get(name):
            raise ValueError(f"{path} names the environment variable {name}, which is not set")
    return path and ENVIRONMENT_NAME.sub(lambda match: os.environ[match[1]], path)


def is_repository(name: str) -> bool:
    """Whether a name is a Hub repository's with its owner's: ORG/NAME."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return all(name.partition("/"))


class Section(BaseModel):
    """A part of a recipe: fixed once read, and closed to keys it does not know."""

    locations: ClassVar[frozenset[str]] = frozenset()
    """The keys that say where something lies, and nothing of what it holds."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        str_strip_whitespace=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean_numbers(cls, value: object, info: ValidationInfo) -> object:
        """Python counts with True; a recipe does not."""
        if (
            isinstance(value, bool)
            and cls.model_fields[str(info.field_name)].annotation is not bool
        ):
            raise ValueError(f"should not be {str(value).lower()}")
        return value


class GrownSection(Section):
    """A section some of whose keys came later: written without those that hold their default, so
    that what an earlier version did is not done again.
    """

    later: ClassVar[frozenset[str]] = frozenset()
    """Those keys."""

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields, plain = type(self).model_fields, serialise(self)
        unsaid = {key for key in self.later if getattr(self, key) == fields[key].default}
        return {key: value for key, value in plain.items() if key not in unsaid}


def meaning(value: object, *, without: Collection[str] = ()) -> object:
    """A section as plain values, without the keys that say where something lies, nor those of
    `without`: for fingerprints.

    What lies there is hashed instead, so that a folder that was moved is still the same.
    """
    if isinstance(value, Section):
        dumped = value.model_dump(mode="json")
        hidden = {*value.locations, *without}
        fields = {key: getattr(value, key, None) for key in dumped if key not in hidden}
        return {
            key: meaning(field) if isinstance(field, Section | list) else dumped[key]
            for key, field in fields.items()
        }
    if isinstance(value, list):
        return [meaning(item) for item in value]
    return value
