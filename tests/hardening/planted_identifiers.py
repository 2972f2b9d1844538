"""Random identifiers, said in random ways, in sentences like those of calls; `{}` and `[]` as in `planted_text`."""

import string
from collections.abc import Callable
from random import Random

import phonenumbers
from stdnum import luhn, verhoeff

from tests.hardening.planted_text import BETWEEN_TURNS, words
from tests.hardening.ways_of_saying import (
    ANY_WAY,
    ENGLISH,
    HINGLISH,
    Way,
    digits,
    english,
    hindi,
    hinglish,
    in_another_script,
    in_groups,
    in_pairs,
    mixed,
    written,
)

ACKNOWLEDGED = [
    "haan ji", "OK", "okay", "ji", "yes", "right", "Haan, aage boliye", "mm-hmm", "go ahead", "जी", "हाँ", "Got it.",
    "Ok, next?",
]  # fmt: skip
PHONE_SENTENCES = [
    "{}", "My number is {}.", "Please call me back on {}", "you can call me on {} after six pm", "mera number {} hai",
    "Haan likhiye, {}", "number note kar lo {} theek hai?", "Is {} still your number?",
    "मेरा नंबर {} है", "हाँ जी, {} पर कॉल कीजिए", "iss number par WhatsApp kar do: {}", "{} is my office number",
    "I called from {} yesterday at 10:30 am", "Your EMI of 5,400 is due; we called {} twice",
    "Meri wife ka number {} hai, unse baat kar lo",
    "mobile {}", "ji haan wahi number hai {} usi par bhej dijiye link", "I said {}, not the other one",
]  # fmt: skip
ID_SENTENCES = [
    "{}", "it is {}.", "the {name} is {}", "mera {name} {} hai", "please note the {name}: {}",
    "{name} number {} hai na?", "मेरा {name} {} है",
]  # fmt: skip
ADDRESS_SENTENCES = [
    "my email is {}", "send it to {}", "{}", "email id {} hai", "please write to {} for the statement",
    "it's {}, okay?", "mera email {} hai ji", "Link {} par bhej do", "मेरा ईमेल {} है",
]  # fmt: skip
NAMES = words("rahul priya amit sunita deepak neha vikram anjali rajesh kavita suresh pooja arjun meena john mary")
SURNAMES = words("sharma verma patel singh khan gupta reddy nair iyer das rao mehta joshi smith fernandes")
DOMAINS = words("gmail.com yahoo.co.in outlook.com hotmail.com rediffmail.com example.org tata.in icloud.com")


def mobile(rng: Random) -> str:
    return digits(rng, 10, "6789")


def marked_number(rng: Random, way: Way) -> str:
    said = f"{{{way(rng, mobile(rng))}}}"
    return rng.choice(PHONE_SENTENCES).replace("{}", said)


def landline(rng: Random) -> str:
    code = rng.choice(["022", "011", "080", "044", "033", "0141", "0484", "0731"])
    rest = digits(rng, 11 - len(code), "234567")
    return rng.choice([code + rest, f"{code} {rest}", f"{code}-{rest}", f"({code}) {rest}", english(rng, code + rest)])


def toll_free(rng: Random) -> str:
    number = rng.choice(["1800", "1860"]) + digits(rng, 7)
    return rng.choice([number, in_groups(rng, number, (4, 3), rng.choice(" -")), english(rng, number)])


def abroad(rng: Random) -> str:
    region = rng.choice(words("US GB AE SG AU CA DE FR NP BD LK MY ZA BR"))
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    assert example
    assert example.national_number
    example.national_number = int(str(example.national_number)[:-4] + digits(rng, 4))
    formats = [phonenumbers.PhoneNumberFormat.INTERNATIONAL, phonenumbers.PhoneNumberFormat.E164]
    return phonenumbers.format_number(example, rng.choice(formats))


