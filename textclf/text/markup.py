"""HTML in texts: patterns of tags and comments, and decoding of entities.

Each pattern takes linear time on any text: a search from a later start scans no character again, or, within the quoted
values of attributes, at most two times.
"""

import html
import re
from functools import cache
from html.entities import html5
from itertools import groupby
from operator import itemgetter

# The elements of HTML, also obsolete ones, which old pages have.
_ELEMENTS = (
    "a|abbr|acronym|address|applet|area|article|aside|audio|b|base|basefont|bdi|bdo|bgsound|big|blink|blockquote|"
    "body|br|button|canvas|caption|center|cite|code|col|colgroup|data|datalist|dd|del|details|dfn|dialog|dir|div|"
    "dl|dt|em|embed|fieldset|figcaption|figure|font|footer|form|frame|frameset|h1|h2|h3|h4|h5|h6|head|header|"
    "hgroup|hr|html|i|iframe|img|input|ins|isindex|kbd|keygen|label|legend|li|link|listing|main|map|mark|marquee|"
    "math|menu|menuitem|meta|meter|multicol|nav|nextid|nobr|noembed|noframes|noscript|object|ol|optgroup|option|"
    "output|p|param|picture|plaintext|pre|progress|q|rb|rp|rt|rtc|ruby|s|samp|script|search|section|select|slot|"
    "small|source|spacer|span|strike|strong|style|sub|summary|sup|svg|table|tbody|td|template|textarea|tfoot|th|"
    "thead|time|title|tr|track|tt|u|ul|var|video|wbr|xmp"
)

# Attributes that need no value.
_BOOLEAN_ATTRIBUTES = (
    "allowfullscreen|async|autofocus|autoplay|checked|compact|controls|declare|default|defer|disabled|download|"
    "formnovalidate|hidden|inert|ismap|itemscope|loop|multiple|muted|nohref|nomodule|noresize|noshade|novalidate|"
    "nowrap|open|playsinline|readonly|required|reversed|selected"
)

_COMMENT = r"<!--(?:(?!<!--).)*?-->"


@cache
def tag_pattern() -> re.Pattern[str]:
    """Return the pattern of a tag, comment or doctype; compiled when a text first needs it.

    A tag has the name of an element, all in lower or all in upper case, and attributes with values or known ones
    without. So the words of `List<Object>`, `<user>` and `a <b and c> d` stay.
    """
    # grouped by first letter, so that few names are compared with a text's
    by_letter = {letter: [name[1:] for name in names] for letter, names in groupby(_ELEMENTS.split("|"), itemgetter(0))}
    names = "|".join(f"{letter}(?:{'|'.join(rests)})" for letter, rests in by_letter.items())
    value = r"""\"[^"]*+"|'[^']*+'|[^\s"'<>][^\s<>]*+"""
    attribute = rf"""[^\s"'<>/=]++\s*+=\s*+(?:{value})|(?i:{_BOOLEAN_ATTRIBUTES})(?=[\s/>])"""
    tag = rf"</?(?:{names}|{names.upper()})(?=[\s/>])(?:[\s/]*+(?:{attribute}))*+[\s/]*+>"
    return re.compile(rf"{_COMMENT}|<!(?i:doctype)(?=[\s>])[^<>]*+>|{tag}", re.DOTALL)


@cache
def tag_pattern_of_rules_1() -> re.Pattern[str]:
    """Return the pattern of a comment, or of anything between "<" and ">" that begins with a letter."""
    return re.compile(rf"{_COMMENT}|</?[a-zA-Z][^<>]*>", re.DOTALL)


_ENDLESS_ENTITY = re.compile(r"&#[0-9]{99,}")  # not a character, and html.unescape fails at thousands of digits

# Without its ";" an entity ends where no letter, digit or "=" follows, as in HTML's attributes: so "?a=1&copy=2" stays.
# Only of &nbsp; is the ";" forgotten so often that words follow it.
_ENTITY = re.compile(r"&(?:#[0-9]++;?|#[xX][0-9a-fA-F]++;?|(nbsp;?|[a-zA-Z][a-zA-Z0-9]*+(?:;|(?![a-zA-Z0-9=]))))")


def decode_entities(text: str) -> str:
    """Return a text with its entities decoded."""
    return _ENTITY.sub(_decode, _ENDLESS_ENTITY.sub("&#0", text))


def _decode(entity: re.Match[str]) -> str:
    name = entity[1]
    return html5.get(name, entity[0]) if name else html.unescape(entity[0])


def decode_entities_by_rules_1(text: str) -> str:
    """Return a text with its entities decoded, even where "&" and the name of one only begin a word."""
    return html.unescape(_ENDLESS_ENTITY.sub("&#0", text))
