"""Classes of characters, written for the brackets of a regular expression."""

# Han, kana and bopomofo have no blanks between words. Hangul has, and is split at them.
CJK = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)

# Python's \w lacks combining marks, at which words of Hindi, Thai or vowelled Arabic would be split. All visible marks
# (categories Mn, Mc and Me) of Unicode 18 are in these ranges, and letters and unassigned characters between two marks,
# which makes the ranges few. A test compares them with the running Python's Unicode.
MARKS = (
    "\u0300-\u034e\u0350-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7-\u05c9\u0610-\u061a"
    "\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u0711-\u07f3\u07fd\u0816-\u082d\u0859-\u085b"
    "\u0897-\u08e1\u08e3-\u0963\u0981-\u09e3\u09fe-\u0a75\u0a81-\u0ae3\u0afa-\u0b63\u0b82-\u0bd7\u0c00-\u0c63"
    "\u0c81-\u0c83\u0cbc-\u0d4d\u0d57-\u0d63\u0d81-\u0df3\u0e31-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ece\u0f18\u0f19\u0f35"
    "\u0f37\u0f39\u0f3e-\u0f84\u0f86-\u0fbc\u0fc6\u102b-\u103e\u1056-\u109d\u135d-\u135f\u1712-\u1734\u1752-\u17d3"
    "\u17dd\u1885-\u193b\u1a17-\u1a1b\u1a55-\u1a7f\u1ab0-\u1b44\u1b6b-\u1b73\u1b80-\u1bf3\u1c24-\u1c37\u1cd0-\u1cd2"
    "\u1cd4-\u1dff\u20d0-\u20f0\u2cef-\u2cf1\u2d7f-\u2dff\u302a-\u302f\u3099\u309a\ua66f-\ua672\ua674-\ua67d"
    "\ua69e-\ua6f1\ua802-\ua827\ua82c\ua880-\ua8c5\ua8e0-\ua8f1\ua8ff-\ua92d\ua947-\ua953\ua980-\ua9c0\ua9e5-\uaa4d"
    "\uaa7b-\uaac1\uaaeb-\uaaef\uaaf5\uaaf6\uabe3-\uabea\uabec\uabed\ufb1e\ufe20-\ufe2f"
)

# Marks beyond U+FFFF. They are apart, since `re` compares a character with such ranges one by one.
HIGH_MARKS = (
    "\U000101fd-\U0001037a\U00010a01-\U00010a3f\U00010ae5\U00010ae6\U00010d24-\U00010d6d\U00010eab\U00010eac"
    "\U00010ecb-\U00010ecf\U00010ef0-\U00010f50\U00010f82-\U00010f85\U00011000-\U00011046\U00011070-\U000110ba"
    "\U000110c2\U00011100-\U00011134\U00011145-\U00011173\U00011180-\U000111c0\U000111c9-\U000111cc"
    "\U000111ce\U000111cf\U0001122c-\U00011237\U0001123e-\U00011241\U000112df-\U000113d2\U000113e1-\U00011446"
    "\U0001145e-\U000114c3\U000115af-\U000115c0\U000115dc-\U00011640\U000116ab-\U000116b7\U0001171d-\U0001172b"
    "\U0001182c-\U0001183a\U00011930-\U00011943\U000119d1-\U000119e0\U000119e4-\U00011a3e\U00011a47-\U00011a99"
    "\U00011b60-\U00011b67\U00011c2f-\U00011c3f\U00011c92-\U00011ef6\U00011f00-\U00011f42\U00011f5a"
    "\U00013440-\U0001612f\U00016af0-\U00016af4\U00016b30-\U00016b36\U00016f4f-\U00016f92\U00016fe4-\U00016ff1"
    "\U0001bc9d\U0001bc9e\U0001cf00-\U0001cf46\U0001d127\U0001d128\U0001d165-\U0001d169\U0001d16d-\U0001d172"
    "\U0001d17b-\U0001d182\U0001d185-\U0001d18b\U0001d1aa-\U0001d1ad\U0001d242-\U0001d244\U0001d250-\U0001d252"
    "\U0001d25b\U0001d25c\U0001d25f\U0001d280\U0001d281\U0001da00-\U0001da36\U0001da3b-\U0001da6c\U0001da75\U0001da84"
    "\U0001da9b-\U0001daaf\U0001e000-\U0001e136\U0001e2ae-\U0001e2ef\U0001e4ec-\U0001e5ef\U0001e6e3-\U0001e94a"
)

# Marks of no single script: they follow digits, signs, kana and Han as well.
COMMON_MARKS = "\u0300-\u034e\u0350-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0\u302a-\u302f\u3099\u309a\ufe20-\ufe2f"

# Zero-width non-joiner and joiner, and Mongolian's vowel separator: a word with one is not the word without it.
JOINERS = "\u200c\u200d\u180e"

# Soft hyphen, grapheme joiner, direction marks, word joiner, byte order mark, variation selectors, and so on: all of
# Unicode's Default_Ignorable_Code_Point except joiners, ZERO_WIDTH_SPACE, fillers of Hangul, and controls of music and
# shorthand.
INVISIBLE = (
    "\xad\u034f\u061c\u17b4\u17b5\u180b-\u180d\u180f\u200e\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\ufff0-\ufff8\U000e0000-\U000e001f\U000e0080-\U000e0fff"
)

ZERO_WIDTH_SPACE = "\u200b"  # stands between words of Khmer, Thai, Lao and Burmese, where a line may break

TAGS = "\U000e0020-\U000e007f"  # letters that name a region, after BLACK_FLAG; elsewhere they are invisible

BLACK_FLAG = "\U0001f3f4"

REGIONAL_INDICATORS = "\U0001f1e6-\U0001f1ff"  # two of them are a flag

SKIN_TONES = "\U0001f3fb-\U0001f3ff"

WIDTH_FORMS = "\uff01-\uffee"  # full-width and half-width forms
