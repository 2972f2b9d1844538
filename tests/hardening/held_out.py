"""Identifiers that the detector was not built on.

`held_out.txt`, `held_out_again.txt` and `held_out_calls.txt` were written by hand, each before the detector was run
on it. The Hindi spellings are those of Wikipedia's article on Hindustani numerals, of Wikibooks' and of a travellers'
list, without their accents; at the first run 83.9 % were hidden. The numbers of every country, and their formats, are
those of `phonenumbers`.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import phonenumbers

from tests.hardening.planted_text import BETWEEN_TURNS, words

FORMATS = (
    phonenumbers.PhoneNumberFormat.INTERNATIONAL,
    phonenumbers.PhoneNumberFormat.E164,
    phonenumbers.PhoneNumberFormat.RFC3966,
    phonenumbers.PhoneNumberFormat.NATIONAL,
)
WIKIPEDIA = words("""
shunya ek do tin char panch chhah sat ath nau
das gyarah barah terah chaudah pandrah solah satrah atharah unnis
bis ikkis bais teis chaubis pachchis chhabbis sattais atthais untis
tis ikattis battis taintis chauntis paintis chhattis saintis artis untalis
chalis iktalis bayalis taintalis chauwalis paintalis chhiyalis saintalis artalis unchas
pachas ikyawan bawan tirpan chauwan pachpan chhappan sattawan atthawan unsath
sath iksath basath taresath chaunsath painsath chhiyasath sarsath arsath unhattar
sattar ik'hattar bahattar tihattar chauhattar pach'hattar chhihattar sat'hattar ath'hattar unasi
assi ikyasi bayasi tirasi chaurasi pachasi chhiyasi sattasi atthasi nawwasi
nawwe ikyanwe banwe tiranwe chauranwe pachanwe chhiyanwe sattanwe atthanwe ninanwe
""")
DIGITS = (
    words("sifr ek do tin char panch chhe sat ath nau"),
    words("shoonya ek do teen chaar paanch chah saat aath nau"),
    words("shuunya ek do tiin caar paanc chai saat aath nau"),
    words("shuniye ek do teen char panch cheh saat aath nao"),
    words("शून्य एक दो तीन चार पांच छः सात आठ नौ"),
    words("सिफर एक दो तीन चार पाँच छै सात आठ नौ"),
)
AROUND = (
    "mera number hai {}", "{}", "note kijiye {} theek hai", "ji {} par call karna shaam ko", "his mobile number is {}.",
    "नंबर लिखिए {}", "woh bola {} uska number hai",
)  # fmt: skip


def said_by_hand(name: str = "held_out.txt") -> list[str]:
    """The lines of a file of sentences."""
    lines = Path(__file__).with_name(name).read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def spelled_by_others(count: int) -> Iterator[str]:
    """Mobile numbers in Hindi words, digit by digit or in pairs, in one turn or two."""
    rng = Random("spelled by others")
    for _ in range(count):
        number = rng.choice("6789") + "".join(rng.choice("0123456789") for _ in range(9))
        if rng.random() < 0.6:
            table = rng.choice(DIGITS)
            said = [table[int(digit)] for digit in number]
        else:
            pairs = [number[n : n + 2] for n in range(0, 10, 2)]
            said = [WIKIPEDIA[int(pair)] if pair[0] != "0" else f"shunya {WIKIPEDIA[int(pair)]}" for pair in pairs]
        middle = len(said) // 2
        parts = [" ".join(said[:middle]), " ".join(said[middle:])]
        joint = rng.choice([" ", " ", ", ", f"}}{BETWEEN_TURNS}haan{BETWEEN_TURNS}{{"])
        yield rng.choice(AROUND).replace("{}", "{" + joint.join(parts) + "}")


def numbers_of_every_country() -> Iterator[str]:
    """An example of each type of number of each country, in each format."""
    types = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in types:
            example = phonenumbers.example_number_for_type(region, kind)
            if example and len(str(example.national_number)) >= 7:
                for written in FORMATS:
                    yield f"you can call me on {{{phonenumbers.format_number(example, written)}}} tomorrow"
