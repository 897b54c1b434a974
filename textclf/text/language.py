"""The language of texts, guessed from their most frequent words."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import islice

FIRST_WORDS = 200
"""Most frequent words that are looked at."""

FEWEST_WORDS = 4
"""Function words of a language that must be among them."""

FUNCTION_WORDS = {
    "cs": "že jsem není také nebo ale když jako bylo jsou jen proto",
    "da": "jeg ikke af det har med til på vil være blev efter",
    "de": "und der die das nicht ist ich ein mit auf für auch",
    "en": "the and of to is it that this was with for not",
    "es": "el los las una que es por para con del pero muy",
    "fi": "ja ei se on että mutta ovat hän kun tai myös ole",
    "fr": "le les des une est dans pas pour je vous sur qui",
    "hu": "az és hogy nem egy csak van meg ez volt mint már",
    "id": "yang dan di ini tidak dengan untuk dari ada itu saya akan",
    "it": "il che di non per una sono con della gli questo anche",
    "nl": "het een van niet dat ik zijn met voor maar ook naar",
    "no": "jeg ikke av det har med til på vil være ble etter",
    "pl": "nie się że jest na do to jak ale dla tak czy",
    "pt": "não uma que os do da em para com mas muito isso",
    "ro": "și nu este pe cu că din mai sunt pentru dar care",
    "ru": "и не что на как это но для все так его было",
    "sv": "och inte att det är som jag för med ett har till",
    "tr": "bir ve bu da çok için ne ama daha ben gibi değil",
    "uk": "і не що це як але для та від він було є",
    "vi": "là và của không có cho được này một với người trong",
}
"""Frequent words of each language, by its ISO 639-1 code, written for this table."""

OWN_SCRIPTS = {"HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "THAI": "th", "GREEK": "el", "HEBREW": "he"}
"""Scripts that one language is written in. Chinese has none of its own: Japanese has Han characters too."""


def guess_language(vocabulary: Sequence[str]) -> str | None:
    """Return the ISO 639-1 code of the language of words, the most frequent first; None where it is not clear."""
    words = set(islice(vocabulary, FIRST_WORDS))
    return _by_script(words) or _by_function_words(words)


def _by_script(words: set[str]) -> str | None:
    scripts = Counter(unicodedata.name(letter, "?").split()[0] for word in words for letter in word if letter.isalpha())
    foreign = scripts.total() - scripts["LATIN"]  # names and numerals stand in Latin letters in every language
    own = Counter(dict.fromkeys(OWN_SCRIPTS.values(), 0))
    for script, language in OWN_SCRIPTS.items():
        own[language] += scripts[script]
    ((language, count),) = own.most_common(1)
    if count > scripts["LATIN"] and 4 * count > foreign:  # Japanese has more Han characters than kana
        return language
    return "zh" if scripts["CJK"] > foreign / 2 and scripts["CJK"] > scripts["LATIN"] else None


def _by_function_words(words: set[str]) -> str | None:
    counts = Counter({language: len(words.intersection(own.split())) for language, own in FUNCTION_WORDS.items()})
    (best, most), (_, second) = counts.most_common(2)
    return best if most >= FEWEST_WORDS and most > 1.5 * second else None
