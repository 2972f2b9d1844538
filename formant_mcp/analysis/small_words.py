"""Words that do not change what a sentence says, and words that do: English, Hindi and Hindi in Latin letters.

A change of SMALL or SPELLED_OUT changes the keys of phrases: raise `phrases.KEY_VERSION` with it.
"""

from formant_mcp.text_search.tokenizer import fold


def _folded(words: str) -> frozenset[str]:
    return frozenset(map(fold, words.split()))


# Left out where other words remain. Without `se` and `no`, which are more than that in Spanish.
SMALL = _folded("""
    a an the this that these those it its thats is am are was were be been being have has had having do does did
    i im ive we weve my our me us to of in on at for from by with and so just please okay ok oh um uh uhm hmm well
    actually really very sir madam maam
    hai hain ho hoon hun hu tha thi main mai maine mera meri mere mujhe mujhko humne hamne ko ka ki ke mein par pe ne
    toh hi bhi ji yeh ye woh wo vo ek aur raha rahi rahe
    है हैं हो हूँ हूं हु था थी थे मैं मै मैंने मैने मेरा मेरी मेरे मुझे मुझको हमने को का की के में मे पर पे से ने तो ही भी जी यह ये वह वो एक और कि
    रहा रही रहे
""")

NEGATIONS = _folded("no not never nahi mat na नहीं मत ना न")

# Two sentences that differ in one of these do not say the same.
DECISIVE = NEGATIONS | _folded("""
    who what when where why how which will would can could should must
    kya kyun kyon kyu kab kahan kaha kaun kon kaise kitna kitne kitni
    क्या क्यों क्यूँ कब कहाँ कहां कौन कैसे कितना कितने कितनी
""")

# Contractions and spellings, as the words that they are counted as.
_AUXILIARIES = _folded("do does did is are was were have has had would could should must")
SPELLED_OUT: dict[str, tuple[str, ...]] = {f"{word}nt": (word, "not") for word in _AUXILIARIES} | {
    "cant": ("can", "not"),
    "cannot": ("can", "not"),
    "wont": ("will", "not"),
    "aint": ("not",),
    "ill": ("will",),
    "youll": ("you", "will"),
    "youre": ("you",),
    "youve": ("you",),
    "whats": ("what",),
    "whos": ("who",),
    "wheres": ("where",),
    "gonna": ("going",),
    "wanna": ("want",),
    **dict.fromkeys(("nahin", "nahee", "nhi"), ("nahi",)),
    fold("नही"): (fold("नहीं"),),
}
