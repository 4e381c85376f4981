"""What all tables of the configuration share."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

Identifier = Annotated[
    str,
    Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"),
]
BASE_DIR = "base_dir"
"""Key of the validation context: the folder that relative paths start from."""


class Section(BaseModel):
    """Base of all tables: immutable, and a key that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def beside_file(path: Path, info: ValidationInfo) -> Path:
    """A relative path is meant relative to the configuration file."""
    base: Path = (info.context or {}).get(BASE_DIR, Path())
    return path if path.is_absolute() else base / path


FilePath = Annotated[Path, AfterValidator(beside_file)]
