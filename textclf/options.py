"""Options of a part of textclf, declared once, beside the code that they configure.

An options class is a frozen dataclass of the standard library, so that predicting with a saved model needs nothing
more. Its fields carry their range and help as metadata, which `config` hands to pydantic for checking, for the JSON
schema and for the tables in docs/config.md.
"""

from dataclasses import MISSING, dataclass, field
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


def option(*, default: Any = MISSING, help: str = "", **limits: Any) -> Any:
    """Declare a field of an options class; its limits are pydantic's: `ge`, `gt`, `le`, `lt`, `min_length`, ..."""
    metadata = {"description": help, **limits}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(option,))
def options(cls: type[T]) -> type[T]:
    """Turn a class into a frozen, keyword-only dataclass that refuses unknown keys."""
    described: Any = cls
    described.__pydantic_config__ = {"extra": "forbid"}  # read by pydantic from a standard dataclass
    return dataclass(frozen=True, kw_only=True)(cls)
