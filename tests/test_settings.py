"""Settings from the environment: what each variable does, and errors that name the variable but never its value."""

import socket
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import tzlocal
from pydantic import ValidationError

from formant_mcp.errors import ConfigurationError
from formant_mcp.redaction.kinds import KINDS
from formant_mcp.settings import Settings

KEY = "fm-live-5c1e0f2b9a7d"
SECRET = "zx-secret-9"


@pytest.fixture(autouse=True)
def environment(own_environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without our variables."""
    return own_environment


def load(**variables: str) -> Settings:
    """Settings from an environment with these variables, given without their prefix."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in variables.items():
            environment.setenv(f"FORMANT_{name}", value)
        return Settings.load()


def refused(**variables: str) -> str:
    """The error for these variables; checks that it names the first and quotes no value."""
    with pytest.raises(ConfigurationError) as raised:
        load(**variables)
    said = str(raised.value)
    variable = f"FORMANT_{next(iter(variables))}"
    assert said.startswith((f"{variable}: ", f"{variable} must be "))
    assert not [value for value in variables.values() if value.strip() in said]
    assert not raised.value.__cause__
    assert raised.value.__suppress_context__  # the cause would quote the value
    return said


def test_settings_have_defaults_without_any_variable(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TZ", "Europe/Berlin")
    tzlocal.reload_localzone()  # it caches the zone of an earlier test
    settings = load()
    assert settings.model_dump() == {
        "api_key": None,
        "api_key_file": None,
        "provider": "formant",
        "base_url": "",
        "region": "global",
        "store": "",
        "recordings_dir": None,
        "exports_dir": None,
        "phrases_file": None,
        "timezone": "Europe/Berlin",
        "call_seconds": 20.0,
        "redact": "",
        "retention_days": None,
        "http_issuer": "",
        "http_audience": "",
        "http_hosts": "",
        "http_metrics": "off",
        "log_level": "WARNING",
        "log_format": "text",
    }
    assert settings.address == "https://api.voice.formantai.com"


def test_every_variable_is_read(tmp_path: Path) -> None:
    settings = load(
        API_KEY=KEY,
        PROVIDER="Formant",
        BASE_URL="https://calls.example.com/api/",
        STORE=str(tmp_path / "calls.sqlite"),
        RECORDINGS_DIR=str(tmp_path / "wav"),
        TIMEZONE="Asia/Kolkata",
        CALL_SECONDS="7.5",
        LOG_LEVEL="debug",
    )
    assert settings.key() == KEY
    assert settings.provider == "formant"
    assert settings.address == "https://calls.example.com/api"
    assert settings.store_path(KEY) == tmp_path / "calls.sqlite"
    assert settings.recordings_path() == tmp_path / "wav"
    assert settings.zone == ZoneInfo("Asia/Kolkata")
    assert settings.call_seconds == 7.5
    assert settings.log_level == "DEBUG"


@pytest.mark.parametrize("name", Settings.model_fields)
@pytest.mark.parametrize("blank", ["", "  ", "\t\n"])
def test_a_blank_variable_counts_as_unset(name: str, blank: str) -> None:
    assert load(**{name.upper(): blank}) == load()


def test_blanks_around_a_value_are_stripped(tmp_path: Path) -> None:
    given = {
        "API_KEY": KEY,
        "API_KEY_FILE": str(tmp_path / "key"),
        "BASE_URL": "https://calls.example.com",
        "REGION": "india",
        "STORE": ":memory:",
        "RECORDINGS_DIR": str(tmp_path / "wav"),
        "TIMEZONE": "Asia/Kolkata",
        "CALL_SECONDS": "7",
        "LOG_LEVEL": "INFO",
        "PROVIDER": "formant",
    }
    assert load(**{name: f" {value}\n" for name, value in given.items()}) == load(**given)


def test_hosts_are_names_with_commas_between_them() -> None:
    assert load().hosts == []
    assert load(HTTP_HOSTS=" Calls.Example.com,, calls.example.org:8443 ").hosts == [
        "calls.example.com",
        "calls.example.org:8443",
    ]
    also = ["xn--mnchen-3ya.example", "formant_mcp", "10.0.0.7", "[fe80::1]", "[::1]:8765", "calls.example.com."]
    assert load(HTTP_HOSTS=",".join(also)).hosts == also


@pytest.mark.parametrize(
    "value",
    [
        *("https://calls.example.com", "*.example.com", "a.example b.example", "a.example\tb.example", "a.example;b"),
        *("fe80::1", "[::1", "calls.example.com:", "calls.example.com:x", "calls.example.com:123456", "me@a.example"),
        *("-", ".", "a..example", "a,calls.example.com/mcp"),
    ],
)
def test_hosts_that_no_client_can_send_are_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^FORMANT_HTTP_HOSTS: give names with commas between them"):
        load(HTTP_HOSTS=value)


def test_a_host_that_is_not_ascii_is_to_be_given_as_clients_send_it() -> None:
    with pytest.raises(ConfigurationError, match=r"^FORMANT_HTTP_HOSTS: .* in the form that begins with xn--"):
        load(HTTP_HOSTS="münchen.example")


@pytest.mark.parametrize("region", ["india", "India ", "INDIA"])
def test_the_region_selects_the_address_unless_one_is_given(region: str) -> None:
    assert load(REGION=region).address == "https://api.in.voice.formantai.com"
    assert load(REGION=region, BASE_URL="https://calls.example.com").address == "https://calls.example.com"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://LOCALHOST", "http://LOCALHOST"),
        ("http://127.0.0.1:8080/v2//", "http://127.0.0.1:8080/v2"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("HTTPS://calls.example.com/", "HTTPS://calls.example.com"),
    ],
)
def test_an_address_may_be_https_or_http_on_this_machine(url: str, address: str) -> None:
    assert load(BASE_URL=url).address == address


@pytest.mark.parametrize(
    "url",
    [
        f"http://{SECRET}.example.com",
        f"http://localhost.{SECRET}.com",
        f"http://127.0.0.1.{SECRET}.com",
        f"http://localhost@{SECRET}.com",
        f"http://localhost:8080@{SECRET}.com",
        "http://0.0.0.0:8080",
        "http://169.254.169.254",
        f"ftp://{SECRET}.com",
        f"//{SECRET}.com",
        SECRET,
        "https://",
        "https:///path",
        f"https://user:{SECRET}@example.com",
        f"https://{SECRET}@example.com",
        f"https://@{SECRET}.com",
        f"https://example.com/?key={SECRET}",
        f"https://{SECRET}.com?",
        f"https://{SECRET}.com/#",
        f"https://example.com/#{SECRET}",
        f"https://{SECRET}.com:port",
        f"https://{SECRET}.com:99999",
        f"https://[{SECRET}]",
        f"https://[{SECRET}",
        f"https://{SECRET}\u2100.com",
        f"https://{SECRET} .com",
        f"https://{SECRET}\n.com",
        f"https://{SECRET}\x7f.com",
    ],
)
def test_any_other_address_is_refused_and_not_repeated(url: str) -> None:
    assert SECRET not in refused(BASE_URL=url)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PROVIDER", SECRET),
        ("REGION", SECRET),
        ("TIMEZONE", SECRET),
        ("TIMEZONE", "../../etc/passwd"),
        ("TIMEZONE", "/etc/localtime"),
        ("TIMEZONE", "America"),
        ("TIMEZONE", "Mars/Olympus"),
        ("CALL_SECONDS", "-5"),
        ("CALL_SECONDS", "abc"),
        ("CALL_SECONDS", "nan"),
        ("CALL_SECONDS", "inf"),
        ("CALL_SECONDS", "601"),
        ("LOG_LEVEL", SECRET),
        ("STORE", f"~{SECRET}/calls.sqlite"),
        ("RECORDINGS_DIR", f"~{SECRET}/wav"),
        ("API_KEY_FILE", f"~{SECRET}/key"),
    ],
)
def test_an_invalid_value_is_refused_by_its_variables_name(variable: str, value: str) -> None:
    assert refused(**{variable: value})


