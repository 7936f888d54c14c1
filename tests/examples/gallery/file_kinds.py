"""What kind of text is this? A model that is slow to load knows."""

from typing import TYPE_CHECKING

from gc_warm import self_contained, warm

if TYPE_CHECKING:
    from magika import Magika


@warm
def model() -> "Magika":
    from magika import Magika

    return Magika()


@self_contained(requires=["magika>=1"])
def kind(text: str) -> str:
    return str(model().identify_bytes(text.encode()).output.label)
