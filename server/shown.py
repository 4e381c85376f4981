"""What is shown of many things at once: made and written in a fraction of a dataclass's time.

A frozen dataclass takes ten times as long to make as a frozen ``msgspec.Struct``, and twice as long
to write. Where one thing is shown that is nothing; in a list of hundreds it is most of the answer.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import make_dataclass
from typing import Any, TypeVar, get_type_hints, overload

import msgspec

_One = TypeVar("_One")


class Shown(msgspec.Struct, frozen=True):
    """Frozen; ``class Thing(Shown, frozen=True)``. :func:`server.http.answer` writes it."""

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: Any) -> Any:
        """In the OpenAPI document it stands like a dataclass of the same fields."""
        same = make_dataclass(cls.__name__, get_type_hints(cls).items())
        same.__doc__ = cls.__doc__
        return handler.generate_schema(same)


class ShownLater(Sequence[_One]):
    """A list that is made when somebody looks at it: of most things listed nobody does."""

    __slots__ = ()

    @abstractmethod
    def all(self) -> tuple[_One, ...]:
        """Give all of them."""

    @overload
    def __getitem__(self, at: int) -> _One: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[_One, ...]: ...
    def __getitem__(self, at: int | slice) -> _One | tuple[_One, ...]:
        """Give one, or some."""
        return self.all()[at]

    def __iter__(self) -> Iterator[_One]:
        """Give each."""
        return iter(self.all())

    def __len__(self) -> int:
        """Count them."""
        return len(self.all())


def made(value: object) -> object:
    """What msgspec is to write for a value that it does not know."""
    if isinstance(value, ShownLater):
        return value.all()
    raise TypeError(type(value).__name__)
