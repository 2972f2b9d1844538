"""Scripts of agent 101, delivery rescheduling: code-mixed, within a sentence and across scripts."""

from formant_mcp.demo.script import Script

DELIVERY = (
    Script("rescheduled", "hi-Latn", 16, """
A: Hello {name} ji, Example Parcel se bol rahi hoon, aapka parcel aaj deliver nahi ho paaya.
  | Hi {name} ji, aapka order out for delivery tha but deliver nahi hua.
C: Haan, {reason}. | Sorry, {reason}.
*
A: No problem, hum kab aayein? | Ji, kaunsa time convenient rahega?
C: {when} {slot} chalega. | {when} bhej do, {slot}.
~A: Address same rahega na?
~C: Haan same address. | Haan, bas flat ki bell kharab hai, call kar lena.
A: Done, delivery {when}, {slot}. Thank you! | Theek hai ji, {when} {slot} ka slot book kar diya.
"""),
    Script("rescheduled", "hi", 14, """
A: नमस्ते {name} जी, Example Parcel से call है, आपका parcel आज deliver नहीं हो पाया।
C: हाँ, {reason}। | Sorry, {reason}।
*
A: कोई बात नहीं, कब deliver करें? | जी, कौन सा time ठीक रहेगा?
C: {when}, {slot} ठीक रहेगा। | {when} भेज दीजिए, {slot}।
~A: Address वही रहेगा?
~C: हाँ, वही address है, temple के सामने। | हाँ, same.
A: ठीक है जी, {when} {slot} का slot book हो गया। Thank you.
"""),
    Script("address_changed", "hi-Latn", 7, """
A: Hello {name} ji, Example Parcel se, delivery boy ko address nahi mil raha hai.
C: Arre, humne ghar shift kar liya hai, naya address note karo.
A: Ji boliye, naya address kya hai?
C: Purane address se do gali aage, blue gate wala ghar, pehli manzil.
  | Metro station ke paas, gate number do, tower B.
*
A: Theek hai, naya address update kar diya, delivery {when} hogi.
C: Okay, thank you. | Theek hai, delivery se pehle call karna.
"""),
    Script("cancelled", "hi-Latn", 6, """
A: Hello {name} ji, aapka parcel {when} deliver karna hai, confirm kar dein?
C: Nahi, order cancel kar do, maine dukaan se le liya. | Cancel karo, bahut late ho gaya.
~A: Koi khaas wajah?
~C: Teen baar reschedule hua, ab nahi chahiye. | Bas, zaroorat nahi hai ab.
A: Ji, cancel request daal di hai, refund paanch din mein aa jaayega.
C: Theek hai.
"""),
)  # fmt: skip
