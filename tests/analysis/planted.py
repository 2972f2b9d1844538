"""Generated conversations in English, Hindi and Hinglish, with lines planted for each signal among similar ones."""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from formant_mcp.analysis.signals import Value
from formant_mcp.models import Conversation, Turn

PLANTED: dict[str, dict[str, tuple[str, ...]]] = {
    "asked_for_human": {
        "en": ("No no, I want to talk to a human.", "Can I speak to your manager?", "Transfer me to a human!"),
        "hi-Latn": ("Mujhe kisi insaan se baat karni hai.", "Aap manager se baat karaiye.", "Kisi aur se baat karao."),
        "hi": ("मुझे किसी इंसान से बात करनी है।", "अपने मैनेजर से बात करवाइए।", "किसी और से बात कराओ।"),
    },
    "asked_if_robot": {
        "en": ("Wait, are you a robot?", "Am I talking to a machine?", "Hmm, is this a recorded message or what?"),
        "hi-Latn": ("Aap robot ho kya?", "Yeh koi robot bol raha hai.", "Yeh computer wali call hai kya?"),
        "hi": ("आप रोबोट हैं क्या?", "अरे, यह तो मशीन बोल रही है।", "आप इंसान हो या नहीं?"),
    },
    "voicemail": {
        "en": (
            "Please leave a message after the tone.",
            "The person you are calling is not available.",
            "Sorry, I can't come to the phone right now.",
        ),
        "hi-Latn": ("Kripya beep ke baad apna sandesh chhodein.", "Jise aap call kar rahe hain woh vyast hai."),
        "hi": ("कृपया टोन के बाद अपना संदेश छोड़ें।", "आप जिससे बात करना चाहते हैं वे अभी व्यस्त हैं।"),
    },
    "wrong_person": {
        "en": ("Sorry, wrong number.", "There's nobody called Rahul here.", "You have the wrong person, madam."),
        "hi-Latn": ("Galat number laga hai aapne.", "Yahan koi Rahul nahi rehta.", "Yeh Rahul ka number nahi hai."),
        "hi": ("गलत नंबर है भाई।", "यहाँ कोई राहुल नहीं रहता।", "यह राहुल का नंबर नहीं है।"),
    },
    "abusive_words": {
        "en": ("You people are idiots.", "Shut up, I paid it already.", "This is bullshit."),
        "hi-Latn": ("Tum sab chutiye ho.", "Abe kamine, phir se call kiya?", "Chup kar, bahut ho gaya."),
        "hi": ("तुम सब बेवकूफ़ हो।", "अरे कमीने, फिर से फ़ोन किया।", "चुप कर, बहुत हो गया।"),
    },
    "opt_out": {
        "en": ("Please stop calling me.", "Do not call me again.", "Okay, and please stop these calls."),
        "hi-Latn": ("Dobara call mat karna.", "Mujhe phone mat kijiye please.", "Mera number hata do list se."),
        "hi": ("दोबारा कॉल मत करना।", "मुझे फ़ोन मत कीजिए।", "मेरा नंबर हटा दीजिए।"),
    },
    "refusal": {
        "en": ("No, I won't pay this.", "I don't owe you anything.", "I dispute that charge."),
        "hi-Latn": ("Main ek paisa nahi dunga.", "Maine yeh loan liya hi nahi.", "Yeh toh itna nahi banta."),
        "hi": ("मैं एक पैसा नहीं दूँगा।", "मैंने यह लोन लिया ही नहीं।", "आपकी रकम गलत है।"),
    },
}  # fmt: skip

