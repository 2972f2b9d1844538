"""Settings from the environment: `Settings.load()` returns checked values or an error that names the variable."""

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from platformdirs import user_data_path
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict
from tzlocal import get_localzone_name

from formant_mcp.errors import ConfigurationError
from formant_mcp.providers.registry import PROVIDERS
from formant_mcp.redaction.kinds import parse_kinds

if TYPE_CHECKING:
    from formant_mcp.providers.base import AnyProvider

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_PREFIX = "FORMANT_"
_HOST = r"(?:\[[^\]/@]*\]|[^\[\]:,/?@]*)(?::\d*)?"
# As libpq reads it: user and password end at the first @ or /. One after that was meant to be part of the password.
_ADDRESS = re.compile(rf"(postgres(?:ql)?://)(?:([^:/@]*)(?::[^/@]*)?@)?({_HOST}(?:,{_HOST})*(?:/[^?@]*)?)(?:\?[^@]*)?")
_HTTP_HOST = re.compile(r"(?:[a-z0-9_-]*[a-z0-9](?:\.[a-z0-9_-]*[a-z0-9])*\.?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_MISTYPED_ADDRESS = re.compile(r"postgres.*(?::|//)|.*\bpassword\s*=", re.IGNORECASE)


def unknown_variables(names: Iterable[str]) -> Iterator[str]:
    """A warning for each variable with our prefix that is not a setting, with the most similar setting's name."""
    settings = [field.upper() for field in Settings.model_fields]
    for name in sorted(names):
        setting = name.upper().removeprefix(_PREFIX)
        if setting != name.upper() and setting not in settings:
            near = difflib.get_close_matches(setting, settings, n=1)
            meant = f" Did you mean {_PREFIX}{near[0]}?" if near else ""
            yield f"{name[:60]} is not a setting of formant-mcp and is ignored.{meant}"


def wants_json_log(environment: Mapping[str, str]) -> bool:
    """Whether the log is to be JSON, even if another setting cannot be used."""
    values = {name.upper(): value for name, value in environment.items()}
    return values.get(f"{_PREFIX}LOG_FORMAT", "").strip().lower() == "json"


def _accepts(name: str, value: str) -> str:
    """What a setting accepts, and which word was perhaps meant; never the value itself."""
    choices = PROVIDERS if name == "provider" else get_args(Settings.model_fields[name].annotation) if name else ()
    if name == "retention_days":
        return " must be a whole number of days from 1 to 36,500, for example 90."
    words = [str(word) for word in choices]
    if not words:
        return " must be a number of seconds above 0 and up to 600, for example 20."
    near = difflib.get_close_matches(value.lower(), [word.lower() for word in words], n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f" must be one of {', '.join(words)}, for example {words[0]}.{meant}"


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _expand_home(value: Path) -> Path:
    try:
        return value.expanduser()
    except RuntimeError:
        raise ValueError("cannot expand ~; use an absolute path") from None


def _split_hosts(names: str) -> list[str]:
    return [name.strip().lower() for name in names.split(",") if name.strip()]


def is_secure(address: str) -> bool:
    """Whether requests to that address are encrypted, or stay on this machine.

    Raises:
        ValueError: it is not an address; the message quotes it.
    """
    parts = urlsplit(address)
    _, host = parts.port, parts.hostname
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)


def _checked_address(value: str) -> str:
    if not value:
        return value
    try:
        may_be_used = is_secure(value)
    except ValueError:
        raise ValueError("not an address; write for example https://api.example.com") from None
    if not may_be_used:
        raise ValueError("use https:// (http:// only for this machine: localhost, 127.0.0.1, [::1])")
    if not urlsplit(value).hostname or any(stray in value for stray in " ?#@") or not value.isprintable():
        raise ValueError("give scheme, host and path only: no query, no fragment, no user name")
    return value


_NO_KEY_HINT = (
    "Set FORMANT_API_KEY (or FORMANT_API_KEY_FILE) in the server's env and restart it;"
    " `formant-mcp --demo` needs no key."
)
HomePath = Annotated[Path, AfterValidator(_expand_home)]


class Settings(BaseSettings):
    """Every setting of the README's table, from `FORMANT_*` variables."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    api_key: SecretStr | None = None
    api_key_file: HomePath | None = None
    provider: Annotated[str, BeforeValidator(_lower)] = "formant"
    base_url: str = ""
    region: Annotated[Literal["global", "india"], BeforeValidator(_lower)] = "global"
    store: str = ""
    recordings_dir: HomePath | None = None
    exports_dir: HomePath | None = None
    phrases_file: HomePath | None = None
    timezone: str = Field(default="", validate_default=True)
    call_seconds: float = Field(default=20, gt=0, le=600)
    redact: str = ""
    retention_days: int | None = Field(default=None, ge=1, le=36_500)
    http_issuer: str = ""
    http_audience: str = Field(default="", validate_default=True)
    http_hosts: str = ""
    http_metrics: Annotated[Literal["off", "on"], BeforeValidator(_lower)] = "off"
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)] = "WARNING"
    log_format: Annotated[Literal["text", "json"], BeforeValidator(_lower)] = "text"

    @classmethod
    def load(cls) -> Self:
        """Reads the environment.

        Raises:
            ConfigurationError: a value cannot be used; the message names the variable, never a value.
        """
        try:
            return cls()
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0]) if first["loc"] else ""
            own_message = first["msg"].removeprefix("Value error, ")
            is_own = own_message != first["msg"]
            problem = f": {own_message}." if is_own else _accepts(name, str(first["input"]))
            raise ConfigurationError(f"{_PREFIX}{name.upper()}{problem}") from None

    @model_validator(mode="before")
    @classmethod
    def _trim(cls, values: dict[str, object]) -> dict[str, object]:
        # Blanks around a value are typing errors; a blank value counts as unset.
        trimmed = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        return {name: value for name, value in trimmed.items() if value != ""}

    @field_validator("provider")
    @classmethod
    def _check_provider(cls, value: str) -> str:
        if value not in PROVIDERS:
            raise PydanticCustomError("provider", "not in the registry")
        return value

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, value: str) -> str:
        return _checked_address(value).rstrip("/")

    @field_validator("http_issuer")
    @classmethod
    def _check_issuer(cls, value: str) -> str:
        return _checked_address(value)

    @field_validator("http_audience")
    @classmethod
    def _check_audience(cls, value: str, info: ValidationInfo) -> str:
        if bool(value) != bool(info.data.get("http_issuer")):
            raise ValueError("set it together with FORMANT_HTTP_ISSUER, or neither of them")
        return value

    @field_validator("store")
    @classmethod
    def _expand_store(cls, value: str) -> str:
        if _is_database(value):
            if not _ADDRESS.fullmatch(value):
                raise ValueError(
                    "not a database's address; write special characters of the password as %XX (@ as %40, / as %2F),"
                    " or set PGPASSWORD to it"
                )
        elif "://" in value or _MISTYPED_ADDRESS.match(value):
            raise ValueError("write a path, :memory:, or postgresql://user:password@host/database")
        return value if value in ("", ":memory:") or _is_database(value) else str(_expand_home(Path(value)))

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, value: str) -> str:
        name = value or get_localzone_name() or "UTC"
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("not an IANA time zone; write for example Asia/Kolkata or Europe/Berlin") from None
        return name

    @field_validator("redact")
    @classmethod
    def _check_redact(cls, value: str) -> str:
        parse_kinds(value)
        return value

    @field_validator("http_hosts")
    @classmethod
    def _check_http_hosts(cls, value: str) -> str:
        if not value.isascii():  # "xn--" is what clients send (RFC 5890)
            raise ValueError("write a name that is not ASCII in the form that begins with xn--")
        if not all(map(_HTTP_HOST.fullmatch, _split_hosts(value))):
            raise ValueError("give names with commas between them, without scheme, path and blanks: calls.example.com")
        return value

    @property
    def redacts(self) -> frozenset[str]:
        """The kinds of identifiers that are hidden from everybody."""
        return parse_kinds(self.redact)

    @property
    def hosts(self) -> list[str]:
        """The names of the server, besides those of this machine, that clients of `serve` may use."""
        return _split_hosts(self.http_hosts)

    @property
    def public_address(self) -> str:
        """MCP's address for clients of `serve`: the audience if it is one, else at the first host; '' if neither is."""
        if self.http_audience.startswith("https://"):
            return self.http_audience
        return f"https://{self.hosts[0]}/mcp" if self.hosts else ""

    @property
    def zone(self) -> ZoneInfo:
        """The zone that dates without one are read and shown in."""
        return ZoneInfo(self.timezone)

    @property
    def address(self) -> str:
        """The provider's address without a trailing slash; '' if it has none of its own and none is set."""
        return self.base_url or PROVIDERS[self.provider].address(self.region)

    def open_provider(self, key: str) -> "AnyProvider":
        """The provider's client.

        Raises:
            ConfigurationError: the provider has no address of its own, and none is set.
        """
        return PROVIDERS[self.provider].client()(self.address, key)

    def for_demo(self) -> Self:
        """The same for the sample account: a store in memory, and folders of its own for files."""
        data = data_folder("formant-mcp-demo")
        folders = {
            "recordings_dir": self.recordings_dir / "demo" if self.recordings_dir else data / "recordings",
            "exports_dir": self.exports_dir / "demo" if self.exports_dir else data / "exports",
        }
        return self.model_copy(update={"store": ":memory:", **folders})

    def key(self, hint: str = "") -> str:
        """The API key, from the variable or the key file; `hint`: what to do if there is none.

        Raises:
            ConfigurationError: there is none, the file cannot be read, or it is a placeholder.
        """
        key, variable = self.api_key.get_secret_value() if self.api_key else "", self.key_variable
        if self.key_file:
            try:
                key = self.key_file.read_text(encoding="utf-8-sig").strip()
            except (OSError, UnicodeDecodeError):
                raise ConfigurationError(
                    f"{variable}: the file cannot be read.", "Check its path and permissions."
                ) from None
        if not key:
            raise ConfigurationError("No API key is set.", hint or _NO_KEY_HINT)
        if "${" in key or not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigurationError(
                f"{variable} contains a placeholder or invalid characters.",
                "Set it to the key itself, and nothing else.",
            )
        return key

    @property
    def key_file(self) -> Path | None:
        """The file that the key is from; None if the variable has it, or there is none."""
        return None if self.api_key else self.api_key_file

    @property
    def key_variable(self) -> str:
        """The variable that the key is from, if there is one."""
        return "FORMANT_API_KEY_FILE" if self.key_file else "FORMANT_API_KEY"

    def store_location(self, key: str) -> Path | str | None:
        """Where the store is: a database's address, or a file; None for memory."""
        return self.store if _is_database(self.store) else self.store_path(key)

    def store_path(self, key: str) -> Path | None:
        """The store's file: one per provider, address and key, named by their hash; None for a store in memory."""
        if self.store == ":memory:":
            return None
        if self.store:
            return Path(self.store)
        return data_folder() / f"{self.account(key)}.sqlite"

    def account(self, key: str) -> str:
        """A name for provider, address and key that does not reveal the key."""
        return _hash(self.provider, self.address, key)

    def service(self) -> str:
        """A name for provider and address, whatever the key."""
        return service_name(self.provider, self.address)

    def recordings_path(self) -> Path:
        """The only folder that recordings are written to."""
        return self.recordings_dir or self._folder() / "recordings"

    def exports_path(self) -> Path:
        """The only folder that tools write exports to."""
        return self.exports_dir or self._folder() / "exports"

    def _folder(self) -> Path:
        """The store's folder, or the data folder where it is not a file of the user's choice."""
        if self.store and self.store != ":memory:" and not _is_database(self.store):
            return Path(self.store).parent
        return data_folder()


def store_text(where: Path | str | None) -> str:
    """Where a store is, to be shown: a database's address is without password and parameters."""
    address = _ADDRESS.fullmatch(where) if isinstance(where, str) else None
    if address:
        scheme, user, rest = address.groups()
        return f"{scheme}{user}@{rest}" if user else f"{scheme}{rest}"
    return "memory" if where is None else str(Path(where).absolute())


def _is_database(store: str) -> bool:
    return store.startswith(("postgresql://", "postgres://"))


def data_folder(name: str = "formant-mcp") -> Path:
    """The program's folder among the user's data."""
    return user_data_path(name, appauthor=False)


def service_name(provider: str, address: str) -> str:
    """A name for provider and address, as stores have it."""
    return _hash(provider, address)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
