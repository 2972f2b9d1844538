"""Other spellings of a word, in Latin letters or Devanagari: paisa is paise and पैसा, vakil is wakeel and वकील.

A word is read as consonants with vowels between them. Its key is its consonants, by broad classes: words with the same
key are candidates. Then each consonant and vowel is compared with its counterpart, by the sounds that each may have.
Vowels decide: bill is बिल, not bell. The fewer vowels, the fewer differences are allowed.

What sounds alike is ordered by edit distance in Latin letters: पैसा is nearer to paisa than pesa is.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import product
from typing import NamedTuple

# Latin letters to units; the first pattern that matches counts, and other letters are their own unit. Consonants are
# small letters: S is sh, q is j or g, w is c as k, x is s or z, ' marks an aspirate. Other units are vowels, see below.
_LATIN = (
    # silent: knock, wrong, hour, climb, doubt, receipt, guest, could, talk, thought
    (r"^[kg](?=n)|^w(?=r)|^h(?=our|ono|onest)|(?<=m)b(?=s?$)|(?<=[eu])b(?=ts?$)|(?<=cei)p(?=ts?$)", ""),
    (r"(?<=g)u(?=[aei])|(?<=ou)l(?=d)|(?<=[tw]a)l(?=k)|(?<=[aeiou])gh(?=t)(?<!igh)", ""),
    (r"(?<=ah[ai])n$", "~"),  # nahin, yahan
    # consonants
    (r"(?:ss|t|s|c)i(?=on)|(?:t|c)i(?=a[nl])|s+(?=uran|ure|ue)|s+h", "S"),  # station, official, insurance, shaadi
    (r"t(?=ure)|t?ch+|cch+", "c"),  # picture, match, achchha, accha
    (r"sch(?=[oe])", "sk"),  # school
    (r"ph", "f"),
    (r"(?<=[kgtdbj])h", "'"),  # khata, ghar
    (r"x", "ks"),
    (r"que$|ck|q(?!u[aeio])", "k"),  # cheque, qist
    (r"c(?![eiy])", "w"),  # card
    (r"qu", "kv"),  # quality
    (r"(?<=[aeiou])s(?=[aeiou])|(?<=e)s$", "x"),  # reason रीजन, rupees रुपीज, paisa
    (r"c+", "s"),  # receipt
    (r"dg(?=e)|g(?=[eiy])", "q"),  # bridge, page, lage
    (r"^y", "y"),
    (r"^(?=uni|us[ei])", "y"),  # union यूनियन
    (r"wh?(?=[aeiouy])|(?<![aeiou])w", "v"),
    # vowels
    (r"igh(?=$|[^aeiou])|i(?=[ln]d)|(?<=r)i(?=[dv]er)", "H"),  # high, find, driver
    (r"(?<=.[aeiou].)i(?=le$)|(?<=[nf]l)i(?=ne$)", "H"),  # mobile, online
    (r"(?:(?<=^[^aeiou])|(?<=^[^aeiou]{2}))y$", "H"),  # why, try
    (r"i(?=[bcdgklmnprstvz]e[sd]?$)(?<![aeiou]i)(?<![aeiou].i)(?<![aeiou]..i)", "J"),  # time, mile
    (r"a(?=ll(?:s|ed|ing)?$|lk)", "W"),  # call
    (r"(?:(?<=[aeiou].)|(?<=[aeiou]..))a(?=[lnr]e$)", "a"),  # purane
    (r"a(?=tion|(?:[bcdgklmnprstvz]|st|ng)e(?:[sd]?$|ment))(?<![aeiou]a)", "X"),  # late, kare, station
    (r"a(?=nce)", "D"),  # balance
    (r"ai(?=[dl]|t(?!h)|n[dst])", "G"),  # paid, complaint
    (r"a+i|a+y(?![aeiou])", "E"),
    (r"a+u|a+w(?![aeiou])", "O"),
    (r"aa+", "A"),
    (r"^a(?=[^aeiou])", "C"),  # address एड्रेस
    (r"(?<=.)a$", "P"),
    (r"ea", "Z"),
    (r"ee|ii", "I"),
    (r"e[yi](?![aeiou])", "K"),  # they
    (r"(?<=.)e$", "F"),
    (r"(?:^|(?<=^[^aeiou])|(?<=^[^aeiou][lrh]))e(?=[^aeiouh]h?[lr]?[aeiou].)|e(?=[^aeiou]e$)", "B"),  # refund, scheme
    (r"(?:(?<=[aeiouy].)|(?<=[aeiouy]..))[eo](?=[lmnrt]s?$)", "R"),  # cancel, budget, doctor
    (r"e(?=[rh])", "R"),  # service, shehar शहर
    (r"(?<=.)e(?=[sd]$|ment)", "L"),  # sales
    (r"i(?=r)", "V"),  # sir
    (r"i|e(?=o)|(?<=[^aeiou])y(?![aeiou])", "i"),
    (r"oo(?=[dkt])", "&"),  # book बुक, shoot शूट
    (r"oo|uu|ew(?![aeiou])", "U"),
    (r"o[uw]", "Q"),
    (r"oa", "o"),
    (r"o(?=[mnv])(?!.e$)", "M"),  # company कंपनी
    (r"ue$", "T"),  # due ड्यू
    (r"u[ei]|(?<=w)o(?=r)", "u"),  # suit, work
    (r"y", "Y"),
)

# Devanagari to units, as the tokenizer folds it (without nukta).
_LETTERS = {
    **{"k": "क", "k'": "ख", "g": "ग", "g'": "घ", "c": "च", "c'": "छ", "j": "ज", "j'": "झ", "t": "टत", "t'": "ठथ"},
    **{"d": "डद", "d'": "ढध", "n": "ङञणन", "p": "प", "f": "फ", "b": "ब", "b'": "भ", "m": "म", "Y": "य", "r": "र"},
    **{"l": "लळ", "v": "व", "S": "शष", "s": "स", "h": "हः", "~": "ंँ", "r2": "ऋृ", "0": "अ", "1": "आा", "2": "इि"},
    **{"í": "ईी", "3": "उु", "ú": "ऊू", "4": "एे", "5": "ऐैऍॅ", "6": "ओो", "7": "औौ", "8": "ऑॉ"},
}
_DEVANAGARI = {letter: unit for unit, letters in _LETTERS.items() for letter in letters}

# Sounds: 0 ə, 1 ā, 2 i, í ī, 3 u, ú ū, 4 e, 5 ai, 6 o, 7 au, 8 ɔ (ऑ), y, n, ~ nasal; - is silence.
# Unit: what it counts as within its script | its sounds at cost 0 | at cost 1 | at cost 2. Others are their own sound.
_UNITS = {
    # consonants
    "s": "s|s||j S",
    "S": "S|S||s",
    "x": "s|s|j",
    "z": "j|j",  # without nukta ज़ is ज
    "q": "q|j g",
    "w": "w|k",
    # vowels of Latin words
    "a": "a|0 1|5|4 -",
    "A": "a|1||0",
    "C": "a|0 1|4 5|8",
    "D": "a|4 1 5||0",
    "P": "P|0 1|4|-",  # paisa पैसे
    "W": "W|8||0 1 6",
    "X": "X|4|5",
    "G": "E|4",
    "E": "E|5|4 02 12 0y 1y",
    "O": "O|7 8 03 13||1 6",
    "e": "e|4 5||2 0",
    "B": "e|4 2|5|0",
    "R": "e|0 4|2 6|5",
    "L": "e|4|-",
    "F": "P|-",
    "K": "K|4 5||2",
    "Z": "Z|í|4|5",
    "i": "i|2 í||0 02 12",
    "I": "I|í",
    "V": "i|2 0",
    "J": "J|12||2",
    "H": "H|12||2",
    "o": "o|6 7 8||0 1 3",
    "M": "o|6 8 0||7",
    "Q": "Q|7 03 13|6 8|0 3",
    "u": "u|3 ú|0|y3 y6 1",
    "U": "U|ú",
    "&": "U|3 ú",
    "T": "u|3 y3",
    "Y": "y|y||2",
    "N": "N|n ~",
    "#": "X||0",
    "@": "P|4|1",
    # vowels of Devanagari words
    "0": "0|0 -",  # a consonant's own vowel, often silent
    "^": "|0",  # that of the first consonant
    "í": "í|í 2",
    "ú": "ú|ú 3",
    "~": "|~ -",
    "$": "$|n",
    "!": "P|1|4",  # a last ā and e are one word: पैसा, पैसे
    "?": "P|4|1",
}
_NEVER = 99
_MOST_VOWELS = 4  # one after the other; no real word has more, and each may sound in several ways
_UNLIKE = 2  # the cost of another letter within a script, where letters usually differ because sounds do
_ASPIRATE = 3  # the cost of an aspirate for the plain consonant; ch and chh, j and jh are the same
_LIMITS_ACROSS, _LIMITS_WITHIN = (0, 1, 1, 3), (0, 1, 2, 2)  # for words of 0, 1, 2 and more vowels
_CLASSES = str.maketrans("Szjqgxw", "ssssssk")  # s may be said as z, z is written ज, g may be j: one class in a key
_SPOKEN = str.maketrans("XJF", "#i@")  # of a word whose last e is spoken: lage, mile

_LATIN_WORD, _DEVANAGARI_WORD = re.compile(r"[a-z]{3,40}"), re.compile("[ऀ-ॣ]{2,40}")
_LATIN_RULES = re.compile("[fjmrvz]+|" + "|".join(f"({pattern})" for pattern, _ in _LATIN))
_CONSONANT = re.compile("([bcdfghjklmnpqrstvwxyzS]'?)")
_DOUBLED = re.compile(r"([bcdfghjklmnpqrstvwxyzS])'?(?=\1)")
_GLIDE = re.compile(r"(?<=[2íiIJK])Y(?=.)|(?<=[0-8^íúaeiouA-Z])Y(?=[2í4eiIF?])")  # चाहिए चाहिये
_LAST_NASAL = re.compile(r"(?<=.)n(?=[FP!?]?$)")  # belongs to the vowel before it: nahin is नहीं

# Words in one Latin form, whose distances are counted. Capitals are long vowels and diphthongs. Last vowels are short,
# a last a and e are one, a nasal after them is not written, and achchha is acha.
_ROMAN = {
    **{"aa": "A", "ai": "E", "au": "O", "ee": "I", "ii": "I", "oo": "U", "uu": "U"},
    **{"ph": "f", "ck": "k", "w": "v", "z": "j", "q": "k"},
}
_ROMAN_UNITS = str.maketrans(
    {**dict(zip("0^123íú45678!?~$Y", "aaAiuIUeEoOoaenny", strict=True)), "c": "ch", "S": "sh", "'": "h"}
)
_ROMAN_RULES = re.compile("|".join(_ROMAN))
_ROMAN_CH, _ROMAN_LAST_NASAL = re.compile("(?:ch|c)?chh?"), re.compile("(?<=[aeiouAEIOU])n$")
_ROMAN_LAST, _ROMAN_SHORT = str.maketrans("aAIU", "eeiu"), str.maketrans("AIU", "aiu")
_SHORT_CONSONANTS = 2  # a word with more sounds like few others


class _Parts(NamedTuple):
    """The units of a word: vowels and consonants in turn, vowels first and last, '' where there is none."""

    parts: tuple[str, ...]
    is_latin: bool


def phonetic_key(word: str) -> str:
    """The consonants of a folded word, by classes: the same for all its spellings; '' if it can have no others.

    Those are words of other scripts, with digits, or of fewer than three Latin letters.
    """
    parts = _parts(word)
    return _key(parts) if parts else ""


def spellings(word: str, candidates: Iterable[str]) -> dict[str, int]:
    """The candidates that are other spellings of a word, each with its distance, the nearest first; all are folded."""
    parts = _parts(word)
    if not parts:
        return {}
    costs = {other: _cost(parts, other) for other in candidates if other != word}
    others = [other for other, cost in costs.items() if cost < _NEVER]
    distances = {other: _distance(word, other) for other in others}
    return {other: distances[other] for other in sorted(others, key=lambda o: (distances[o], costs[o], o))}


def nearest(word: str, others: Mapping[str, int]) -> dict[str, int]:
    """Of a short word's other spellings, the nearest first, only the nearest in each script; of a longer one's, all.

    A short word sounds like many: kal is कल, where that occurs, and not काल.
    """
    parts = _parts(word)
    if not parts or len(parts.parts) // 2 > _SHORT_CONSONANTS:
        return dict(others)
    least: dict[bool, int] = {}
    for other, distance in others.items():
        least.setdefault(other.isascii(), distance)
    return {other: distance for other, distance in others.items() if distance == least[other.isascii()]}


@lru_cache(maxsize=16_384)
def _parts(word: str) -> _Parts | None:
    if _LATIN_WORD.fullmatch(word):
        units, is_latin = _latin_units(word), True
    elif _DEVANAGARI_WORD.fullmatch(word):
        units, is_latin = _devanagari_units(word), False
    else:
        return None
    parts = _CONSONANT.split(_GLIDE.sub("", _DOUBLED.sub("", units)))
    return _Parts(tuple(parts), is_latin) if max(map(len, parts)) <= _MOST_VOWELS else None


def _latin_units(word: str) -> str:
    units = _LATIN_RULES.sub(lambda match: _LATIN[match.lastindex - 1][1] if match.lastindex else match[0], word)
    return _LAST_NASAL.sub("N", units)


def _devanagari_units(word: str) -> str:
    units, own_vowel = "", ""
    for n, letter in enumerate(word):
        unit = _DEVANAGARI.get(letter, "")
        if unit == "~" and n < len(word) - 1:
            unit = "m" if word[n + 1] in "पफबभम" else "n"
        if not "\u093e" <= letter <= "\u094d":  # no vowel sign, and no virama
            units += own_vowel
        units += unit if n else unit.replace("Y", "y")
        own_vowel = ("0" if n else "^") if "क" <= letter <= "ह" else ""
    if units.endswith("Y"):
        units += "0"  # मूल्य
    return _LAST_NASAL.sub("$", units[:-1] + {"1": "!", "4": "?"}.get(units[-1:], units[-1:]))


def _key(parts: _Parts) -> str:
    consonants = "".join([part[0] for part in parts.parts[1::2]])
    return ("a" if parts.parts[0] else "") + consonants.translate(_CLASSES)


def _cost(one: _Parts, word: str) -> int:
    """How unlike a word is; `_NEVER` for one that is no other spelling."""
    other = _parts(word)
    if not other or len(one.parts) != len(other.parts) or _key(one) != _key(other):
        return _NEVER
    if one.is_latin == other.is_latin:
        return _sum(one.parts, other.parts, is_within=True)
    latin, devanagari = (one.parts, other.parts) if one.is_latin else (other.parts, one.parts)
    spoken = tuple(part.translate(_SPOKEN) for part in latin) if latin[-1].endswith("F") else latin
    return min(_sum(reading, devanagari, is_within=False) for reading in (latin, spoken))


def _distance(word: str, other: str) -> int:
    """How many letters differ. Latin words may write a long vowel as a short one, so there it is the same."""
    from rapidfuzz.distance import Levenshtein  # only when needed: start-up is measured

    one, another = _romanized(word), _romanized(other)
    if other.isascii():
        one, another = one.translate(_ROMAN_SHORT), another.translate(_ROMAN_SHORT)
    return Levenshtein.distance(one, another)


def _romanized(word: str) -> str:
    if word.isascii():
        letters = _ROMAN_RULES.sub(lambda match: _ROMAN[match[0]], word)
    else:
        letters = _devanagari_units(word).translate(_ROMAN_UNITS)
    letters = _ROMAN_LAST_NASAL.sub("", _ROMAN_CH.sub("ch", letters))
    return letters[:-1] + letters[-1:].translate(_ROMAN_LAST)


def _sum(one: tuple[str, ...], other: tuple[str, ...], *, is_within: bool) -> int:
    limits = _LIMITS_WITHIN if is_within else _LIMITS_ACROSS
    vowels = min(sum(1 for vowel in parts[::2] if vowel not in ("", "F", "@")) for parts in (one, other))
    limit = limits[min(vowels, len(limits) - 1)]
    cost = 0
    for n, (unit, counterpart) in enumerate(zip(one, other, strict=True)):
        if unit != counterpart:
            cost += _difference(unit, counterpart, is_within)
            if n % 2 and unit[1:] != counterpart[1:] and unit[0] not in "cjq":
                cost += _ASPIRATE
            if cost > limit:
                return _NEVER
    return cost


@lru_cache(maxsize=16_384)
def _difference(one: str, other: str, is_within: bool) -> int:
    """The cost of the one written for the other."""
    (home, sounds), (other_home, other_sounds) = _heard(one), _heard(other)
    if is_within and home == other_home:
        return 0
    costs = (sounds[sound] + other_sounds[sound] for sound in sounds.keys() & other_sounds.keys())
    return min(costs, default=_NEVER) + (_UNLIKE if is_within else 0)


@lru_cache(maxsize=16_384)
def _heard(part: str) -> tuple[str, dict[str, int]]:
    """What units count as within their script, and the cost of each of their sounds."""
    rows = [_UNITS.get(unit, f"{unit}|{unit}").split("|") for unit in part.replace("'", "")]
    options = [[(sound, cost) for cost, sounds in enumerate(row[1:]) for sound in sounds.split()] for row in rows]
    heard: dict[str, int] = {}
    for choice in product(*options):
        sound = "".join(sound for sound, _ in choice).replace("-", "")
        heard[sound] = min(heard.get(sound, _NEVER), sum(cost for _, cost in choice))
    return "".join(row[0] for row in rows), heard
