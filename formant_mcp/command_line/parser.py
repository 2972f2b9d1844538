"""The commands of `formant-mcp`, with their options. What runs a command is imported once its line is understood."""

import sys
from collections.abc import Callable, Sequence
from functools import partial

import click

from formant_mcp import __version__
from formant_mcp.command_line.refusals import refusal
from formant_mcp.command_line.syntax import Argument, Call, Choice, Group, Option, is_demo
from formant_mcp.command_line.tool_options import FilterCommand, typed
from formant_mcp.commands.shell_words import COMMANDS
from formant_mcp.startup import open_sample, opening

Run = Callable[[], int]
_NAME = "formant-mcp"
_REFUSED = 2
_LAST_PORT = 65_535
ASSISTANTS = ("claude-desktop", "claude-code", "cursor", "vscode")
_KEY_HINT = "Set FORMANT_API_KEY (or FORMANT_API_KEY_FILE) in this shell; with --demo a sample account needs none."
_HELP = "MCP server over a company's voice calls. Without a command it serves an assistant on stdin and stdout."
_SETTINGS = """\b
Settings are environment variables; those needed most:
  FORMANT_API_KEY    the key
  FORMANT_PROVIDER   formant (default), elevenlabs, voiceable or voiceos
  FORMANT_REGION     global (default) or india; Formant only
  FORMANT_TIMEZONE   where "yesterday" is, such as Asia/Kolkata
  FORMANT_REDACT     what is hidden: numbers, emails, ids"""
_SETTINGS_OF_SERVE = f"""{_SETTINGS}
  FORMANT_STORE      a file, or postgresql://... for a team
  FORMANT_HTTP_HOSTS  the names that it is called by"""
_READ_ON = "README.md and .github/docs in the program's repository have all commands, filters and settings."
_MORE = f"""{_SETTINGS}

\b
Examples:
  formant-mcp tour
  formant-mcp --demo list --since 7d --call-successful failure
  formant-mcp connect claude-desktop
  formant-mcp export --since 7d --call-successful failure -o failed.csv

{_READ_ON} `formant-mcp COMMAND --help` has a command's options."""


def _more(examples: str, *, is_export: bool = False) -> str:
    """What the help of a question says after its options."""
    demo = "\n".join(f"--demo {example}" for example in examples.splitlines())
    complete = "the answer is complete, 3 if it is not, 1 after an error"
    if is_export:
        complete = "the file has all calls, 1 if not, or after an error"
    return f"""{_examples(demo)}

{_SETTINGS}

\b
Exit status: 0 if {complete},
2 if the command line or a value is not accepted.

{_READ_ON}"""


def _brief(commands: str, settings: str = "") -> str:
    """What the help of another command says after its options."""
    return "\n\n".join(part for part in (_examples(commands), settings, _READ_ON) if part)


def _examples(commands: str) -> str:
    """Examples, as help shows them."""
    return "\n".join(["\b", "Examples:", *(f"  {_NAME} {command}" for command in commands.splitlines())])


def parse(arguments: Sequence[str]) -> Call | int:
    """The command line, parsed; or the exit status, after help, or what is wrong, was printed."""
    _write_every_script()
    try:
        return program.main(list(arguments), prog_name=_NAME, standalone_mode=False)
    except click.Abort:  # what click makes of Ctrl-C
        raise KeyboardInterrupt from None
    except click.UsageError as error:
        print(f"{_NAME}: {refusal(error, is_demo='--demo' in arguments)}", file=sys.stderr)
        return _REFUSED


def _write_every_script() -> None:
    """Has UTF-8 written to pipes and files, since the encoding of Windows lacks Hindi; a terminal keeps its own."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(encoding=None if sys.stdout.isatty() else "utf-8", errors="replace")


@click.group(
    cls=Group,
    help=_HELP,
    epilog=_MORE,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, "--version", message="%(prog)s %(version)s", help="Print the version.")
def program() -> None:
    """The command itself."""


@program.command(short_help="Run a guided demo against the sample account.", epilog=_brief("tour\ntour --all"))
@click.option("--all", "shows_all", cls=Option, is_flag=True, help="Show all steps, not three.")
def tour(shows_all: bool) -> Run:
    """Run a guided demo against the sample account: an assistant's calls, and the answers."""
    from formant_mcp.commands.tour import run_tour

    return partial(run_tour, shows_all=shows_all)


