"""Duties of departments: which of those that match a place and a category answers.

The rule: the most specific ground first (a grid before its community before its street before its district), and of the same
ground a duty in one network before one in all of them; then the most specific category (a class before the beginning of its code
before every category). What is still alike and names several departments is a conflict, which is told and never settled here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gridsvc.errors import GridsvcError

# longer ground codes are grids, which nothing lies in
DIVISION_DIGITS = 12

# an edition of the catalogue and a code of it
Category = tuple[str, str]
_Ground = tuple[str | None, str]


@dataclass(frozen=True, slots=True)
class Duty:
    """One duty of a department.

    ``network`` None: in every network. ``ground``: code of a grid of the network, or of a division. ``edition, category``: a class or the
    beginning of the codes of several, of that edition; both None: every category.

    Raises
    ------
    GridsvcError
        When a grid comes without its network, or a category without its edition.
    """

    code: str
    department: str
    network: str | None
    ground: str
    edition: str | None = None
    category: str | None = None

    def __post_init__(self) -> None:
        if len(self.ground) > DIVISION_DIGITS and self.network is None:
            raise GridsvcError(f"Duty {self.code} names the grid {self.ground} and no network.", hint="Name it.")
        if (self.edition is None) != (self.category is None) or self.category == "":
            raise GridsvcError(f"Duty {self.code} has an edition without a category, or the other way round.")

    def holds_on(self, network: str, code: str) -> bool:
        """Return whether the duty is about a place: a grid of a network, or a division where it has no grid."""
        if self.network is not None and self.network != network:
            return False
        return code == self.ground if len(self.ground) > DIVISION_DIGITS else code.startswith(self.ground)

    def holds_for(self, categories: Sequence[Category]) -> bool:
        """Return whether the duty is about a class, known by one code or more; without any, about all there are."""
        return self.category is None or any(
            edition == self.edition and code.startswith(self.category) for edition, code in categories
        )

    def precedence(self, categories: Sequence[Category]) -> tuple[int, bool, int]:
        """Return what duties are ordered by, greater first: length of the ground, whether in one network, nearness of the category."""
        return len(self.ground), self.network is not None, -self._left(categories)

    def _left(self, categories: Sequence[Category]) -> int:
        """Return how many digits of the code asked for the duty leaves open; more than any code has where it names no category."""
        if self.category is None:
            return 1_000
        return min(
            len(code) - len(self.category)
            for edition, code in categories
            if edition == self.edition and code.startswith(self.category)
        )


@dataclass(frozen=True, slots=True)
class Settled:
    """Which department answers.

    ``department`` is None where no duty matches, and in a conflict: ``duties`` then name several departments that stand alike. ``duties``
    are those that decide, ordered by code; ``beaten`` the others that match, strongest first.
    """

    department: str | None
    duties: tuple[Duty, ...] = ()
    beaten: tuple[Duty, ...] = ()

    @property
    def is_conflict(self) -> bool:
        """Return whether several departments stand alike."""
        return self.department is None and bool(self.duties)


NOBODY = Settled(None)


def settle(duties: Iterable[Duty], network: str, code: str, categories: Sequence[Category] = ()) -> Settled:
    """Return which of some duties answers at a place, for a class.

    Parameters
    ----------
    network, code
        The grid, or in its place a division where the network has no grid.
    categories
        The codes of the class asked about, one for each edition that has it; none: whatever the matter is, so that only duties for
        every category answer.
    """
    matching = [duty for duty in duties if duty.holds_on(network, code) and duty.holds_for(categories)]
    if not matching:
        return NOBODY
    ranked = sorted(matching, key=lambda duty: duty.code)
    ranked.sort(key=lambda duty: duty.precedence(categories), reverse=True)
    best = ranked[0].precedence(categories)
    deciding = tuple(duty for duty in ranked if duty.precedence(categories) == best)
    departments = {duty.department for duty in deciding}
    return Settled(departments.pop() if len(departments) == 1 else None, deciding, tuple(ranked[len(deciding) :]))


@dataclass(slots=True)
class DutyIndex:
    """Duties by ground, for many places: each place meets only the duties of the grounds it lies in."""

    by_ground: dict[_Ground, list[Duty]] = field(default_factory=lambda: defaultdict(list))
    digits: tuple[int, ...] = ()

    @classmethod
    def of(cls, duties: Iterable[Duty]) -> DutyIndex:
        """Return the index of some duties."""
        index = cls()
        for duty in duties:
            index.by_ground[duty.network, duty.ground].append(duty)
        index.digits = tuple(sorted({len(ground) for _, ground in index.by_ground}))
        return index

    def on(self, network: str, code: str) -> list[Duty]:
        """Return the duties about a place, whatever the category."""
        grounds = {code[:digits] for digits in self.digits if digits <= DIVISION_DIGITS or digits == len(code)}
        found = [
            duty for ground in grounds for net in (network, None) for duty in self.by_ground.get((net, ground), ())
        ]
        return [duty for duty in found if duty.holds_on(network, code)]

    def settle(self, network: str, code: str, categories: Sequence[Category] = ()) -> Settled:
        """Return what `settle` returns for all of the duties."""
        return settle(self.on(network, code), network, code, categories)
