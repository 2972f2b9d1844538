"""What commands print: in a terminal as wide as that is, and coloured; else plain, with whole lines."""

import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import IO, NoReturn

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from formant_mcp.models import clean

_UNLIMITED = 100_000  # columns where there is no terminal
_BAR, _SHORTEST_BAR = 20, 5  # columns
_SHORT = 18  # columns of a cell that is never wrapped
_READABLE = 30  # columns of longer ones beside bars
_GAP = 2
_EIGHTHS = " ▏▎▍▌▋▊▉"
ROLES = {"agent": "cyan", "contact": "green"}


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of this part of its column."""

    part: float

    def __str__(self) -> str:
        return self._drawn(_BAR)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As wide as there is room."""
        yield Text(self._drawn(min(options.max_width, _BAR)), style="cyan")

    def _drawn(self, columns: int) -> str:
        whole, part = divmod(round(self.part * columns * 8), 8)
        return "█" * whole + (_EIGHTHS[part] if part else "")


Cell = str | Text | Bar
Columns = Mapping[str, Sequence[Cell]]
"""The cells of each column by its header; that of bars is empty."""


class Screen(Console):
    """A console that shows words as they are, and leaves it to `main` to end when the reader of stdout has left."""

    def __init__(self, file: IO[str] | None = None, width: int | None = None) -> None:
        super().__init__(file=file, width=width, markup=False, emoji=False, highlight=False)

    def on_broken_pipe(self) -> NoReturn:
        """Does not exit at once, as rich would: there may be a child process to end."""
        raise BrokenPipeError


@contextmanager
def screen() -> Generator[Console]:
    """Where to print to. NO_COLOR is followed, as are terminals without colours."""
    if sys.stdout.isatty():
        yield Screen()
        return
    lines = StringIO()
    yield Screen(lines, _UNLIMITED)
    print("\n".join(line.rstrip() for line in lines.getvalue().splitlines()))


def text(words: str, style: str = "") -> Text:
    """Words of anybody: what would move the cursor or colour the screen is removed, and no markup is understood."""
    return Text(clean(words), style=style)


def print_table(console: Console, columns: Columns, right: Sequence[str] = ()) -> None:
    """A table below an empty line; where it does not fit, the fields of each row below each other."""
    table = table_of(columns, console.width, right)
    if table is None:
        first, *others = columns
        print_fields(console, [f"{first}: {cell}" for cell in columns[first]], {name: columns[name] for name in others})
    elif table.row_count:
        console.print()
        console.print(table)


def print_rows(console: Console, ids: Sequence[str], columns: Columns, right: Sequence[str]) -> None:
    """A row per id. Where the ids do not fit beside the rest, each has the line below its row, whole, to be copied."""
    beside = _not_empty({"conversation_id": ids, **columns})
    if sum(map(_width, beside, beside.values())) + _GAP * (len(beside) - 1) <= console.width:
        print_table(console, beside, right)
        return
    kept = _not_empty(columns)
    widths = _widths(kept, console.width, right, _SHORT)
    if widths is None or not kept:
        print_fields(console, ids, columns)
        return
    console.print()
    for place, conversation_id in enumerate(ids):
        table = _table(widths, right, show_header=place == 0)
        table.add_row(*(_shown(cells[place]) for cells in kept.values()))
        console.print(table)
        console.print(text(f"  {conversation_id}", "dim"), soft_wrap=True)


def print_fields(console: Console, titles: Sequence[str], columns: Columns) -> None:
    """Each row as its title and a line per field."""
    kept = {name: cells for name, cells in _not_empty(columns).items() if name}
    for place, title in enumerate(titles):
        console.print()
        console.print(text(title, "bold"), soft_wrap=True)
        console.print(Padding(fields_of({name: cells[place] for name, cells in kept.items()}), (0, 0, 0, _GAP)))


def fields_of(fields: Mapping[str, Cell]) -> Table:
    """A line per field that is not empty, wrapped where it does not fit."""
    grid = Table.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(overflow="fold")
    grid.add_column(overflow="fold")
    for name, value in fields.items():
        if str(value):
            grid.add_row(text(name, "dim"), _shown(value))
    return grid


def table_of(columns: Columns, room: int, right: Sequence[str] = ()) -> Table | None:
    """A table without the columns that are empty; None if it does not fit.

    Numbers (`right`) and short words are whole, longer ones wrapped. Bars give way to them.
    """
    kept = _not_empty(columns)
    for shown, readable in ((kept, _READABLE), ({name: kept[name] for name in kept if name}, _SHORT // 2)):
        widths = _widths(shown, room, right, readable)
        if widths is not None:
            break
    else:
        return None
    table = _table(widths, right)
    for cells in zip(*shown.values(), strict=True):
        table.add_row(*map(_shown, cells))
    return table


def _widths(columns: Columns, room: int, right: Sequence[str], readable: int) -> dict[str, int] | None:
    """The columns' widths; None if there is no room for numbers and short words, and `readable` of longer ones."""
    most = [_width(*column) for column in columns.items()]
    least = [_least(name, cells, _UNLIMITED if name in right else readable) for name, cells in columns.items()]
    widths = _shared(room - _GAP * (len(columns) - 1), least, most)
    return None if widths is None else dict(zip(columns, widths, strict=True))


def _table(widths: Mapping[str, int], right: Sequence[str], *, show_header: bool = True) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold", show_header=show_header)
    for name, width in widths.items():
        table.add_column(text(name), justify="right" if name in right else "left", width=width, overflow="fold")
    return table


def _not_empty(columns: Columns) -> Columns:
    return {name: cells for name, cells in columns.items() if any(map(str, cells))}


def _shown(cell: Cell) -> Text | Bar:
    return text(cell) if isinstance(cell, str) else cell


def _width(name: str, cells: Sequence[Cell]) -> int:
    """Columns of the screen in which nothing is wrapped."""
    return max(cell_len(str(cell)) for cell in (name, *cells))


def _least(name: str, cells: Sequence[Cell], least: int) -> int:
    """Columns of the screen that it needs, where cells longer than short ones may have `least`."""
    longest = max(cell_len(str(cell)) for cell in cells)
    if not name:
        return _SHORTEST_BAR
    words = max((cell_len(word) for word in name.split()), default=0)
    return max(words, longest if longest <= _SHORT else min(longest, least))


def _shared(room: int, least: Sequence[int], most: Sequence[int]) -> list[int] | None:
    """Widths between these, the narrowest columns whole first; None if there is no room."""
    spare = room - sum(least)
    if spare < 0:
        return None
    widths = [*least]
    for left, place in enumerate(sorted(range(len(most)), key=lambda place: most[place] - least[place])):
        more = min(most[place] - least[place], spare // (len(most) - left))
        widths[place], spare = widths[place] + more, spare - more
    return widths


def bar(value: float, most: float) -> Bar:
    """A bar, a whole one for the largest value."""
    return Bar(value / most if most else 0)


def percent(share: float | None) -> str:
    """`12.5 %`"""
    return "" if share is None else f"{share * 100:.1f} %"