def other_number(rng: Random) -> str:
    said = rng.choice([landline, toll_free, abroad, abroad])(rng)
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
    beginnings = ["mera number hai ", "My number is ", "", "", "Haan, ", "number likhiye ", "it's "]
    turns = [rng.choice(beginnings) + f"{{{parts[0]}}}"]
    for n, part in enumerate(parts[1:]):
        if rng.random() < 0.25:
            turns.append(f"{{{parts[n]}}}" + rng.choice(["", ", okay", ", aage?", ", yes"]))
        elif rng.random() < 0.9:
            turns.append(rng.choice(ACKNOWLEDGED))
        end = rng.choice(["", "", ".", " hai", ", thank you"])
        turns.append(rng.choice(["", "", "phir ", "and ", "aur "]) + f"{{{part}}}" + end)
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
    english_sentences = ["account number {}", "my account number is {}.", "a/c no. {}", "bank account {}"]
    sentences = [*english_sentences, "khata number {} hai", "मेरा खाता नंबर {} है"]
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
        said = f"27{pan}1Z{rng.choice('0123456789ABC')}"
    elif kind == "IBAN":
        bban = digits(rng, 18)
        check = f"{98 - int(f'{bban}131400') % 97:02}"
        said = rng.choice([f"DE{check}{bban}", in_groups(rng, f"DE{check}{bban}", (4, 4, 4, 4, 4), " ")])
    else:
        said = spelled(rng, rng.choice("KLMNPRSTZ") + digits(rng, 7, "123456789"))
        return f"passport number {{{said}}}"
    return rng.choice(ID_SENTENCES).replace("{}", f"{{{said}}}").replace("{name}", kind)


def local_part(rng: Random) -> str:
    name, surname = rng.choice(NAMES), rng.choice(SURNAMES)
    number = rng.choice(["", "", str(rng.randint(1, 99)), str(rng.randint(1970, 2005))])
    return (
        rng.choice([name, f"{name[0]}.{surname}", *(f"{name}{joint}{surname}" for joint in (".", "_", "-", ""))])
        + number
    )


def email(rng: Random) -> str:
    domain = rng.choice(DOMAINS)
    return rng.choice(ADDRESS_SENTENCES).replace("{}", f"[{local_part(rng)}]@{domain}")


def said_email(rng: Random) -> str:
    domain = rng.choice(DOMAINS)
    local = local_part(rng)
    if rng.random() < 0.15:
        said_local = " ".join(local.replace(".", "").replace("_", "").replace("-", ""))
    else:
        said_local = said_joints(local).replace("dash", rng.choice(["dash", "hyphen"]))
        if rng.random() < 0.5:
            said_local = "".join(f" {ENGLISH[int(c)][0]}" if c.isdigit() else c for c in said_local)
    at = rng.choice(["at", "at", "at the rate", "at the rate of"])
    return rng.choice(ADDRESS_SENTENCES).replace("{}", f"[{said_local}] {at} {domain.replace('.', ' dot ')}")


def upi(rng: Random) -> str:
    handle = rng.choice(words("okaxis okhdfcbank okicici oksbi ybl ibl paytm apl upi"))
    local = rng.choice([local_part(rng), mobile(rng)])
    written_id = f"[{local}]@{handle}"
    said = rng.choice([written_id, written_id, f"[{said_joints(local)}] at the rate {handle}"])
    return rng.choice(["UPI id {}", "gpay karo {} par", "{}", "pay to {} please", "meri UPI {} hai"]).replace(
        "{}", said
    )


def said_joints(local: str) -> str:
    return local.replace(".", " dot ").replace("_", " underscore ").replace("-", " dash ")


PLANTED: dict[str, tuple[int, Callable[[Random], str]]] = {
    "numbers, written": (2000, lambda rng: marked_number(rng, written)),
    "numbers, in another script": (500, lambda rng: marked_number(rng, in_another_script)),
    "numbers, English words": (1500, lambda rng: marked_number(rng, english)),
    "numbers, Hindi words": (1000, lambda rng: marked_number(rng, hindi)),
    "numbers, Hinglish words": (1500, lambda rng: marked_number(rng, hinglish)),
    "numbers, in pairs": (700, lambda rng: marked_number(rng, in_pairs)),
    "numbers, mixed": (700, lambda rng: marked_number(rng, mixed)),
    "numbers, landlines and abroad": (700, other_number),
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