# What a contact says that has none of it, although some of the words are the same.
DISTRACTORS: dict[str, tuple[str, ...]] = {
    "en": (
        "I spoke with my manager at work about the loan.",
        "The robot vacuum you sent me is broken.",
        "The amount on the bill is wrong.",
        "My number ends with 42.",
        "I got a message from the bank this morning.",
        "I will call you again on Monday, on this number.",
        "The courier person took the wrong road.",
        "My human resources team has to sign it first.",
        "The machine at the counter did not take my card.",
        "I will leave home after ten.",
        "Yes, this is his brother, tell me.",
        "You can call me after 6 pm.",
        "I cannot pay today, but I will pay on Friday.",
        "I have paid it already, please check.",
        "Are you really calling from the bank?",
        "I want pay tomorrow, the full amount.",
        "This is not my date of birth.",
        "I have to go to the hall now.",
        "There is no network here.",
        "I don't know any English.",
        "This is not the number I pay from.",
        "I'll leave a message for my husband.",
        "I felt like a fool at the counter.",
        "How do I opt out of the autopay?",
        "Please remove me from auto pay.",
    ),
    "hi-Latn": (
        "Main manager hoon, office mein baith kar baat karunga.",
        "Washing machine kharab ho gayi hai.",
        "Bill mein amount galat aaya hai.",
        "Mera number 42 pe khatam hota hai.",
        "Kal message aaya tha bank se.",
        "Aap mujhe kal dobara call kar lena.",
        "Main yahan nahi rehta ab, Pune mein hoon.",
        "Bhai se baat karke bataunga.",
        "Paisa list mein dekh lijiye.",
        "Aaj nahi ho paayega, kal kar dunga.",
        "Phone mute karo ek minute.",
        "Teen ke baad phone karna.",
        "Yahan koi network nahi hai.",
        "Manager se bata diya maine.",
    ),
    "hi": (
        "मैं मैनेजर हूँ, दफ़्तर में बैठकर बात करूँगा।",
        "वॉशिंग मशीन ख़राब हो गई है।",
        "बिल में रकम गलत आई है।",
        "मेरा नंबर 42 पर ख़त्म होता है।",
        "कल बैंक से संदेश आया था।",
        "आप मुझे कल दोबारा कॉल कर लेना।",
        "मैं अब यहाँ नहीं रहता।",
        "भाई से बात करके बताऊँगा।",
        "आज नहीं हो पाएगा, कल कर दूँगा।",
        "तीन के बाद फ़ोन करना।",
        "यहाँ कोई नेटवर्क नहीं है।",
    ),
}

# What a contact says in which a phrase of the signal does not count, as it is negated or means something else there.
NEGATED: dict[str, dict[str, tuple[str, ...]]] = {
    "asked_for_human": {
        "en": (
            "No need to talk to a human.", "I don't want to speak to a manager.", "You are fine, I don't need a human.",
            "Please don't transfer me to a human.",
        ),
        "hi-Latn": (
            "Mujhe insaan se baat nahi karni.", "Manager se baat karne ki zaroorat nahi.",
            "Kisi aadmi se baat nahi karni.",
        ),
        "hi": (
            "मुझे इंसान से बात नहीं करनी।", "मैनेजर से बात करने की ज़रूरत नहीं है।", "किसी इंसान से बात नहीं करना चाहता।",
        ),
    },
    "asked_if_robot": {
        "en": ("I don't think you are a robot.", "I never said you are a robot."),
        "hi-Latn": ("Maine nahi kaha ki aap robot hain.", "Mujhe nahi lagta ki aap robot ho."),
        "hi": ("मैंने नहीं कहा कि आप रोबोट हैं।", "मुझे नहीं लगता कि आप मशीन हैं।"),
    },
    "voicemail": {
        "en": (
            "You have not reached the voicemail, it is me.", "No need to leave a message.",
            "I did not leave a message.",
        ),
        "hi-Latn": ("Mera number switch off nahi tha.", "Nahi, yeh voicemail par nahi gaya."),
        "hi": ("मेरा मोबाइल स्विच ऑफ नहीं था।", "मेरा मोबाइल स्विच ऑफ था सुबह।"),
    },
    "wrong_person": {
        "en": (
            "This is not a wrong number.", "No, this is not wrong number.", "You don't have the wrong person.",
            "There is no problem here.",
        ),
        "hi-Latn": ("Galat number nahi hai, boliye.", "Wrong number nahi hai bhai.", "Yahan koi dikkat nahi hai."),
        "hi": ("गलत नंबर नहीं है, बोलिए।", "रॉन्ग नंबर नहीं है।", "यहाँ कोई दिक्कत नहीं है।"),
    },
    "abusive_words": {
        "en": ("I am not stupid, I read the contract.", "I'm not an idiot.", "Sorry for the stupid question."),
        "hi-Latn": ("Main bewakoof nahi hoon.", "Mera kutta beemar hai."),
        "hi": ("मैं बेवकूफ़ नहीं हूँ।", "मेरा कुत्ता बीमार है।"),
    },
    "opt_out": {
        "en": (
            "Please don't stop calling, I may miss the date.", "Don't call me before 6 pm.", "Don't remove my number.",
            "I don't want to opt out.",
        ),
        "hi-Latn": (
            "Aap call karna band mat karo.", "Abhi call mat karo, shaam ko karna.", "Aaj phone mat karna, kal karna.",
        ),
        "hi": ("आप कॉल करना बंद मत करो।", "अभी कॉल मत करो, शाम को करना।", "आज फ़ोन मत करना, कल करना।"),
    },
    "refusal": {
        "en": (
            "I will not pay today, I will pay tomorrow.", "I never said I won't pay.", "Not now, I will pay tomorrow.",
            "I'm not paying until Friday.",
        ),
        "hi-Latn": (
            "Abhi nahi, kal dunga.", "Abhi nahi dunga, kal dunga.", "Aaj nahi dunga, parso de dunga.",
            "Kyun nahi dunga.", "Abhi paise nahi, dunga kal.",
        ),
        "hi": ("अभी नहीं, कल दूँगा।", "अभी नहीं दूँगा, कल दूँगा।", "आज नहीं भरूँगा, परसों भरूँगा।", "क्यों नहीं दूँगा।"),
    },
}  # fmt: skip

