"""Random identifiers, said in random ways, in sentences like those of calls; `{}` and `[]` as in `planted_text`.

The ways of saying digits are written down here, and none is taken from the package.
"""

import string
from collections.abc import Callable, Sequence
from random import Random

import phonenumbers
from stdnum import luhn, verhoeff
from stdnum.in_ import gstin

from tests.hardening.planted_text import BETWEEN_TURNS

Way = Callable[[Random, str], str]

ENGLISH = [["zero", "oh", "zero"], *([word] for word in "one two three four five six seven eight nine".split())]
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
HINDI = [
    ["शून्य", "ज़ीरो", "जीरो"], ["एक"], ["दो"], ["तीन"], ["चार"], ["पांच", "पाँच"], ["छह", "छः", "छे"], ["सात"], ["आठ"], ["नौ"],
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
ACKNOWLEDGED = ["haan ji", "OK", "okay", "ji", "yes", "right", "Haan, aage boliye", "mm-hmm", "go ahead", "जी", "हाँ", "Got it.", "Ok, next?"]
SCRIPTS = ["०१२३४५६७८९", "٠١٢٣٤٥٦٧٨٩", "০১২৩৪৫৬৭৮৯", "௦௧௨௩௪௫௬௭௮௯", "０１２３４５６７８９", "౦౧౨౩౪౫౬౭౮౯", "૦૧૨૩૪૫૬૭૮૯"]
PHONE_SENTENCES = [
    "{}", "My number is {}.", "Please call me back on {}", "you can call me on {} after six pm", "mera number {} hai",
    "Haan likhiye, {}", "number note kar lo {} theek hai?", "Is {} still your number?", "so that's {}, right?",
    "मेरा नंबर {} है", "हाँ जी, {} पर कॉल कीजिए", "iss number par WhatsApp kar do: {}", "I called from {} yesterday at 10:30 am",
    "Meri wife ka number {} hai, unse baat kar lo", "Your EMI of 5,400 is due; we called {} twice", "{} is my office number",
    "mobile {}", "ji haan wahi number hai {} usi par bhej dijiye link", "I said {}, not the other one",
]  # fmt: skip
ID_SENTENCES = ["{}", "it is {}.", "the {name} is {}", "mera {name} {} hai", "please note the {name}: {}", "{name} number {} hai na?", "मेरा {name} {} है"]
ADDRESS_SENTENCES = [
    "my email is {}", "send it to {}", "{}", "email id {} hai", "please write to {} for the statement", "it's {}, okay?",
    "mera email {} hai ji", "Link {} par bhej do", "मेरा ईमेल {} है",
]  # fmt: skip
NAMES = "rahul priya amit sunita deepak neha vikram anjali rajesh kavita suresh pooja arjun meena john mary fatima".split()
SURNAMES = "sharma verma patel singh khan gupta reddy nair iyer das rao mehta joshi smith fernandes".split()


def digits(rng: Random, count: int, first: str = string.digits) -> str:
    return rng.choice(first) + "".join(rng.choice(string.digits) for _ in range(count - 1))


def mobile(rng: Random) -> str:
    return digits(rng, 10, "6789")


# Ways to say digits


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


def in_pairs(rng: Random, number: str) -> str:
    pairs = [number[n : n + 2] for n in range(0, len(number), 2)]
    if rng.random() < 0.6:
        return with_pauses(rng, [english_pair(pair) if len(pair) == 2 else ENGLISH[int(pair)][0] for pair in pairs])
    zero, ones = "zero", [table[0] for table in HINGLISH]
    return with_pauses(
        rng, [HINGLISH_PAIRS.get(int(pair), f"{zero} {ones[int(pair[-1])]}") if len(pair) == 2 else ones[int(pair)] for pair in pairs]
    )


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


# Identifiers, each marked and in a sentence


def marked_number(rng: Random, way: Way) -> str:
    said = f"{{{way(rng, mobile(rng))}}}"
    return rng.choice(PHONE_SENTENCES).replace("{}", said)


def landline_or_abroad(rng: Random) -> str:
    kind = rng.choice(["landline", "toll-free", "abroad", "abroad"])
    if kind == "landline":
        number = rng.choice(["022", "011", "080", "044", "033", "0141", "0484", "0731"])
        number += digits(rng, 11 - len(number), "234567")
        code = 3 if number[:3] in ("022", "011", "080", "044", "033") else 4
        said = rng.choice([number, f"{number[:code]} {number[code:]}", f"{number[:code]}-{number[code:]}", f"({number[:code]}) {number[code:]}", english(rng, number)])
    elif kind == "toll-free":
        number = rng.choice(["1800", "1860"]) + digits(rng, 7)
        said = rng.choice([number, in_groups(rng, number, (4, 3), " "), in_groups(rng, number, (4, 3), "-"), english(rng, number)])
    else:
        example = phonenumbers.example_number_for_type(rng.choice("US GB AE SG AU CA DE FR NP BD LK MY ZA BR".split()), phonenumbers.PhoneNumberType.MOBILE)
        assert example and example.national_number
        national = str(example.national_number)
        example.national_number = int(national[:-4] + digits(rng, 4))
        said = phonenumbers.format_number(example, rng.choice([phonenumbers.PhoneNumberFormat.INTERNATIONAL, phonenumbers.PhoneNumberFormat.E164]))
    return rng.choice(PHONE_SENTENCES).replace("{}", f"{{{said}}}")


def over_turns(rng: Random) -> str:
    number, way = mobile(rng), rng.choice(ANY_WAY[1:])
    sizes = rng.choice([(5, 5), (5, 5), (4, 6), (3, 3, 4), (4, 3, 3), (2, 3, 5)])
    parts: list[str] = []
    place = 0
    for size in sizes:
        part = number[place : place + size]
        parts.append(part if way is written else way(rng, part))
        place += size
    turns = [rng.choice(["mera number hai ", "My number is ", "", "", "Haan, ", "number likhiye ", "it's "]) + f"{{{parts[0]}}}"]
    for n, part in enumerate(parts[1:]):
        if rng.random() < 0.25:
            turns.append(f"{{{parts[n]}}}" + rng.choice(["", ", okay", ", aage?", ", yes"]))
        elif rng.random() < 0.9:
            turns.append(rng.choice(ACKNOWLEDGED))
        turns.append(rng.choice(["", "", "phir ", "and ", "aur "]) + f"{{{part}}}" + rng.choice(["", "", ".", " hai", ", thank you"]))
    return BETWEEN_TURNS.join(turns)


def card(rng: Random) -> str:
    prefix = rng.choice(["4", "51", "55", "6521", "37", "2221"])
    number = digits(rng, (15 if prefix == "37" else 16) - len(prefix) - 1)
    number = prefix + number
    number += luhn.calc_check_digit(number)
    return named(rng, number, "card")


def aadhaar(rng: Random) -> str:
    number = digits(rng, 11, "23456789")
    return named(rng, number + verhoeff.calc_check_digit(number), "aadhaar")


def account(rng: Random) -> str:
    number = digits(rng, rng.choice([9, 11, 12, 14, 15]), "123456789")
    said = rng.choice(ANY_WAY)(rng, number)
    sentences = ["account number {}", "my account number is {}.", "khata number {} hai", "मेरा खाता नंबर {} है", "a/c no. {}", "bank account {}"]
    return rng.choice(sentences).replace("{}", f"{{{said}}}")


def named(rng: Random, number: str, name: str) -> str:
    way = rng.choice([written, written, in_another_script, english, hindi, hinglish, mixed])
    said = in_groups(rng, number, (4, 4, 4, 4), rng.choice([" ", "-", ""])) if way is written else way(rng, number)
    return rng.choice(ID_SENTENCES).replace("{}", f"{{{said}}}").replace("{name}", name)


def letters(rng: Random, count: int) -> str:
    return "".join(rng.choice(string.ascii_uppercase) for _ in range(count))


def spelled(rng: Random, text: str) -> str:
    way = rng.choice(["as it is", "as it is", "small", "spaced", "spelled", "grouped"])
    if way == "small":
        return text.lower()
    if way == "spaced":
        return rng.choice([" ", "-"]).join(text)
    if way == "spelled":
        table = rng.choice([ENGLISH, HINGLISH])
        return " ".join(table[int(character)][0] if character.isdigit() else character for character in text)
    if way == "grouped":
        cut = next(n for n, character in enumerate(text) if character.isdigit() != text[0].isdigit())
        return f"{text[:cut]} {text[cut:]}"
    return text


def letter_id(rng: Random) -> str:
    kind = rng.choice(["PAN", "IFSC", "GST", "IBAN", "passport"])
    pan = letters(rng, 3) + rng.choice("PCFHA") + letters(rng, 1) + digits(rng, 4) + letters(rng, 1)
    if kind == "PAN":
        said = spelled(rng, pan)
    elif kind == "IFSC":
        said = spelled(rng, rng.choice(["SBIN", "HDFC", "ICIC", "UTIB", "PUNB", "KKBK"]) + "0" + digits(rng, 6))
    elif kind == "GST":
        number = "27" + pan + "1Z"
        said = number + gstin._calc_check_digit(number) if hasattr(gstin, "_calc_check_digit") else number + "5"
    elif kind == "IBAN":
        bban = digits(rng, 18)
        check = f"{98 - int(f'{bban}131400') % 97:02}"
        said = rng.choice([f"DE{check}{bban}", in_groups(rng, f"DE{check}{bban}", (4, 4, 4, 4, 4), " ")])
    else:
        said = spelled(rng, rng.choice("KLMNPRSTZ") + digits(rng, 7, "123456789"))
        return f"passport number {{{said}}}"
    return rng.choice(ID_SENTENCES).replace("{}", f"{{{said}}}").replace("{name}", kind)


def local_part(rng: Random) -> str:
    name, surname, number = rng.choice(NAMES), rng.choice(SURNAMES), rng.choice(["", "", str(rng.randint(1, 99)), str(rng.randint(1970, 2005))])
    return rng.choice([name, f"{name}.{surname}", f"{name}_{surname}", f"{name[0]}.{surname}", f"{name}{surname}", f"{name}-{surname}"]) + number


def email(rng: Random) -> str:
    domain = rng.choice("gmail.com yahoo.co.in outlook.com hotmail.com rediffmail.com example.org tata.in sharmatraders.co.in icloud.com".split())
    return rng.choice(ADDRESS_SENTENCES).replace("{}", f"[{local_part(rng)}]@{domain}")


def said_email(rng: Random) -> str:
    domain = rng.choice("gmail.com yahoo.co.in outlook.com hotmail.com rediffmail.com example.org tata.in icloud.com".split())
    local = local_part(rng)
    if rng.random() < 0.15:
        said_local = " ".join(local.replace(".", "").replace("_", "").replace("-", ""))
    else:
        said_local = local.replace(".", " dot ").replace("_", " underscore ").replace("-", rng.choice([" dash ", " hyphen "]))
        if rng.random() < 0.5:
            said_local = "".join(f" {ENGLISH[int(c)][0]}" if c.isdigit() else c for c in said_local)
    at = rng.choice(["at", "at", "at the rate", "at the rate of"])
    return rng.choice(ADDRESS_SENTENCES).replace("{}", f"[{said_local}] {at} {domain.replace('.', ' dot ')}")


def upi(rng: Random) -> str:
    handle = rng.choice("okaxis okhdfcbank okicici oksbi ybl ibl paytm apl upi".split())
    local = rng.choice([local_part(rng), mobile(rng)])
    said = rng.choice([f"[{local}]@{handle}", f"[{local}]@{handle}", f"[{local.replace('.', ' dot ').replace('_', ' underscore ').replace('-', ' dash ')}] at the rate {handle}"])
    return rng.choice(["UPI id {}", "gpay karo {} par", "{}", "pay to {} please", "meri UPI {} hai"]).replace("{}", said)


PLANTED: dict[str, tuple[int, Callable[[Random], str]]] = {
    "numbers, written": (2000, lambda rng: marked_number(rng, written)),
    "numbers, in another script": (500, lambda rng: marked_number(rng, in_another_script)),
    "numbers, English words": (1500, lambda rng: marked_number(rng, english)),
    "numbers, Hindi words": (1000, lambda rng: marked_number(rng, hindi)),
    "numbers, Hinglish words": (1500, lambda rng: marked_number(rng, hinglish)),
    "numbers, in pairs": (700, lambda rng: marked_number(rng, in_pairs)),
    "numbers, mixed": (700, lambda rng: marked_number(rng, mixed)),
    "numbers, landlines and abroad": (700, landline_or_abroad),
    "numbers, over turns": (1500, over_turns),
    "e-mail addresses, written": (500, email),
    "e-mail addresses, spoken": (700, said_email),
    "UPI ids": (400, upi),
    "cards": (500, card),
    "Aadhaar": (500, aadhaar),
    "bank accounts": (400, account),
    "ids of letters and digits": (600, letter_id),
}
"""How many of each kind, and how one is made."""
