"""What a long run tells whoever watches it."""

from typing import Protocol

from safety_reasoning.builders.ledger import Ledger


class Progress(Protocol):
    """Receives events; shows them or not."""

    def stage(self, text: str) -> None:
        """A new part of the work begins."""
        ...

    def asking(self, ledger: Ledger) -> None:
        """The ledger says what there is to do; teachers are asked from now on."""
        ...

    def answered(self, ledger: Ledger) -> None:
        """More replies are in the store."""
        ...


class Silent:
    """Shows nothing."""

    def stage(self, text: str) -> None:
        """See `Progress`."""

    def asking(self, ledger: Ledger) -> None:
        """See `Progress`."""

    def answered(self, ledger: Ledger) -> None:
        """See `Progress`."""
