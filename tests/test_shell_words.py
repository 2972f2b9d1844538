"""What tools say, in the words of a shell."""

import pytest

from formant_mcp.commands.shell_words import in_shell


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "4 failure reasons not loaded yet; summary_mode=include loads them.",
            "4 failure reasons not loaded yet; --summary-mode include loads them.",
        ),
        (
            "compare_previous requires since. Add it, e.g. since=7d.",
            "--compare-previous requires --since. Add it, e.g. --since 7d.",
        ),
        ("Did you mean call_successful=failure?", "Did you mean --call-successful failure?"),
        (
            "Give compare_previous=true alone, or compare_since=2026-W46 with or without compare_until.",
            "Give --compare-previous alone, or --compare-since 2026-W46 with or without --compare-until.",
        ),
        (
            'Use the filter arguments, such as agent_id or results=["intent=refund"].',
            "Use the filter arguments, such as --agent-id or --results intent=refund.",
        ),
        (
            "End one before the other begins, with since, until, compare_since, compare_until.",
            "End one before the other begins, with --since, --until, --compare-since, --compare-until.",
        ),
        (
            "fields must be a list of fields, e.g. status, results.intent.",
            "--fields must be a list of fields, e.g. status, results.intent.",
        ),
        ("since is later than until. Swap them.", "--since is later than --until. Swap them."),
        (
            "limit must be a whole number from 1 to 100, e.g. 20.",
            "--limit must be a whole number from 1 to 100, e.g. 20.",
        ),
        (
            "No conversation x in this account. list_conversations gives the ids.",
            "No conversation x in this account. `formant-mcp list` gives the ids.",
        ),
        (
            "Omit cursor to start over, or give next_cursor from the previous answer, e.g. c:20:5d0c:9f1c2a.",
            "Omit --cursor to start over, or give the cursor from the previous answer, e.g. c:20:5d0c:9f1c2a.",
        ),
        (
            "Ask again, narrow by since, agent_id or status, or run `formant-mcp sync` once.",
            "Ask again, narrow by --since, --agent-id or --status, or run `formant-mcp sync` once.",
        ),
    ],
)
def test_arguments_and_tools_are_shown_as_options_and_commands(said: str, shown: str) -> None:
    assert in_shell(said) == shown


def test_commands_are_of_the_sample_account_where_the_question_is() -> None:
    said = "list_conversations gives the ids, and `formant-mcp sync` loads them; `formant-mcp --demo` needs no key."
    shown = "`formant-mcp --demo list` gives the ids, and `formant-mcp --demo sync` loads them"
    assert in_shell(said, is_demo=True) == f"{shown}; `formant-mcp --demo` needs no key."


def test_a_description_of_an_argument_may_begin_with_a_value() -> None:
    said = "include: results and words; for all use call_successful=failure. results, signals: a column each."
    shown = said.replace("call_successful=failure", "--call-successful failure")
    assert in_shell(said, is_description=True) == shown


@pytest.mark.parametrize(
    "said",
    [
        "No call has this contact_number. Existing values: status, agent_id, hour and results.<path>.",
        "The results of 3 calls are not loaded since 2026-11-20; a limit of hours holds.",
        "Write it in full: amount>=250000, due_date<=2026-11-20, intent=dispute, results.status=busy.",
        "7 of 20 calls ended in no direction.",
    ],
)
def test_fields_of_calls_and_words_of_english_stay_as_they_are(said: str) -> None:
    assert in_shell(said) == said
