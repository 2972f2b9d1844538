"""Planted wordings: each list says one thing, and no two lists say the same."""

GROUPS = (
    (
        "I already paid this yesterday",
        "I've already paid that",
        "I have already paid it",
        "um, I already paid",
        "Already paid.",
    ),
    (
        "I will pay 5,000 tomorrow",
        "I'll pay 2500 tomorrow.",
        "okay, I will pay 300 tomorrow",
        "I will just pay Rs 900 tomorrow",
    ),
    (
        "I won't pay anything",
        "I will not pay anything",
        "Sorry, I won't pay anything",
        "well I won't pay anything, okay",
    ),
    ("I can't pay right now", "I cannot pay right now", "I really can't pay right now, sir", "can't pay right now"),
    ("This is the wrong number", "wrong number", "It's a wrong number", "That is the wrong number, madam"),
    ("I'm not Rahul", "I am not Priya.", "no, I'm not Rahul Sharma", "Not Imran"),
    (
        "Can I talk to a human?",
        "Can I please talk to a human",
        "can i talk with a human",
        "So can I talk to the human please",
    ),
    ("Please don't call me again", "Do not call me again", "Please do not call again", "don't call me again please"),
    (
        "What is the interest rate?",
        "what's the interest rate",
        "What was the interest rate",
        "Okay, what is the interest rate",
    ),
    ("Call me back after 6 pm", "call back after 7 pm", "Please call me back after 10 pm", "just call back after 8 pm"),
    ("yes", "Yes.", "yes yes", "Yes, yes please"),
    ("main kal paise de dunga", "kal paise de doonga", "main kal paise de dunga ji", "maine kal paise de dunga"),
    (
        "main kal paise nahi de paunga",
        "kal paise nahin de paunga",
        "main kal paise nahi de paaunga ji",
        "kal paise nahi de paunga",
    ),
    ("मैंने पैसे जमा कर दिए हैं", "पैसे जमा कर दिए", "मैंने तो पैसे जमा कर दिए", "मैने पैसे जमा कर दिए है"),
    ("मैं पैसे जमा नहीं करूँगा", "पैसे जमा नहीं करूंगा", "मैं तो पैसे जमा नहीं करूँगा जी", "पैसे जमा नही करूँगा"),
    ("मुझे ५००० रुपये कब देने हैं", "मुझे 300 रुपये कब देने हैं", "रुपये कब देने हैं", "500 रुपये कब देने है"),
    ("हाँ", "हाँ जी", "हां।", "जी हाँ"),
    ("我已经付了500元", "我已经付了1200元", "我已经付了90元。", "我已经付了20元了"),
    ("ਮੈਂ 500 ਦੇ ਦਿੱਤੇ", "ਮੈਂ 900 ਦੇ ਦਿੱਤੇ", "ਮੈਂ ੫੦੦ ਦੇ ਦਿੱਤੇ"),
    ("Ya pagué ayer", "ya pague ayer", "Ya pagué ayer, señor", "YA PAGUÉ AYER."),
)

# Said beside them, each on its own.
OTHERS = (
    "I will pay",
    "I can pay tomorrow",
    "why should I pay tomorrow",
    "when will you call me",
    "you can call me later",
    "no",
    "नहीं",
    "hello",
    "I will pay the loan on Monday",
    "I already called yesterday",
    "right number",
    "who is calling",
    "what is the due date",
    "can you call me later",
    "I lost my job",
    "please send the link",
    "kal link bhej dunga",
    "paise nahi mile",
    "पैसे कब मिलेंगे",
    "आप कौन बोल रहे हैं",
    "我没有收到",
    "no pagué ayer",
)

NAMES = ("Rahul Sharma", "Priya", "Imran", "राहुल", "王小明")