def _question(tool: str, text: str, examples: str, *positional: Argument) -> FilterCommand:
    """A command that asks what an assistant would ask with the tool."""

    @click.pass_context
    def ask(ctx: click.Context, as_json: bool, **given: object) -> Run:
        from formant_mcp.commands.ask import run_ask

        demo = is_demo(ctx)
        return partial(run_ask, opening(_KEY_HINT, is_demo=demo), tool, typed(given), as_json=as_json, is_demo=demo)

    as_json = Option(["--json", "as_json"], is_flag=True, help="Print one JSON document, for scripts.")
    params = [*positional, as_json]
    return FilterCommand(COMMANDS[tool], tool=tool, callback=ask, params=params, help=text, epilog=_more(examples))


_LIST_EXAMPLES = """list --since 7d --call-successful failure
list --order-by longest --limit 5"""
_SEARCH_EXAMPLES = """search lawyer --role contact
search '"late fee" OR refund' --since 7d --json"""
_SUMMARY_EXAMPLES = """summarize --group-by agent_id
summarize --since 7d --compare-previous --group-by status"""
_SHOW_EXAMPLES = """show 70a2a74c
show 70a2a74c --max-turns 5 --json"""
_EXPORT_EXAMPLES = """export --since 7d --include results
export --call-successful failure -o failed.csv"""
_QUOTED = "A query is one argument, in quotes, and begins with what is to be found"
_QUERY = Argument(["query"], what="a query", example="refund -fee", quoted=_QUOTED)
_IDS = Argument(["conversation_ids"], metavar="ID...", nargs=-1, required=True, what="an id", example="70a2a74c")
for _command in (
    _question("list_conversations", "List the calls that match, in a table.", _LIST_EXAMPLES),
    _question("search_transcripts", "Find what was said, in all calls that match.", _SEARCH_EXAMPLES, _QUERY),
    _question("summarize_results", "Count and compare all calls that match, with bars.", _SUMMARY_EXAMPLES),
    _question("get_transcripts", "Show calls: fields, results and what was said.", _SHOW_EXAMPLES, _IDS),
):
    program.add_command(_command)


@program.command(
    short_help="Download all conversations; resumable.", epilog=_brief("sync\nsync --since 30d", _SETTINGS)
)
@click.option("--since", cls=Option, default="", metavar="WHEN", example="30d", help="Only calls since then.")
@click.pass_context
def sync(ctx: click.Context, since: str) -> Run:
    """Download all conversations, with a progress bar. Stopped at any time, it resumes when it is run again."""
    from formant_mcp.commands.sync import run_sync

    return partial(run_sync, opening(_KEY_HINT, is_demo=is_demo(ctx)), since)


@program.command(
    cls=FilterCommand,
    tool="export_conversations",
    short_help="Write all calls that match to a file.",
    epilog=_more(_EXPORT_EXAMPLES, is_export=True),
)
@click.option(
    "-o", "--output", cls=Option, default="", metavar="FILE", example="calls.csv", help="A file; default: stdout."
)
@click.pass_context
def export(ctx: click.Context, output: str, **given: object) -> Run:
    """Write all calls that match to a file or to stdout, with a progress bar."""
    from formant_mcp.commands.export import run_export

    demo = is_demo(ctx)
    return partial(run_export, opening(_KEY_HINT, is_demo=demo), typed(given), output, is_demo=demo)


@program.command(
    short_help="Serve a team over HTTP.",
    epilog=_brief("token add anna --expires 90d\nserve --port 8765", _SETTINGS_OF_SERVE),
)
@click.option(
    "--host",
    cls=Option,
    default="127.0.0.1",
    metavar="ADDRESS",
    example="127.0.0.1",
    help="Where to listen; default: 127.0.0.1.",
)
@click.option(
    "--port",
    cls=Option,
    default=8765,
    type=click.IntRange(0, _LAST_PORT),
    metavar="PORT",
    example="8765",
    help=f"Default: 8765; 0 to {_LAST_PORT}, 0 for any that is free.",
)
@click.pass_context
def serve(ctx: click.Context, host: str, port: int) -> Run:
    """Serve a team: MCP over HTTP at /mcp."""
    from formant_mcp.commands.serve import run_serve

    return partial(run_serve, host, port, is_demo=is_demo(ctx))


_MEMBER_EXAMPLES = "token add anna --agents 123,456 --expires 90d\ntoken list\ntoken revoke anna"


