"""Scripts of agent 456, collections, in Hindi (Devanagari) and Hinglish. `{opening}` is the prompt's first sentence."""

from formant_mcp.demo.script import Script

COLLECTIONS = (
    Script("promise_to_pay", "hi", 16, """
A: {opening}
C: हाँ जी, बोलिए। | जी, पता है मुझे। | हाँ, थोड़ी देर हो गई इस बार।
*
A: {amount} रुपये कब तक जमा कर पाएँगे? | आप भुगतान कब तक कर देंगे?
C: {when} कर दूँगा, पक्का। | {when} हो जाएगा। | तनख्वाह आते ही, {when}।
~A: क्या मैं भुगतान का लिंक भेज दूँ?
~C: हाँ, इसी नंबर पर भेज दीजिए। | जी, भेज दीजिए।
A: ठीक है जी, मैंने {when} का वादा लिख लिया है। धन्यवाद। | धन्यवाद {name} जी, {when} फिर बात करेंगे।
"""),
    Script("promise_to_pay", "hi-Latn", 14, """
A: {opening}
C: Haan ji, boliye. | Pata hai, late ho gaya. | Haan bhai, yaad hai.
*
A: {amount} rupees kab tak jama karenge?
C: {when} kar dunga, pakka promise. | {when} ho jaayega, thoda time do.
~A: Pichhli baar bhi aapne promise kiya tha.
~C: Is baar pakka, papa hospital mein the. | Is baar pakka kar dunga.
A: Theek hai, {when} {amount} rupees, maine note kar liya. Dhanyavaad.
"""),
    Script("dispute", "hi", 3, """
A: {opening}
C: कौन सी किस्त? मेरा लोन तो पिछले महीने बंद हो चुका है। | यह रकम गलत है, मैंने इतना लिया ही नहीं।
*
A: हमारे रिकॉर्ड में {amount} रुपये बाकी हैं।
C: आपका रिकॉर्ड गलत है। मेरे पास रसीद है। | मैं नहीं मानता, पहले हिसाब भेजिए।
A: ठीक है, मैं शिकायत दर्ज कर रही हूँ, टीम आपसे बात करेगी। | जी, मैं यह विवाद आगे भेज रही हूँ।
"""),
    Script("dispute", "hi-Latn", 2, """
A: {opening}
C: Maine toh settlement kar liya tha, NOC bhi mil gaya. | Yeh amount galat hai, itna nahi banta.
A: System mein {amount} rupees baaki dikh raha hai.
C: System galat hai aapka, pehle statement bhejo. | Main dispute karta hoon, likh lo.
A: Ji, maine dispute note kar liya hai, team aapse baat karegi.
"""),
    Script("hardship", "hi", 8, """
A: {opening}
C: बेटी, काम छूट गया है, घर में बीमारी है। | इस महीने दुकान नहीं चली, पैसे नहीं हैं।
A: मुझे सुनकर दुख हुआ। क्या आप थोड़ा-थोड़ा दे सकते हैं?
C: {when} दो हज़ार दे सकता हूँ, बाकी अगले महीने। | अभी कुछ नहीं कह सकता।
~A: क्या आपको किस्त आगे बढ़ाने की सुविधा चाहिए?
~C: हाँ, अगर हो सके तो बड़ी मेहरबानी होगी।
A: ठीक है, मैं आपकी बात टीम तक पहुँचा दूँगी।
"""),
    Script("refusal", "hi-Latn", 5, """
A: {opening}
C: Bhai, roz roz call mat karo. | Kitni baar call karoge tum log?
*
A: Ji, {amount} rupees pending hain, isliye call kiya.
C: Nahi dunga, jo karna hai kar lo. | Main paise nahi dunga, complaint karunga tumhari.
A: Main aapki baat note kar rahi hoon. Dhanyavaad.
"""),
    Script("wrong_number", "hi", 4, """
A: क्या मैं {name} जी से बात कर रही हूँ?
C: नहीं, यह उनका नंबर नहीं है। | गलत नंबर है।
A: माफ़ कीजिए, हम नंबर सुधार लेंगे। | क्षमा कीजिए, धन्यवाद।
C: ठीक है।
"""),
)  # fmt: skip

# What the last week adds: contacts who do not accept the late fee that the new prompt begins with.
LATE_FEE_DISPUTES = (
    Script("dispute", "hi", 26, """
A: {opening}
C: लेट फ़ीस? किस बात की लेट फ़ीस?
  | 750 रुपये की लेट फ़ीस मैं नहीं दूँगा।
  | यह लेट फ़ीस तो मुझे किसी ने नहीं बताई।
*
A: समय पर भुगतान नहीं हुआ, इसलिए 750 रुपये जोड़े गए हैं।
C: मैंने तो तारीख से पहले ही दे दिया था। यह गलत है। | यह तो धोखा है। किस्त दूँगा, लेट फ़ीस नहीं।
~A: पूरी रकम {amount} रुपये और लेट फ़ीस है।
~C: पहले मुझे लिखकर हिसाब भेजिए। | पिछले हफ़्ते तक तो कोई फ़ीस नहीं थी।
A: ठीक है, मैं विवाद दर्ज कर रही हूँ। | आपकी शिकायत आगे भेज दी जाएगी।
"""),
    Script("dispute", "hi-Latn", 26, """
A: {opening}
C: Late fee kis baat ki? | Yeh 750 late fee kahan se aa gaya? | Late fee toh agreement mein thi hi nahi.
*
A: Payment time par nahi aaya, isliye late fee lagi hai.
C: Galat baat hai, maine date se pehle diya tha. | EMI de dunga, late fee bilkul nahi dunga.
~A: Aaj hi poora amount dena hoga, {amount} rupees plus late fee.
~C: Pehle toh aap log aise baat nahi karte the. | Kisi senior se baat karao.
A: Theek hai, maine dispute darj kar liya hai. | Ji, aapka dispute team ko bhej rahi hoon.
"""),
)  # fmt: skip

# Contacts who name a lawyer; told on fixed days (see `stories`).
LAWYER = (
    Script("refusal", "hi-Latn", 0, """
A: {opening}
C: Bas bahut ho gaya. Mera lawyer aapko legal notice bhejega.
A: Ji, main aapki pareshani samajhti hoon.
C: Kuch nahi samajhte aap. Office mein call karke mujhe sabke saamne bezzat kiya.
A: Iske liye maafi chahti hoon, main call yahin khatam karti hoon.
C: Ab baat court mein hogi.
"""),
    Script("dispute", "hi", 0, """
A: {opening}
C: देखिए, अब आप मेरे वकील से बात कीजिए।
A: जी, क्या आप वकील साहब का नाम बता सकते हैं?
C: नाम legal notice में मिल जाएगा। मैंने एक-एक रुपया चुका दिया है।
A: ठीक है, मैं यह बात लिख रही हूँ और कॉल समाप्त करती हूँ।
"""),
    Script("dispute", "hi-Latn", 0, """
A: {opening}
C: Is late fee ke baare mein maine apne lawyer se pooch liya hai, yeh illegal hai.
A: Ji, fee agreement ke hisaab se hai.
C: Toh lawyer ka legal notice aayega, wahin jawab dena.
A: Main aapka case senior team ko bhej rahi hoon.
"""),
    Script("refusal", "hi-Latn", 0, """
A: {opening}
C: I have told you three times, talk to my lawyer. Ek aur call aaya toh legal notice.
A: Ji, aage se call nahi kiya jaayega, main note kar leti hoon.
"""),
)  # fmt: skip
