"""What commands print: in a terminal as wide as that is, and coloured; else plain, with whole lines."""

import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import IO, NoReturn

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from formant_mcp.models import clean

_UNLIMITED = 100_000  # columns where there is no terminal
_BAR_COLUMNS = 20
_SHORT = 18  # columns of a cell that is cut off only if nothing else helps
_EIGHTHS = " ▏▎▍▌▋▊▉"
ROLES = {"agent": "cyan", "contact": "green"}


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
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(errors="replace")  # some terminals cannot show Hindi; that is no reason to stop
    if sys.stdout.isatty():
        yield Screen()
        return
    lines = StringIO()
    yield Screen(lines, _UNLIMITED)
    print("\n".join(line.rstrip() for line in lines.getvalue().splitlines()))


def text(words: str, style: str = "") -> Text:
    """Words of anybody: what would move the cursor or colour the screen is removed, and no markup is understood."""
    return Text(clean(words), style=style)


def table_of(
    columns: Mapping[str, Sequence[str | Text]], right: Sequence[str] = (), whole: Sequence[str] = ()
) -> Table:
    """A table without the columns that are empty. `right`: numbers; `whole`: what must not be wrapped."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    kept = {name: cells for name, cells in columns.items() if any(str(cell) not in ("", "-") for cell in cells)}
    for name in kept:
        is_whole = name in whole or name in right
        table.add_column(text(name), justify="right" if name in right else "left", no_wrap=is_whole, overflow="fold")
    for cells in zip(*kept.values(), strict=True):
        table.add_row(*(cell if isinstance(cell, Text) else text(cell) for cell in cells))
    return table


def print_rows(
    console: Console, ids: Sequence[str], columns: Mapping[str, Sequence[str]], right: Sequence[str]
) -> None:
    """A row per id. Where the ids do not fit beside the rest, each has the line below its row, whole, to be copied."""
    whole = table_of({"conversation_id": ids, **columns}, right, ("conversation_id", *columns))
    if Measurement.get(console, console.options.update_width(_UNLIMITED), whole).maximum <= console.width:
        console.print(whole)
        return
    table = table_of(columns, right, tuple(columns))
    fit_lines(table, console.width)
    head, *rows = console.render_lines(table, pad=False)
    for line, conversation_id in zip((head, *rows), ("", *ids), strict=True):
        console.print(Text.assemble(*((part.text, part.style or "") for part in line)), no_wrap=True, crop=True)
        if conversation_id:
            console.print(text(f"  {conversation_id}", "dim"), soft_wrap=True)


def fit_lines(table: Table, room: int) -> None:
    """Makes each row one line, in which long cells are cut off before short ones are."""
    widths = [max(cell_len(str(cell)) for cell in (column.header, *column.cells)) for column in table.columns]
    long = [width for width in widths if width > _SHORT]
    room -= sum(widths) - sum(long) + 2 * len(widths)
    for column, width in zip(table.columns, widths, strict=True):
        column.no_wrap, column.overflow = True, "ellipsis"
        column.max_width = max(_SHORT // 2, room // len(long)) if width > _SHORT else None


def bar(value: float, most: float) -> Text:
    """A bar, a whole one for the largest value."""
    eighths = round(value / most * _BAR_COLUMNS * 8) if most else 0
    whole, part = divmod(eighths, 8)
    return Text("█" * whole + (_EIGHTHS[part] if part else ""), style="cyan")


def percent(share: float | None) -> str:
    """`12.5 %`"""
    return "" if share is None else f"{share * 100:.1f} %"
