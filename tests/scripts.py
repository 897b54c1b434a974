"""Texts in many scripts and the words that they consist of, for tests/test_scripts.py and docs/scripts.md."""

from typing import NamedTuple
from unicodedata import normalize

from textclf.text.tokenizer import NEWEST_RULES, TextOptions, tokenize

ZWSP, ZWNJ, ZWJ, SHY, LRM = "\u200b", "\u200c", "\u200d", "\xad", "\u200e"

NAMES = {
    ZWSP: "[ZWSP]", ZWNJ: "[ZWNJ]", ZWJ: "[ZWJ]", SHY: "[SHY]", LRM: "[LRM]", "\ufe0f": "[VS16]", "\u180e": "[MVS]",
    "\u2060": "[WJ]", "\ufeff": "[BOM]", "\xa0": "[NBSP]",
}  # fmt: skip


class Sample(NamedTuple):
    """A text in a script."""

    script: str
    language: str
    text: str
    words: str
    """The words and signs that a reader finds, in lower case, with blanks between."""


SAMPLES = [
    Sample("Latin", "German, soft hyphens", f"Die Donau{SHY}dampf{SHY}schifffahrt", "die donaudampfschifffahrt"),
    Sample("Latin", "English, unseen characters", "won\u2060derful \ufeffvery\xa0good", "wonderful very good"),
    Sample("Latin", "Vietnamese, decomposed", normalize("NFD", "Tôi thích cà phê"), "tôi thích cà phê"),
    Sample("Latin", "Yoruba", "Ọjọ́ dára púpọ̀", "ọjọ́ dára púpọ̀"),
    Sample("Greek", "Greek", "Καλημέρα, όμορφε κόσμε", "καλημέρα , όμορφε κόσμε"),
    Sample("Cyrillic", "Russian", "Ёлка стоит в лесу", "ёлка стоит в лесу"),
    Sample("Cyrillic", "Church Slavonic, titlo", "бг҃ъ и҆ свѣ́тъ", "бг҃ъ и҆ свѣ́тъ"),
    Sample("Georgian", "Georgian", "საქართველო ლამაზია", "საქართველო ლამაზია"),
    Sample("Armenian", "Armenian", "Բարև աշխարհ", "բարև աշխարհ"),
    Sample("Arabic", "Arabic, vowels", "مَرْحَبًا بِالعَالَمِ", "مَرْحَبًا بِالعَالَمِ"),
    Sample("Arabic", "Persian, non-joiners", f"می{ZWNJ}خواهم کتاب{ZWNJ}ها را", f"می{ZWNJ}خواهم کتاب{ZWNJ}ها را"),
    Sample("Hebrew", "Hebrew, points and a mark of direction", f"שָׁלוֹם{LRM} לְכֻלָּם", "שָׁלוֹם לְכֻלָּם"),
    Sample("Syriac", "Syriac", "ܫܠܳܡܳܐ ܠܟܽܠ", "ܫܠܳܡܳܐ ܠܟܽܠ"),
    Sample("Thaana", "Maldivian", "ދިވެހި ބަސް", "ދިވެހި ބަސް"),
    Sample("N'Ko", "Manding", "ߒߞߏ ߞߊ߲", "ߒߞߏ ߞߊ߲"),
    Sample("Adlam", "Fula", "𞤀𞤣𞤤𞤢𞤥 𞤨𞤵𞤤𞤢𞥄𞤪", "𞤢𞤣𞤤𞤢𞤥 𞤨𞤵𞤤𞤢𞥄𞤪"),
    Sample("Ethiopic", "Amharic", "ሰላም ለዓለም።", "ሰላም ለዓለም ።"),
    Sample("Tifinagh", "Tamazight", "ⵜⴰⵎⴰⵣⵉⵖⵜ ⵜⵓⵜⵍⴰⵢⵜ", "ⵜⴰⵎⴰⵣⵉⵖⵜ ⵜⵓⵜⵍⴰⵢⵜ"),
    Sample("Devanagari", "Hindi, a joiner", f"र{ZWJ}य हिन्दी में लिखा।", f"र{ZWJ}य हिन्दी में लिखा ।"),
    Sample("Bengali", "Bengali, a joiner", f"র{ZWJ}্যাব বাংলা ভাষা", f"র{ZWJ}্যাব বাংলা ভাষা"),
    Sample("Gurmukhi", "Punjabi", "ਪੰਜਾਬੀ ਭਾਸ਼ਾ", "ਪੰਜਾਬੀ ਭਾਸ਼ਾ"),
    Sample("Gujarati", "Gujarati", "ગુજરાતી ભાષા છે", "ગુજરાતી ભાષા છે"),
    Sample("Oriya", "Odia", "ଓଡ଼ିଆ ଭାଷା", "ଓଡ଼ିଆ ଭାଷା"),
    Sample("Tamil", "Tamil", "தமிழ் மொழி அழகு", "தமிழ் மொழி அழகு"),
    Sample("Telugu", "Telugu", "తెలుగు భాష తీయన", "తెలుగు భాష తీయన"),
    Sample("Kannada", "Kannada", "ಕನ್ನಡ ಭಾಷೆ", "ಕನ್ನಡ ಭಾಷೆ"),
    Sample("Malayalam", "Malayalam, old chillu", f"അവന്{ZWJ} മലയാളം പഠിച്ചു", f"അവന്{ZWJ} മലയാളം പഠിച്ചു"),
    Sample("Sinhala", "Sinhala, joiners", f"ශ්{ZWJ}රී ලංකා ප්{ZWJ}රකාශ", f"ශ්{ZWJ}රී ලංකා ප්{ZWJ}රකාශ"),
    Sample("Chakma", "Chakma", "𑄌𑄋𑄴𑄟𑄳𑄦 𑄞𑄌𑄴", "𑄌𑄋𑄴𑄟𑄳𑄦 𑄞𑄌𑄴"),
    Sample("Thai", "Thai, a word for each run", "ที่นี่ อากาศดี", "ที่นี่ อากาศดี"),
    Sample("Lao", "Lao, zero-width spaces", f"ສະບາຍດີ{ZWSP}ໂລກ", "ສະບາຍດີ ໂລກ"),
    Sample("Khmer", "Khmer, zero-width spaces", f"ខ្ញុំ{ZWSP}ស្រឡាញ់{ZWSP}ភាសាខ្មែរ", "ខ្ញុំ ស្រឡាញ់ ភាសាខ្មែរ"),
    Sample("Myanmar", "Burmese, zero-width spaces", f"မြန်မာ{ZWSP}စာ", "မြန်မာ စာ"),
    Sample("Tibetan", "Tibetan, syllables and their marks", "བོད་སྐད།", "བོད ་ སྐད །"),
    Sample("Mongolian", "Mongolian, vowel separator", "ᠮᠣᠩᠭᠣᠯ ᠠᠬ\u180eᠠ", "ᠮᠣᠩᠭᠣᠯ ᠠᠬ\u180eᠠ"),
    Sample("Javanese", "Javanese", "ꦧꦱꦗꦮ ꦲꦏ꧀ꦱꦫ", "ꦧꦱꦗꦮ ꦲꦏ꧀ꦱꦫ"),
    Sample("Balinese", "Balinese", "ᬩᬲ ᬩᬮᬶ", "ᬩᬲ ᬩᬮᬶ"),
    Sample("Cherokee", "Cherokee", "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ", "ꮳꮃꭹ ꭶꮼꮒꭿꮝꮧ"),
    Sample("Canadian syllabics", "Inuktitut", "ᐃᓄᒃᑎᑐᑦ ᐅᖃᐅᓯᖅ", "ᐃᓄᒃᑎᑐᑦ ᐅᖃᐅᓯᖅ"),
    Sample("Hangul", "Korean, decomposed", normalize("NFD", "한국어를 좋아해요"), "한국어를 좋아해요"),
    Sample("Han", "Chinese, a word for each character", "我爱北京。", "我 爱 北 京 。"),
    Sample("Kana", "Japanese, a word for each character", "コーヒーとか\u309a", "コ ー ヒ ー と か\u309a"),
    Sample("Bopomofo", "Chinese, a word for each character", "ㄅㄆㄇ", "ㄅ ㄆ ㄇ"),
    Sample(
        "Emoji",
        "family, heart, keycap, flags",
        f"👨{ZWJ}👩{ZWJ}👧❤\ufe0f1\ufe0f\u20e3 🇩🇪🇫🇷",
        f"👨{ZWJ}👩{ZWJ}👧 ❤ 1\u20e3 🇩🇪 🇫🇷",
    ),
]


def tokens_of(sample: Sample, *, rules: int = NEWEST_RULES) -> list[str]:
    """Return the words that textclf finds in a sample."""
    return tokenize(sample.text, TextOptions(rules=rules))


def expected_tokens(sample: Sample) -> list[str]:
    """Return the words that a reader finds in a sample."""
    return [normalize("NFC", word) for word in sample.words.split(" ")]


def table() -> list[tuple[str, ...]]:
    """Return a table of the samples, with the number of words expected and found."""
    rows: list[tuple[str, ...]] = [("script", "language", "text", "words expected", "found", "found by rules 1")]
    for sample in SAMPLES:
        text = "".join(NAMES.get(character, character) for character in sample.text)
        words = (expected_tokens(sample), tokens_of(sample), tokens_of(sample, rules=1))
        rows.append((sample.script, sample.language, text, *(str(len(each)) for each in words)))
    return rows
