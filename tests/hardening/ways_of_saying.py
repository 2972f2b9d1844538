"""Ways to say the digits of a number. They are written down here, and none is taken from the package."""

import string
from collections.abc import Callable, Sequence
from random import Random

from tests.hardening.planted_text import words

Way = Callable[[Random, str], str]

ENGLISH = [["zero", "oh", "zero"], *([word] for word in words("one two three four five six seven eight nine"))]
TEENS = words("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
TENS = words("twenty thirty forty fifty sixty seventy eighty ninety")
HINDI = [
    ["शून्य", "ज़ीरो", "जीरो"], ["एक"], ["दो"], ["तीन"], ["चार"], ["पांच", "पाँच"], ["छह", "छः", "छे"], ["सात"], ["आठ"],
    ["नौ"],
]  # fmt: skip
ENGLISH_IN_DEVANAGARI = [
    ["ज़ीरो", "जीरो"], ["वन"], ["टू"], ["थ्री"], ["फोर", "फ़ोर"], ["फाइव", "फ़ाइव"], ["सिक्स"], ["सेवन"], ["एट"], ["नाइन"],
]  # fmt: skip
HINGLISH = [
    ["shunya", "zero", "jeero", "shoonya", "sunya", "jiro"], ["ek", "ik", "aek"], ["do", "doh"],
    ["teen", "tin", "theen", "tiin"], ["char", "chaar", "chhar"], ["paanch", "panch", "paach", "pach"],
    ["chhe", "che", "chhah", "chah", "chhai", "chay"], ["saat", "sat", "saath", "saatt"],
    ["aath", "aat", "ath", "aatth"], ["nau", "no", "nao", "nou", "now", "naw"],
]  # fmt: skip
HINGLISH_PAIRS = {
    10: "das", 11: "gyarah", 12: "barah", 13: "terah", 14: "chaudah", 15: "pandrah", 16: "solah", 17: "satrah",
    18: "atharah", 19: "unnees", 20: "bees", 21: "ikkees", 22: "baees", 23: "teis", 24: "chaubees", 25: "pachees",
    26: "chhabbees", 27: "sattaees", 28: "atthaees", 29: "untees", 30: "tees", 31: "iktees", 32: "battees",
    33: "taintees", 34: "chauntees", 35: "paintees", 36: "chhattees", 37: "saintees", 38: "adtees", 39: "untalees",
    40: "chaalees", 41: "iktalees", 42: "bayalees", 43: "taintalees", 44: "chauvalees", 45: "paintalees",
    46: "chhiyalees", 47: "saintalees", 48: "adtalees", 49: "unchaas", 50: "pachaas", 51: "ikyavan", 52: "bavan",
    53: "tirpan", 54: "chauvan", 55: "pachpan", 56: "chhappan", 57: "sattavan", 58: "atthavan", 59: "unsath",
    60: "saath", 61: "iksath", 62: "basath", 63: "tirsath", 64: "chaunsath", 65: "painsath", 66: "chhiyasath",
    67: "sadsath", 68: "adsath", 69: "unhattar", 70: "sattar", 71: "ikhattar", 72: "bahattar", 73: "tihattar",
    74: "chauhattar", 75: "pachhattar", 76: "chhihattar", 77: "satahattar", 78: "athahattar", 79: "unasi", 80: "assi",
    81: "ikyasi", 82: "bayasi", 83: "tirasi", 84: "chaurasi", 85: "pachasi", 86: "chhiyasi", 87: "satasi",
    88: "athasi", 89: "navasi", 90: "nabbe", 91: "ikyanve", 92: "banve", 93: "tiranve", 94: "chauranve",
    95: "pachanve", 96: "chhiyanve", 97: "sattanve", 98: "athanve", 99: "ninyanve",
}  # fmt: skip
FILLERS = ["umm", "uh", "haan", "and then", "phir", "aur", "ji", "okay", "so", "then", "aage"]
SCRIPTS = words("०१२३४५६७८९ ٠١٢٣٤٥٦٧٨٩ ০১২৩৪৫৬৭৮৯ ௦௧௨௩௪௫௬௭௮௯ ０１２３４５６７８９ ౦౧౨౩౪౫౬౭౮౯ ૦૧૨૩૪૫૬૭૮૯")


def digits(rng: Random, count: int, first: str = string.digits) -> str:
    return rng.choice(first) + "".join(rng.choice(string.digits) for _ in range(count - 1))


def in_groups(rng: Random, number: str, sizes: Sequence[int], separator: str) -> str:
    parts: list[str] = []
    for size in sizes:
        parts.append(number[:size])
        number = number[size:]
    return separator.join(part for part in [*parts, number] if part)


def written(rng: Random, number: str) -> str:
    if len(number) != 10:
        return in_groups(rng, number, rng.choice([(4, 4, 4, 4), (3, 4), (4, 3), (20,), (1,) * 20]), rng.choice(" -"))
    prefix = rng.choice(["", "", "", "+91 ", "+91", "+91-", "0", "91 ", "0091 ", "(+91) "])
    sizes = rng.choice([(10,), (5,), (3, 3), (4, 3), (2, 2, 2, 2), (1,) * 10, (2, 4), (5, 2)])
    return prefix + in_groups(rng, number, sizes, rng.choice([" ", " ", "-", ".", "  "]))


def in_another_script(rng: Random, number: str) -> str:
    said = in_groups(rng, number, rng.choice([(20,), (5,), (3, 3), (1,) * 20]), " ")
    return said.translate(str.maketrans(string.digits, rng.choice(SCRIPTS)))


def one_by_one(rng: Random, number: str, table: Sequence[Sequence[str]], doubled: tuple[str, str]) -> str:
    """Digit words, sometimes with `double`, and with commas or fillers between groups."""
    said: list[str] = []
    place = 0
    has_doubles = rng.random() < 0.5
    while place < len(number):
        run = 1
        while has_doubles and run < 3 and number[place : place + run + 1] == number[place] * (run + 1):
            run += 1
        word = rng.choice(table[int(number[place])])
        said.append(word if run == 1 else f"{doubled[run - 2]} {word}")
        place += run
    return with_pauses(rng, said)


def with_pauses(rng: Random, said: Sequence[str]) -> str:
    size, pause = rng.choice([2, 3, 4, 5]), rng.choice(["", "", "", ",", ",", "...", ".", "-", "filler"])
    text = said[0]
    for n, word in enumerate(said[1:], 1):
        mark = pause if n % size == 0 else ""
        if mark == "filler":
            text += rng.choice([" ", ", "]) + rng.choice(FILLERS) + rng.choice([" ", ", "]) + word
        else:
            text += f"{mark} {word}" if mark != "-" else f"-{word}"
    return text


def english(rng: Random, number: str) -> str:
    said = one_by_one(rng, number, ENGLISH, ("double", "triple"))
    return rng.choice([said, said, said.title(), said.capitalize()])


def hindi(rng: Random, number: str) -> str:
    table = rng.choice([HINDI, HINDI, ENGLISH_IN_DEVANAGARI])
    return one_by_one(rng, number, table, ("डबल", "ट्रिपल"))


def hinglish(rng: Random, number: str) -> str:
    said = one_by_one(rng, number, HINGLISH, rng.choice([("double", "triple"), ("do baar", "teen baar")]))
    return rng.choice([said, said.title()])


def english_pair(pair: str) -> str:
    n = int(pair)
    if n < 10:
        return f"{ENGLISH[0][0]} {ENGLISH[n][0]}" if n else "double zero"
    return TEENS[n - 10] if n < 20 else TENS[n // 10 - 2] + (f" {ENGLISH[n % 10][0]}" if n % 10 else "")


def hinglish_pair(pair: str) -> str:
    return HINGLISH_PAIRS.get(int(pair)) or f"zero {HINGLISH[int(pair)][0]}"


def in_pairs(rng: Random, number: str) -> str:
    pairs = [number[n : n + 2] for n in range(0, len(number), 2)]
    if rng.random() < 0.6:
        return with_pauses(rng, [english_pair(pair) if len(pair) == 2 else ENGLISH[int(pair)][0] for pair in pairs])
    return with_pauses(rng, [hinglish_pair(pair) if len(pair) == 2 else HINGLISH[int(pair)][0] for pair in pairs])


def mixed(rng: Random, number: str) -> str:
    parts: list[str] = []
    while number:
        size = rng.choice([1, 1, 2, 3])
        part, number = number[:size], number[size:]
        way = rng.choice(["written", "english", "hinglish"])
        table = ENGLISH if way == "english" else HINGLISH
        parts.append(part if way == "written" else " ".join(table[int(digit)][0] for digit in part))
    return " ".join(parts)


SPOKEN: Sequence[Way] = (english, hindi, hinglish, in_pairs, mixed)
ANY_WAY: Sequence[Way] = (written, written, in_another_script, *SPOKEN)