@program.group(
    cls=Group,
    no_args_is_help=False,
    short_help="Who may use the server over HTTP: add, list, revoke.",
    epilog=_brief(_MEMBER_EXAMPLES),
)
def token() -> None:
    """Who may use the server over HTTP."""


def _member_name() -> Argument:
    return Argument(["name"], what="a name", example="anna")


@token.command(params=[_member_name()], short_help="Make a member's token, which is shown once.")
@click.option("--agents", cls=Option, metavar="IDS", example="123,456", help="The only agents they may see.")
@click.option("--expires", cls=Option, metavar="WHEN", example="90d", help="90d, 12h or a date; default: never.")
@click.option(
    "--redact", cls=Option, metavar="KINDS", example="numbers", help="Hidden from them: numbers, emails, ids."
)
@click.pass_context
def add(ctx: click.Context, name: str, agents: str | None, expires: str | None, redact: str | None) -> Run:
    """Make a member's token, which is shown once."""
    from formant_mcp.commands.token import TokenOptions, run_token

    options = TokenOptions("add", name, agents, expires, redact)
    return _refuse_tokens if is_demo(ctx) else partial(run_token, options)


@token.command("list", short_help="Show all members and the state of their tokens.")
@click.pass_context
def list_members(ctx: click.Context) -> Run:
    """Show all members and the state of their tokens."""
    from formant_mcp.commands.token import TokenOptions, run_token

    return _refuse_tokens if is_demo(ctx) else partial(run_token, TokenOptions("list"))


@token.command(params=[_member_name()], short_help="Refuse a member's token from now on.")
@click.pass_context
def revoke(ctx: click.Context, name: str) -> Run:
    """Refuse a member's token from now on."""
    from formant_mcp.commands.token import TokenOptions, run_token

    return _refuse_tokens if is_demo(ctx) else partial(run_token, TokenOptions("revoke", name))


def _refuse_tokens() -> int:
    print("The sample account has no tokens, because it is kept nowhere. Leave --demo out.", file=sys.stderr)
    return 1


@program.command(
    short_help="Check key, connection, clock, store, folders and settings.", epilog=_brief("doctor", _SETTINGS)
)
@click.pass_context
def doctor(ctx: click.Context) -> Run:
    """Check key, connection, clock, store, folders and settings: a line for each, with what to do if it is wrong."""
    from formant_mcp.commands.doctor import run_doctor

    return partial(run_doctor, open_sample if is_demo(ctx) else None)


@program.command(
    short_help="Delete everything stored for the account; asks first.", epilog=_brief("purge\npurge --all --yes")
)
@click.option("--all", "all_", cls=Option, is_flag=True, help="Delete all other accounts' stores instead.")
@click.option("--store", cls=Option, metavar="NAME", example="NAME", help="Delete this one of doctor's list instead.")
@click.option("--yes", cls=Option, is_flag=True, help="Do not ask.")
@click.pass_context
def purge(ctx: click.Context, all_: bool, store: str | None, yes: bool) -> Run:
    """Delete everything stored for the account, after it has said what that is."""
    from formant_mcp.commands.purge import PurgeOptions, purge_demo, run_purge

    return purge_demo if is_demo(ctx) else partial(run_purge, PurgeOptions(all_, store, yes))


@program.command(
    params=[
        Argument(
            ["client"], type=Choice(ASSISTANTS), metavar="ASSISTANT", what="an assistant", example="claude-desktop"
        )
    ],
    short_help="Add this server to an assistant's configuration, or take it out.",
    demo_help="Add the sample account, which needs no key, beside it.",
    epilog=_brief("connect claude-desktop\nconnect cursor --demo\nconnect cursor --remove", _SETTINGS),
)
@click.option("--print", "print_", cls=Option, is_flag=True, help="Print what to add instead.")
@click.option("--remove", cls=Option, is_flag=True, help="Take it out again.")
@click.option("--yes", cls=Option, is_flag=True, help="Do not ask.")
@click.pass_context
def connect(ctx: click.Context, client: str, print_: bool, remove: bool, yes: bool) -> Run:
    """Add this server to an assistant's configuration: checks the key, shows the change, asks, keeps a backup.

    ASSISTANT is claude-desktop, claude-code, cursor or vscode.
    """
    from formant_mcp.commands.connect import ConnectOptions, run_connect

    return partial(run_connect, ConnectOptions(client, print_, remove, yes, is_demo(ctx)))
