"""Tables in a terminal of any width: every line fits, and nothing is cut off."""

from io import StringIO

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from formant_mcp.commands.screen import Bar, Screen, bar, print_fields, print_rows, print_table, table_of

WIDTHS = st.integers(30, 140)
WORDS = st.text("abcñ语अ_-", min_size=1, max_size=18)
NUMBERS = st.floats(0, 10**7).map(lambda number: f"{number:,.1f} %")
HEADERS = st.lists(WORDS.filter(lambda word: cell_len(word) <= 12), min_size=2, max_size=6, unique=True)


def printed(console: Screen) -> list[str]:
    file = console.file
    assert isinstance(file, StringIO)
    lines = file.getvalue().splitlines()
    assert all(cell_len(line.rstrip()) <= console.width for line in lines if not line.strip().startswith("id-"))
    return lines


@given(HEADERS, st.integers(1, 4), WIDTHS, st.data())
def test_a_table_has_every_number_and_word_whole(
    headers: list[str], rows: int, width: int, data: st.DataObject
) -> None:
    first, *others = headers
    key = WORDS.filter(lambda word: cell_len(word) <= 14)
    columns: dict[str, list[str]] = {first: data.draw(st.lists(key, min_size=rows, max_size=rows))}
    columns |= {name: data.draw(st.lists(NUMBERS, min_size=rows, max_size=rows)) for name in others}
    console = Screen(StringIO(), width)
    bars: dict[str, list[Bar]] = {"": [bar(1, 2)] * rows}
    print_table(console, {**columns, **bars}, others)
    shown = "\n".join(printed(console))
    for cells in columns.values():
        assert all(cell in shown for cell in cells)


@given(st.lists(WORDS, min_size=1, max_size=3), WIDTHS)
def test_long_words_are_wrapped_not_lost(words: list[str], width: int) -> None:
    text = " ".join(words * 5)
    console = Screen(StringIO(), width)
    print_table(console, {"name": ["x"], "calls": ["12,345"], "values": [text]}, ["calls"])
    shown = "".join("".join(printed(console)).split())
    assert "12,345" in shown
    assert sorted("".join(text.split()) + "xnamecallsvalues12,345") == sorted(shown)


@given(st.integers(1, 5), st.text("zy अ", max_size=90), WIDTHS)
def test_a_row_of_a_list_is_whole_and_so_is_its_id(count: int, reason: str, width: int) -> None:
    ids = [f"id-{number}-{'x' * 40}" for number in range(count)]
    columns = {"agent": ["456"] * count, "reason": [reason] * count, "seconds": ["1,234"] * count}
    console = Screen(StringIO(), width)
    print_rows(console, ids, columns, ["seconds"])
    shown = printed(console)
    assert [line.split()[0] for line in shown if line.strip().startswith("id-")] == ids
    assert sum(line.count("1,234") for line in shown) == sum(line.count("456") for line in shown) == count
    cells = "".join(shown)
    assert all(cells.count(letter) == count * reason.count(letter) for letter in "zyअ")


@given(st.text("क_b.ñ", min_size=1, max_size=60), st.text("अd{:語", min_size=1, max_size=200), st.integers(20, 140))
def test_a_field_is_whole_at_any_width(name: str, value: str, width: int) -> None:
    console = Screen(StringIO(), width)
    print_fields(console, ["id-1"], {name: [value]})
    assert sorted("".join("".join(printed(console)).split())) == sorted(f"id-1{name}{value}")


def test_what_does_not_fit_is_shown_field_by_field() -> None:
    console = Screen(StringIO(), 30)
    numbers = {name: ["12,345,678.9"] for name in ("calls", "share", "before", "change")}
    print_table(console, {"agent": ["456"], "": [bar(1, 1)], **numbers}, [*numbers])
    assert [line.rstrip() for line in printed(console)] == [
        "",
        "agent: 456",
        "  calls   12,345,678.9",
        "  share   12,345,678.9",
        "  before  12,345,678.9",
        "  change  12,345,678.9",
    ]


def test_an_empty_table_prints_nothing_and_bars_give_way_first() -> None:
    console = Screen(StringIO(), 80)
    print_table(console, {"agent": [], "calls": []}, ["calls"])
    assert printed(console) == []
    columns = {"agent": ["456"], "": [bar(1, 1)], "calls": ["1"]}
    tables = [table_of(columns, width) for width in (40, 19, 18)]
    assert [table and len(table.columns) for table in tables] == [3, 3, 2]
    console.print(tables[1])
    assert [line.split() for line in printed(console)] == [["agent", "calls"], ["456", "█████", "1"]]