AGENT_LINES: dict[str, tuple[str, ...]] = {
    "en": (
        "I am calling about the payment that was due on Monday.",
        "Your balance of {n} rupees is open since last week.",
        "Would tomorrow at {n} be convenient for you?",
        "I have noted down that you will pay it soon.",
        "I understand, let me check this for you.",
        "You can also pay with the app on your phone.",
    ),
    "hi-Latn": (
        "Aapka {n} rupaye ka bhugtan baaki hai sir.",
        "Kya aap kal tak payment kar payenge?",
        "Main aapki baat samajh sakti hoon sir.",
        "Payment ka link maine SMS par bhej diya.",
        "Aapko kis din callback chahiye hoga?",
    ),
    "hi": (
        "आपका {n} रुपये का भुगतान बाकी है।",
        "क्या आप कल तक भुगतान कर पाएँगे?",
        "मैं आपकी बात समझ सकती हूँ।",
        "भुगतान का लिंक मैंने भेज दिया है।",
        "आपको किस दिन कॉल चाहिए होगा?",
    ),
}
QUESTIONS = {
    "en": ("How much is the late fee", "Who is this?", "Okay, why did you charge me twice"),
    "hi-Latn": ("Kitna dena hai", "Haan, aap kaun bol rahe ho?", "Kab tak ka time hai"),
    "hi": ("कितना देना है", "जी, आप कौन बोल रहे हैं?", "कब तक का समय है"),
}
OPENINGS = {
    "en": "Hello, this is the Example Finance desk speaking.",
    "hi-Latn": "Namaste, main Example Finance se bol rahi hoon.",
    "hi": "नमस्ते, मैं एग्ज़ाम्पल फ़ाइनेंस से बोल रही हूँ।",
}


def _harmless(language: str) -> tuple[str, ...]:
    return DISTRACTORS[language] + tuple(line for lines in NEGATED.values() for line in lines[language])


class PlantedCall(NamedTuple):
    """A conversation, and the signals that were planted in it (of the phrases: the index of the turn)."""

    conversation: Conversation
    signals: dict[str, Value]


def calls(seed: int, count: int) -> Iterator[PlantedCall]:
    """Calls of 6 to 40 turns; the same seed gives the same calls."""
    random = Random(seed)
    for number in range(count):
        yield _call(f"call-{number}", random)


def _call(name: str, random: Random) -> PlantedCall:
    language = random.choice(tuple(AGENT_LINES))
    writer = _Writer(language, random)
    writer.agent(OPENINGS[language])
    for signal in random.sample(tuple(PLANTED), random.choice((0, 0, 1, 2))):
        writer.pairs(random.randint(0, 2))
        writer.plant(signal)
    writer.pairs(random.randint(1, 3))
    for _ in range(random.choice((0, 0, 1, 2))):
        writer.unanswered_question()
    writer.pairs(random.randint(0, 2))
    for _ in range(random.choice((0, 0, 2))):
        writer.contact_repeat()
    for _ in range(random.choice((0, 0, 3))):
        writer.repeat()
    if random.random() < 0.3:
        writer.answered_question()
    return PlantedCall(writer.conversation(name), writer.planted)


