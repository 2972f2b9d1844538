"""The facts that sample calls are made from, worded in each language; `scripts/` has the lines that use them.

Languages are BCP 47 tags: `en`, `hi` (Devanagari), `hi-Latn` (Hindi in Latin letters, mixed with English).
"""

# First names in Latin letters and in Devanagari; a contact's number decides which.
NAMES = (
    ("Rahul", "राहुल"), ("Priya", "प्रिया"), ("Anil", "अनिल"), ("Sunita", "सुनीता"), ("Imran", "इमरान"),
    ("Kavita", "कविता"), ("Suresh", "सुरेश"), ("Meena", "मीना"), ("Vikram", "विक्रम"), ("Farida", "फ़रीदा"),
    ("Deepak", "दीपक"), ("Lakshmi", "लक्ष्मी"), ("Arjun", "अर्जुन"), ("Pooja", "पूजा"), ("Joseph", "जोसेफ़"),
)  # fmt: skip
NAMES_ABROAD = ("Karen", "Luis", "Dana", "Marcus", "Emily", "Tom", "Aisha", "Brian", "Wendy", "Grace", "Hector")

AMOUNTS = (1499, 2300, 3750, 4999, 6200, 7500, 9800, 12000, 15500, 18250, 24000, 36500)

# Wording of a day in the near future: days from the call, words.
WHEN = {
    "en": ((1, "tomorrow"), (2, "in two days"), (3, "in three days"), (7, "in one week")),
    "hi-Latn": ((1, "kal"), (2, "do din mein"), (3, "teen din mein"), (7, "ek hafte mein")),
    "hi": ((1, "कल"), (2, "दो दिन में"), (3, "तीन दिन में"), (7, "एक हफ़्ते में")),
}
SLOTS = {
    "en": (
        ("09:30", "9:30 in the morning"),
        ("11:00", "11 o'clock"),
        ("14:15", "a quarter past two"),
        ("16:00", "4 pm"),
    ),
    "hi-Latn": (
        ("10:00-12:00", "10 se 12 ke beech"),
        ("16:00-18:00", "4 se 6 baje"),
        ("18:00-20:00", "shaam 6 ke baad"),
    ),
    "hi": (("10:00-12:00", "सुबह 10 से 12"), ("16:00-18:00", "4 से 6 बजे"), ("18:00-20:00", "शाम 6 बजे के बाद")),
}

# Survey topics: name, a satisfied contact's words, another contact's words.
TOPICS = (
    ("delivery", "it came a day early", "it came four days late"),
    ("price", "the price was fair", "I paid more than the website said"),
    ("support", "your support people were very kind", "nobody picked up the support line"),
    ("app", "the app is easy to use", "the app crashed twice while paying"),
    ("packaging", "everything was well packed", "the box was torn and one piece was missing"),
)
# Why a parcel was not accepted: reason, in Latin letters, in Devanagari.
REASONS = (
    ("at_office", "abhi toh main office mein hoon", "अभी तो मैं office में हूँ"),
    ("travelling", "main out of station hoon, family bhi saath hai", "मैं out of station हूँ, family भी साथ है"),
    ("gate_closed", "society ka gate band tha, guard ne entry nahi di", "society का gate बंद था, guard ने entry नहीं दी"),
    ("no_cash", "cash ready nahi tha, UPI chalega kya", "cash ready नहीं था, UPI चलेगा क्या"),
)

FAILURE_REASONS = {
    "failed": ("Call setup failed: no agent capacity", "Call setup timed out after 30 s", "Provider rejected the call"),
    "busy": ("User busy",),
    "no_answer": ("No answer after 45 s", "Ring timeout"),
    "socket_failure": ("Voice stream closed unexpectedly (code 1006)", "Media socket timed out"),
    "telephony_failed": ("Carrier returned SIP 480", "Carrier hung up before media"),
    "unreachable": ("Number switched off", "Number not in service", "Out of coverage area"),
}
OUTAGE_REASON = "Carrier returned SIP 503 Service Unavailable"
SPAM_REASON = "Carrier returned SIP 608: number labelled as spam"
