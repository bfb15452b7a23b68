"""Grid codes: community code plus serial number, by a code scheme that is data (``data/code_schemes.json``).

The default scheme writes 15 digits: district 6, street 3, community 3, serial 3. Codes are text, unique per network,
and a retired code is never given again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridsvc.errors import CodeMalformedError, CodesExhaustedError, GridsvcError

_PARTS = ("district", "street", "community", "serial")


class GridCodeParts(NamedTuple):
    """The parts of a grid code: the full codes of its district, street and community (text), and the serial number."""

    district: str
    street: str
    community: str
    serial: int


@dataclass(frozen=True, slots=True)
class CodeScheme:
    """Lengths and meaning of the parts of a grid code.

    ``digits`` are those of district, street, community and serial, in this order. ``verified`` says whether the text of
    the standard itself was at hand.
    """

    id: str
    name_zh: str
    name_en: str
    standard: str
    digits: tuple[int, int, int, int]
    first_serial: int
    order_zh: str
    source: str
    verified: bool

    @property
    def length(self) -> int:
        """Return the number of digits of a whole code."""
        return sum(self.digits)

    @property
    def community_length(self) -> int:
        """Return the number of digits before the serial."""
        return sum(self.digits[:3])

    @property
    def last_serial(self) -> int:
        """Return the largest serial number the scheme can write."""
        return 10 ** self.digits[3] - 1

    def format(self, community_code: str, serial: int) -> str:
        """Return the grid code of ``serial`` in a community; `parse` gives both back."""
        if not _is_digits(community_code, self.community_length):
            raise CodeMalformedError(
                f"Community code {community_code!r} is malformed.",
                hint=f"{self.standard} wants text of {self.community_length} digits.",
                value=str(community_code),
            )
        if not self.first_serial <= serial <= self.last_serial:
            raise CodesExhaustedError(
                f"Serial {serial} of community {community_code} does not fit {self.standard}.",
                hint=f"Serials run from {self.first_serial} to {self.last_serial}.",
                community_code=community_code,
            )
        return f"{community_code}{int(serial):0{self.digits[3]}d}"

    def parse(self, code: str) -> GridCodeParts:
        """Return the parts of a grid code.

        Raises
        ------
        CodeMalformedError
            When it is no text of exactly `length` ASCII digits, or its serial is below `first_serial`.
        """
        if not _is_digits(code, self.length):
            raise CodeMalformedError(
                f"Grid code {code!r} is malformed.",
                hint=f"{self.standard} wants text of {self.length} digits.",
                value=str(code),
            )
        d, s, c, _ = self.digits
        serial = int(code[d + s + c :])
        if serial < self.first_serial:
            raise CodeMalformedError(
                f"Grid code {code!r} has the serial {serial}.",
                hint=f"Serials begin with {self.first_serial}.",
                value=code,
            )
        return GridCodeParts(code[:d], code[: d + s], code[: d + s + c], serial)


# The scheme used where nobody names one; a test holds it to the entry of data/code_schemes.json. The domain reads no files.
DEFAULT_SCHEME = CodeScheme(
    id="db11-2157-2023",
    name_zh="北京市单元网格编码（15位）",
    name_en="Unit grid code of Beijing, 15 digits",
    standard="DB11/T 2157-2023",
    digits=(6, 3, 3, 3),
    first_serial=1,
    order_zh="社区内由西向东、由北向南顺序编码",
    source="Extract of the Beijing DB11 standard on dividing unit grids, domain.md 2.3 [S12]",
    verified=False,
)


def load_schemes(content: Mapping[str, Any]) -> dict[str, CodeScheme]:
    """Return the schemes of the parsed ``data/code_schemes.json`` by id, the default one first.

    Raises
    ------
    CodeMalformedError
        When an entry lacks a part, orders the parts differently, repeats an id, or the default is not there.
    """
    schemes: dict[str, CodeScheme] = {}
    for entry in content["schemes"]:
        names, digits = zip(*entry["parts"], strict=True)
        if names != _PARTS or min(digits) < 1 or entry["id"] in schemes:
            raise CodeMalformedError(
                f"Code scheme {entry['id']!r} is malformed.",
                hint=f"Ids are unique and parts are {', '.join(_PARTS)}, in this order.",
            )
        texts = {key: entry[key] for key in ("id", "name_zh", "name_en", "standard", "order_zh", "source")}
        schemes[entry["id"]] = CodeScheme(
            digits=digits, first_serial=entry["first_serial"], verified=entry["verified"], **texts
        )
    default = content["default"]
    if default not in schemes:
        raise CodeMalformedError(
            f"The default code scheme {default!r} is not in the list.", hint=f"There are: {', '.join(schemes)}."
        )
    return {default: schemes[default], **schemes}


def format(community_code: str, serial: int, scheme: CodeScheme = DEFAULT_SCHEME) -> str:
    """Return the grid code of ``serial`` in a community.

    Examples
    --------
    >>> format("420103001002", 7)
    '420103001002007'
    """
    return scheme.format(community_code, serial)


def parse(code: str, scheme: CodeScheme = DEFAULT_SCHEME) -> GridCodeParts:
    """Return the district, street and community code and the serial number of a grid code.

    Examples
    --------
    >>> parse("420103001002007")
    GridCodeParts(district='420103', street='420103001', community='420103001002', serial=7)
    """
    return scheme.parse(code)


def number_west_to_east(
    lon_or_x: ArrayLike,
    lat_or_y: ArrayLike,
    used_serials: Collection[int] = (),
    *,
    band: float = 1e-6,
    scheme: CodeScheme = DEFAULT_SCHEME,
) -> NDArray[np.int64]:
    """Return a serial number for each position of one community, in the order of the input, no two alike.

    Numbers grow from west to east; positions in the same column (same west-east value after rounding to ``band``) are
    numbered from north to south; positions equal in both keep their input order. Numbers in ``used_serials``
    (retired ones included) are skipped.

    Parameters
    ----------
    lon_or_x, lat_or_y
        One position per grid, inside of it. Degrees or metres. Shape: (n,).
    used_serials
        Serials ever given in this community and network.
    band
        Width of a column, in the unit of the input. The default only removes noise (0.1 m in degrees, 1 µm in metres).

    Raises
    ------
    CodesExhaustedError
        When the scheme has too few serials left; nothing is numbered then.

    Notes
    -----
    Source: DB11/T 2157-2023 by its extract, "within a community from west to east, then north to south". Our reading is that west
    to east is the first key and north to south settles ties. The other reading (rows from the north, each from the west) was
    dropped because irregular grids have no rows.
    """
    x, y = np.asarray(lon_or_x, dtype=np.float64), np.asarray(lat_or_y, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise GridsvcError(f"Numbering wants two arrays of one length, got {x.shape} and {y.shape}.")
    free = np.setdiff1d(
        np.arange(scheme.first_serial, scheme.last_serial + 1), np.fromiter(used_serials, dtype=np.int64)
    )
    if len(free) < len(x):
        raise CodesExhaustedError(
            f"{len(x)} grids need a serial and {len(free)} of {scheme.last_serial} are left.",
            hint="Make larger grids, or split the community; retired codes are never given again.",
            needed=len(x),
            left=len(free),
        )
    order = np.lexsort((-y, np.round(x / band)))
    serials = np.empty(len(x), dtype=np.int64)
    serials[order] = free[: len(x)]
    return serials


def _is_digits(text: object, length: int) -> bool:
    return isinstance(text, str) and len(text) == length and text.isascii() and text.isdigit()