class _Writer:
    """Writes the turns of a call one after another, each with its start and end, and notes what it planted."""

    def __init__(self, language: str, random: Random) -> None:
        self._language, self._random = language, random
        self._turns: list[Turn] = []
        self._clock = 0.0
        self._unused = list(AGENT_LINES[language])
        self._said = ""
        self._waits: list[float] = []
        self._run = 1
        self.planted: dict[str, Value] = {
            "agent_repeats": 0,
            "contact_repeats": 0,
            "unanswered_questions": 0,
            "longest_repeat_run": 1,
            "interruptions": 0,
        }
        random.shuffle(self._unused)

    def agent(self, text: str, wait: float | None = None) -> None:
        """The agent speaks, some time after the contact."""
        wait = self._random.choice((0.4, 0.8, 1.5, 6.0)) if wait is None else wait
        if self._turns:
            self._waits.append(wait)
        self._run = self._run + 1 if _same(text, self._said) else 1
        self.planted["longest_repeat_run"] = max(int(self.planted["longest_repeat_run"]), self._run)
        self._said = text
        self._add("agent", text, self._clock + wait)

    def contact(self, text: str) -> None:
        """The contact speaks, sometimes before the agent has ended."""
        cuts_in = self._random.random() < 0.15
        self.planted["interruptions"] = int(self.planted["interruptions"]) + cuts_in
        self._add("contact", text, self._clock + (-0.5 if cuts_in else 0.6))

    def _add(self, role: str, text: str, start: float) -> None:
        end = start + max(1.0, len(text) / 14)
        self._turns.append(Turn(len(self._turns), role, text, round(start, 2), round(end, 2)))
        self._clock = round(end, 2)

    def _fresh_line(self) -> str:
        line = self._unused.pop() if self._unused else f"line {len(self._turns)} {'abc' * len(self._turns)} is new"
        return line.format(n=self._random.randint(100, 9999))

    def pairs(self, count: int) -> None:
        """The contact says something harmless, the agent something new; so many times."""
        for _ in range(count):
            self.contact(f"{self._random.choice(_harmless(self._language))} {'xyz' * len(self._turns)}")
            self.agent(self._fresh_line())

    def plant(self, signal: str) -> None:
        """The contact says a planted line."""
        line = self._random.choice(PLANTED[signal][self._language])
        self.planted[signal] = len(self._turns)
        self.contact(line)
        self.agent(self._fresh_line())

    def repeat(self) -> None:
        """The agent says its last line again, with another number."""
        self.contact(f"xyz{'abc' * len(self._turns)}")
        self._repeat()

    def _repeat(self) -> None:
        self.planted["agent_repeats"] = int(self.planted["agent_repeats"]) + 1
        self.agent(f"Sorry, {self._said.upper().removesuffix('.').removeprefix('SORRY, ')}")

    def unanswered_question(self) -> None:
        """The contact asks, the agent says its last line again."""
        self.planted["unanswered_questions"] = int(self.planted["unanswered_questions"]) + 1
        self.contact(f"{self._random.choice(QUESTIONS[self._language])} {'xyz' * len(self._turns)}")
        self._repeat()

    def answered_question(self) -> None:
        """The contact asks, the agent says something new."""
        self.contact(f"{self._random.choice(QUESTIONS[self._language])} {'xyz' * len(self._turns)}")
        self.agent(self._fresh_line())

    def contact_repeat(self) -> None:
        """The contact says an earlier line again."""
        earlier = [turn.text for turn in self._turns if turn.role == "contact" and len(turn.text.split()) > 4]
        if not earlier:
            return
        line = self._random.choice(earlier)
        self.planted["contact_repeats"] = int(self.planted["contact_repeats"]) + 1
        self.contact(line.upper())
        self.agent(self._fresh_line())

    def conversation(self, name: str) -> Conversation:
        """The call, with what is planted in its times."""
        self.planted["reply_seconds_max"] = max(self._waits)
        self.planted["ended_by"] = self._turns[-1].role
        self.planted["early_end"] = sum(turn.role == "contact" for turn in self._turns) < 2
        return Conversation(name, outcome="success", turns=tuple(self._turns), duration_seconds=self._clock)


def _same(text: str, other: str) -> bool:
    return text.lower().removeprefix("sorry, ").removesuffix(".") == other.lower().removeprefix("sorry, ").removesuffix(
        "."
    )
