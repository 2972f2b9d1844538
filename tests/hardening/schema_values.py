"""Values for Hypothesis from a JSON schema: allowed ones, nearly allowed ones, and hostile ones."""

from collections.abc import Mapping
from typing import cast

from hypothesis import strategies as st
from pydantic import JsonValue

Schema = Mapping[str, JsonValue]
Values = st.SearchStrategy[JsonValue]

HOSTILE_TEXTS = (
    *("", " ", "null", "NaN", "-Infinity", "1e999", "true", "0x10", "1_000", "१२३", "٣٫٥", "²", "½", "９", "0" * 400),
    *("'; DROP TABLE conversations; --", '" OR *', "x' OR '1'='1", "1;--", "%", "_", "\\", "'", '"', "`", "[x]"),
    *(
        "a NEAR/2 b",
        "NEAR(a b)",
        "col:x",
        "^a",
        "a*b*",
        "*",
        "(" * 300,
        ")",
        '"a',
        "a OR",
        "OR OR",
        "NOT",
        "-",
        "-a -b",
    ),
    *(
        "../../etc/passwd",
        "..%2f..%2fetc",
        "/etc/passwd",
        "C:\\con",
        "%00",
        "a\0b",
        "\0",
        "file:///etc/passwd",
        "~root",
    ),
    *("(a+)+$", "[", "(?P<x>", "a{1,99999}", "\\d+" * 20, "$(id)", "`id`", "{{7*7}}", "${jndi:ldap://x}", "<b>&amp;"),
    *(
        "\ud83d",
        "\ude00x",
        "\u202eevil",
        "\ufeff",
        "\u200b",
        "e\u0301" * 50,
        "🧨" * 20,
        "\U000e0041",
        "\r\nX: y",
        "\x1b[31m",
    ),
    *("2026-02-30", "0000-00-00", "9999-12-31T23:59:59+99:99", "10000-01-01", "99999999999d", "-7d", "9" * 50 + "w"),
    *("2026-W99", "today", "yesterday", "7d", "24h", "2026-11", "9-18", "20-6", "25-99", "Mon-Fri", "weekend", "8.5-9"),
    *(
        "results.intent",
        "signals.agent_repeats",
        "results..",
        "results.a.b.c.d",
        "-results.csat",
        "signals.nothing",
        ".",
    ),
    *("intent=dispute", "csat<=2", "a exists", "a missing", "=", "a=", "=a", "a<>b", "a<=NaN", "a=b=c", "x" * 5_000),
    *("[" * 985 + "]" * 985, '{"a":' * 975 + "1" + "}" * 975, "[" * 5_000),
    *("[" * 90 + "]" * 90, '{"a":' * 90 + "1" + "}" * 90, "[unfinished", '["a", "b"]', "{'a': 1}", '{"$ref":"#"}'),
    *(
        "c:20:5d0c41e2a97b3f86:9f1c2a",
        "c:-1:0:0",
        "c:99999999999999999999:0000000000000000:000000",
        "e36853",
        "123,456",
    ),
    *(
        "formant://conversations/",
        "formant://conversations/%00/recording",
        "formant://conversations/../x",
        "http://[::1",
    ),
)
HOSTILE_NUMBERS = (
    *(0, -1, 1, 2, 7, 20, 100, 101, 2_000, 2_001, 2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**30, -(10**30), 10**400),
    *(0.5, -0.0, 1e-320, 1e308, -1e308, 1.0, 0.1, 99.99999999),
)
hostile_text = st.sampled_from(HOSTILE_TEXTS) | st.text(st.characters(), max_size=12)
anything: Values = st.recursive(
    st.none() | st.booleans() | st.sampled_from(HOSTILE_NUMBERS) | hostile_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile_text, inner, max_size=3),
    max_leaves=6,
)
_UNLIMITED = 10**12
_LEAST_LISTED = 4


def allowed(schema: Schema, definitions: Schema) -> Values:
    """Values that the schema allows. `definitions`: what its references name, by their last part."""
    if reference := schema.get("$ref"):
        return allowed(cast(Schema, definitions[str(reference).rpartition("/")[2]]), definitions)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(cast(list[JsonValue], schema["enum"]))
    for combination in ("anyOf", "oneOf"):
        if combination in schema:
            return st.one_of([allowed(choice, definitions) for choice in cast(list[Schema], schema[combination])])
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return st.one_of([allowed({**schema, "type": kind}, definitions) for kind in kinds])
    return _of_kind(str(kinds), schema, definitions)


def _of_kind(kind: str, schema: Schema, definitions: Schema) -> Values:
    least, most = cast(float, schema.get("minimum", -_UNLIMITED)), cast(float, schema.get("maximum", _UNLIMITED))
    if kind == "integer":
        return st.integers(int(least), int(most))
    if kind == "number":
        return st.floats(least, most) | st.integers(int(least), int(most))
    if kind == "string":
        return hostile_text.filter(bool) if schema.get("minLength") else hostile_text
    if kind == "array":
        of = cast(Schema, schema.get("items", {}))
        fewest = cast(int, schema.get("minItems", 0))
        longest = min(cast(int, schema.get("maxItems", _LEAST_LISTED)), fewest + _LEAST_LISTED)
        return st.lists(allowed(of, definitions), min_size=fewest, max_size=longest).map(lambda items: [*items])
    if kind == "object":
        return _objects(schema, definitions)
    return {"boolean": st.booleans(), "null": st.none()}.get(kind, anything)


def _objects(schema: Schema, definitions: Schema) -> Values:
    properties = cast(dict[str, Schema], schema.get("properties", {}))
    required = cast(list[str], schema.get("required", []))
    fields = {name: allowed(field, definitions) for name, field in properties.items()}
    needed = {name: fields[name] for name in required}
    known = st.fixed_dictionaries(needed, optional={name: fields[name] for name in fields if name not in needed})
    more = schema.get("additionalProperties", True)
    if more is False:
        return cast(Values, known)
    others = st.dictionaries(
        hostile_text, anything if more is True else allowed(cast(Schema, more), definitions), max_size=2
    )
    return st.tuples(others, known).map(_merged)


def _merged(parts: tuple[dict[str, JsonValue], dict[str, JsonValue]]) -> JsonValue:
    return {**parts[0], **parts[1]}


@st.composite
def nearly_allowed(draw: st.DrawFn, schema: Schema) -> dict[str, JsonValue]:
    """An object of the schema's properties: few of them, each allowed or not; at times one too many, or one renamed."""
    properties = cast(dict[str, Schema], schema["properties"])
    names = draw(st.lists(st.sampled_from(sorted(properties)), max_size=4, unique=True))
    required = cast(list[str], schema.get("required", []))
    if draw(st.integers(0, 9)):
        names = [*{*names, *required}]
    value = {name: draw(_right_or_wrong(properties[name], is_right=draw(st.integers(0, 3)) > 0)) for name in names}
    damage = draw(st.integers(0, 19))
    if damage == 0:
        value[draw(hostile_text)] = draw(anything)
    elif damage == 1 and value:
        name = draw(st.sampled_from(sorted(value)))
        value[draw(st.sampled_from((name.upper(), name.replace("_", ""), f" {name}", name[:-1])))] = value.pop(name)
    return value


def _right_or_wrong(schema: Schema, *, is_right: bool) -> Values:
    return allowed(schema, {}) if is_right else anything