def test_zero_call_seconds_are_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"FORMANT_CALL_SECONDS must be a number of seconds above 0 and up to 600"
    ):
        load(CALL_SECONDS="0")


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        ("", set[str]()),
        ("numbers", {"numbers"}),
        (" Ids, emails,,", {"ids", "emails"}),
        ("numbers,emails,ids", set(KINDS)),
    ],
)
def test_the_kinds_to_hide_are_a_list_with_commas(value: str, kinds: set[str]) -> None:
    assert load(REDACT=value).redacts == kinds


@pytest.mark.parametrize("value", ["all", "numbers;ids", "phones", "numbers ids", "true"])
def test_a_kind_that_does_not_exist_is_refused_because_something_would_stay_visible(value: str) -> None:
    assert refused(REDACT=value) == "FORMANT_REDACT: takes numbers, emails, ids, with commas between them."


def test_an_issuer_and_an_audience_are_read_as_written() -> None:
    settings = load(HTTP_ISSUER="https://login.example.com/", HTTP_AUDIENCE="api://calls")
    assert (settings.http_issuer, settings.http_audience) == ("https://login.example.com/", "api://calls")
    assert load(HTTP_ISSUER="http://localhost:8080", HTTP_AUDIENCE="a").http_issuer == "http://localhost:8080"


@pytest.mark.parametrize("issuer", ["http://login.example.com", "login.example.com", "https://a.com/?x=1", "https://"])
def test_an_issuer_that_is_not_a_secure_address_is_refused(issuer: str) -> None:
    refused(HTTP_ISSUER=issuer, HTTP_AUDIENCE="api://calls")


@pytest.mark.parametrize("given", [{"HTTP_AUDIENCE": SECRET}, {"HTTP_ISSUER": "https://login.example.com"}])
def test_an_issuer_without_an_audience_or_the_other_way_round_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="FORMANT_HTTP_AUDIENCE: set it together with FORMANT_HTTP_ISSUER"):
        load(**given)


def test_one_of_several_invalid_values_is_named() -> None:
    assert "FORMANT_REGION" in refused(REGION="nowhere", LOG_LEVEL="loudly")


def test_the_key_is_in_no_representation() -> None:
    settings = load(API_KEY=KEY)
    for shown in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert KEY not in shown


def test_settings_are_immutable() -> None:
    with pytest.raises(ValidationError):
        load().region = "india"


def test_the_key_is_read_from_its_file_unless_it_is_given(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"\ufeff{KEY}\r\n", encoding="utf-8")  # as Windows' editors write it
    assert load(API_KEY_FILE=str(file)).key() == KEY
    assert load(API_KEY_FILE="~/key").key() == KEY
    assert load(API_KEY_FILE=str(file), API_KEY="another").key() == "another"
    assert load(API_KEY_FILE=str(tmp_path / "nothing"), API_KEY="another").key() == "another"


def test_an_unreadable_key_file_is_refused_by_its_variables_name(tmp_path: Path) -> None:
    (tmp_path / "utf-16").write_bytes(f"\ufeff{KEY}".encode("utf-16"))
    for path in (tmp_path / "nothing", tmp_path, tmp_path / "utf-16"):
        with pytest.raises(ConfigurationError, match="FORMANT_API_KEY_FILE") as raised:
            load(API_KEY_FILE=str(path)).key()
        assert str(path) not in str(raised.value)
        assert KEY not in str(raised.value)


def test_a_missing_key_is_an_error_that_says_where_to_set_it(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for settings in (load(), load(API_KEY=" "), load(API_KEY_FILE=str(tmp_path / "empty"))):
        with pytest.raises(ConfigurationError, match="No API key") as raised:
            settings.key()
        assert "FORMANT_API_KEY" in raised.value.hint
        assert "--demo" in raised.value.hint


@pytest.mark.parametrize(
    "key", ["${FORMANT_API_KEY}", "Bearer ${KEY}", "a b", "schlüssel", "a\x07b", "a\nb", "“quoted”"]
)
def test_a_placeholder_or_malformed_key_is_refused(key: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(key, encoding="utf-8")
    for settings, variable in (
        (load(API_KEY=key), "FORMANT_API_KEY "),
        (load(API_KEY_FILE=str(tmp_path / "key")), "FORMANT_API_KEY_FILE "),
    ):
        with pytest.raises(ConfigurationError) as raised:
            settings.key()
        assert raised.value.message.startswith(variable)
        assert key not in str(raised.value)


def test_every_provider_address_and_key_has_its_own_store(tmp_path: Path) -> None:
    paths = {
        load().store_path(KEY),
        load().store_path(f"{KEY}2"),
        load(REGION="india").store_path(KEY),
        load(BASE_URL="https://calls.example.com").store_path(KEY),
        load().model_copy(update={"provider": "voiceos"}).store_path(KEY),
    }
    assert len(paths) == 5
    assert all(path and path.is_relative_to(tmp_path / "data" / "formant-mcp") for path in paths)
    assert load(BASE_URL="https://api.voice.formantai.com/").store_path(KEY) == load().store_path(KEY)


def test_a_store_in_memory_has_no_path() -> None:
    assert load(STORE=":memory:").store_path(KEY) is None


def test_files_are_beside_the_store_unless_a_folder_is_given(tmp_path: Path) -> None:
    default = tmp_path / "data" / "formant-mcp"
    for settings in (load(), load(STORE=":memory:"), load(STORE="postgresql://database/calls")):
        assert settings.recordings_path() == default / "recordings"
        assert settings.exports_path() == default / "exports"
    beside = load(STORE="~/calls/store.sqlite")
    assert beside.recordings_path() == tmp_path / "calls" / "recordings"
    assert beside.exports_path() == tmp_path / "calls" / "exports"
    elsewhere = load(STORE="~/calls/store.sqlite", RECORDINGS_DIR="~/wav", EXPORTS_DIR="~/tables")
    assert elsewhere.recordings_path() == tmp_path / "wav"
    assert elsewhere.exports_path() == tmp_path / "tables"


def test_loading_settings_creates_no_file_and_opens_no_connection(
    tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise AssertionError

    environment.setattr(socket.socket, "connect", unreachable)
    for settings in (load(STORE="~/calls/store.sqlite"), load(RECORDINGS_DIR="~/wav"), load(API_KEY=KEY)):
        assert settings.recordings_path()
        assert settings.store_path(KEY)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CALL_SECONDS", "soon", "must be a number of seconds above 0 and up to 600, for example 20."),
        ("CALL_SECONDS", "601", "must be a number of seconds above 0 and up to 600, for example 20."),
        (
            "PROVIDER",
            "elevnlabs",
            "must be one of formant, elevenlabs, voiceable, voiceos, for example formant. Did you mean elevenlabs?",
        ),
        ("REGION", "mars", "must be one of global, india, for example global."),
        (
            "LOG_LEVEL",
            "warn",
            "must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL, for example DEBUG. Did you mean warning?",
        ),
    ],
)
def test_an_invalid_setting_is_refused_with_what_it_accepts(name: str, value: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(**{name: value})
    assert raised.value.message == f"FORMANT_{name} {words}"
