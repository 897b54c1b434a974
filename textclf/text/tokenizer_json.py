"""Checks of a tokenizer.json, before the library that splits texts by it sees it.

The file may come from a stranger, and the library is written in Rust: on some files it panics, takes endless time or
endless memory. So only what BERT, RoBERTa, XLM-R and their like need is handed to it, in a document written anew from
what was checked here.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

MAX_BYTES = 1 << 26  # XLM-R's file has 17 MB

# A list takes 60 bytes of memory for 2 in the file; XLM-R has 250,000 pieces, each a list of two values.
MAX_LISTS, MAX_VALUES = 1 << 21, 1 << 23

COPY = "Copy the folder again."

MAX_PIECES, MAX_PIECE = 1_000_000, 512  # ids; characters of a piece, of which RoBERTa's longest has 128

MAX_WORD, MAX_AFFIX = 200, 16  # characters of a word that WordPiece splits, and of what is put before or after pieces
MAX_ADDED, MAX_STEPS = 10_000, 16
MAX_MAP_BYTES, MAX_REPLACEMENT = 1 << 20, 64  # XLM-R's has 240,000 bytes; one character becomes at most 33

_MODEL_KEYS = {
    "WordPiece": "vocab unk_token continuing_subword_prefix max_input_chars_per_word",
    "BPE": "vocab merges dropout unk_token continuing_subword_prefix end_of_word_suffix fuse_unk byte_fallback "
    "ignore_merges",
    "Unigram": "vocab unk_id byte_fallback",
}

_SIGNS = {"BPE": "merges", "Unigram": "unk_id", "WordPiece": "max_input_chars_per_word"}
_ADDED_KEYS = "id content single_word lstrip rstrip normalized special"

_STEPS = {
    "normalizer": {
        "BertNormalizer": "clean_text handle_chinese_chars strip_accents lowercase",
        "Precompiled": "precompiled_charsmap",
        **dict.fromkeys(("NFC", "NFD", "NFKC", "NFKD", "Nmt", "Lowercase", "StripAccents"), ""),
        "Strip": "strip_left strip_right",
        "Replace": "pattern content",
        "Prepend": "prepend",
    },
    "pre_tokenizer": {
        **dict.fromkeys(("BertPreTokenizer", "Whitespace", "WhitespaceSplit"), ""),
        "ByteLevel": "add_prefix_space trim_offsets use_regex",
        "Metaspace": "replacement prepend_scheme add_prefix_space split str_rep",
        "Punctuation": "behavior",
        "Digits": "individual_digits",
        "Split": "pattern behavior invert",
    },
}
"""The steps before the model, each with its keys."""

_SEQUENCES = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers"}
_PROCESSORS = ("BertProcessing", "RobertaProcessing", "TemplateProcessing", "Sequence")
_REGEXES = (" {2,}", r"\s+")  # which take linear time


class TokenizerDescription(NamedTuple):
    """A checked tokenizer.json: what the library gets of it, and what is done here."""

    document: Mapping[str, Any]
    size: int
    unknown: int | None
    before: list[int]
    """Ids of the special pieces before each text."""
    after: list[int]


class InvalidTokenizer(Exception):  # noqa: N818 - its text becomes the end of a sentence
    """A tokenizer that is not read; the text follows the file's name."""


def describe_tokenizer(data: bytes) -> TokenizerDescription:
    """Return what the content of a tokenizer.json says, after checks of all of it.

    Raises:
        InvalidTokenizer: it is damaged, or of a kind that textclf does not read.
    """
    return _describe_document(_parse(data))


def _parse(data: bytes) -> Mapping[str, Any]:
    """Return the JSON object in the bytes of a file."""
    if data.count(b"[") + data.count(b"{") > MAX_LISTS or data.count(b",") > MAX_VALUES:
        raise _damaged("more values than any tokenizer has")
    try:
        document = json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise _damaged(str(error)) from None
    except RecursionError:
        raise _damaged("nested too deeply") from None
    return _object(document, "it")


def _describe_document(document: Mapping[str, Any]) -> TokenizerDescription:
    """Return what textclf reads of a tokenizer.json: neither padding, truncation nor decoder.

    Raises:
        InvalidTokenizer: a field is invalid, or of a kind that is not read; so do all checks below.
    """
    model = _object(document.get("model"), "model")
    # files of 2020 do not say the type
    kind = model.get("type", next((kind for kind, sign in _SIGNS.items() if sign in model), None))
    if not isinstance(kind, str) or kind not in _MODEL_KEYS:
        raise _not_supported(f"model.type {kind!r:.60}", ", ".join(_MODEL_KEYS))
    _check_keys(model, _MODEL_KEYS[kind], "model")
    vocabulary, unknown = _unigram(model) if kind == "Unigram" else _word_pieces_or_bytes(model, kind)
    added = _added(document.get("added_tokens") or [])
    size = max([*vocabulary.values(), *added.values()]) + 1
    before, after = _special_pieces(document.get("post_processor"), size)
    if not before + after:
        raise _not_supported("post_processor without special pieces", ", ".join(_PROCESSORS))
    checked = {name: _checked_steps(document.get(name), name) for name in _STEPS}
    rewritten = {"version": "1.0", "added_tokens": document.get("added_tokens") or [], "model": {**model, "type": kind}}
    none = dict.fromkeys(("truncation", "padding", "post_processor", "decoder"))
    return TokenizerDescription(rewritten | checked | none, size, unknown, before, after)


def _unigram(model: Mapping[str, Any]) -> tuple[dict[str, int], int]:
    """Return the ids of a Unigram model's pieces, and the unknown one's."""
    pieces = model.get("vocab")
    if (
        not isinstance(pieces, list) or not 0 < len(pieces) <= MAX_PIECES or not all(
            isinstance(entry, list) and [*map(type, entry)] in ([str, float], [str, int])
            and 0 < len(entry[0]) <= MAX_PIECE and -1e9 < entry[1] < 1e9
            for entry in pieces
        )
    ):  # fmt: skip
        raise _damaged(f"model.vocab: need a list of 1 to {MAX_PIECES} pieces, each with a score")
    unknown = _id(model.get("unk_id"), "model.unk_id", len(pieces))
    return {entry[0]: index for index, entry in enumerate(pieces)}, unknown


def _word_pieces_or_bytes(model: Mapping[str, Any], kind: str) -> tuple[dict[str, int], int | None]:
    """Return the ids of the pieces of a WordPiece or BPE model, and the unknown one's if it has one."""
    ids = _object(model.get("vocab"), "model.vocab")
    numbers = ids.values()
    if {*map(type, numbers)} != {int} or min(numbers) < 0:
        raise _damaged(f"model.vocab: need one piece at least, and ids from 0 to {MAX_PIECES - 1}")
    if max(numbers) >= MAX_PIECES:
        raise _not_supported(f"model.vocab with the id {max(numbers)!r:.60}", f"0 to {MAX_PIECES - 1}")
    # in BPE, the library panics where a piece is shorter than the prefix
    limits = {"continuing_subword_prefix": 0 if kind == "BPE" else MAX_AFFIX, "end_of_word_suffix": MAX_AFFIX}
    for name, most in limits.items():
        if len(str(model.get(name) or "")) > most:
            raise _not_supported(f"model.{name} {model[name]!r:.60}", f"at most {most} characters")
    if model.get("dropout"):
        raise _not_supported(f"model.dropout {model['dropout']!r:.60}, which splits at random,", "null")
    if kind == "WordPiece":
        # the time for a word is the cube of its characters
        _number(model.get("max_input_chars_per_word"), "model.max_input_chars_per_word", MAX_WORD)
    unknown = model.get("unk_token")
    if unknown is None and kind == "BPE":
        return dict(ids), None
    if not isinstance(unknown, str) or unknown not in ids:
        raise _damaged(f"model.unk_token: found {unknown!r:.60}, need a piece of model.vocab")
    return dict(ids), ids[unknown]


def _added(tokens: Any) -> dict[str, int]:
    """Return the ids of the tokens that are found in a text before it is split."""
    if not isinstance(tokens, list):
        raise _damaged(f"added_tokens: found {tokens!r:.60}, need a list")
    if len(tokens) > MAX_ADDED:
        raise _not_supported(f"added_tokens with {len(tokens)} entries", f"at most {MAX_ADDED}")
    ids = {}
    for index, token in enumerate(tokens):
        name = f"added_tokens[{index}]"
        _check_keys(_object(token, name), _ADDED_KEYS, name)
        content = token.get("content")
        if not isinstance(content, str) or not content:
            raise _damaged(f"{name}.content: found {content!r:.60}, need 1 to {MAX_PIECE} characters")
        if len(content) > MAX_PIECE:
            raise _not_supported(f"{name}.content {content!r:.60}", f"at most {MAX_PIECE} characters")
        ids[content] = _number(token.get("id"), f"{name}.id", MAX_PIECES - 1)
    return ids


def _checked_steps(value: Any, name: str) -> Any:
    """Return a normalizer or pre_tokenizer, after checks that each of its steps takes little time and memory."""
    if value is None:
        return None
    _object(value, name)
    steps = value.get(_SEQUENCES[name]) if value.get("type") == "Sequence" else [value]
    if not isinstance(steps, list):
        raise _damaged(f"{name}: found {steps!r:.60}, need a list of steps")
    if len(steps) > MAX_STEPS:
        raise _not_supported(f"{name} with {len(steps)} steps", f"at most {MAX_STEPS}")
    kinds = set()
    for step in steps:
        kind = _object(step, name).get("type")
        if not isinstance(kind, str) or kind not in _STEPS[name]:
            raise _not_supported(f"{name} {kind!r:.60}", ", ".join(_STEPS[name]))
        if kind in kinds and kind != "Replace":  # each may make a text longer
            raise _not_supported(f"{name} with {kind} twice", "each once")
        kinds.add(kind)
        _check_keys(step, _STEPS[name][kind], f"{name} {kind}")
        _check_step(step, f"{name} {kind}")
    return value


def _check_step(step: Mapping[str, Any], name: str) -> None:
    if "pattern" in step:
        pattern = _object(step["pattern"], f"{name}.pattern")
        string = pattern.get("String", "")
        # any other regular expression may take time without end
        if len(pattern) != 1 or not (pattern.get("Regex") in _REGEXES or (isinstance(string, str) and string)):
            raise _not_supported(f"{name}.pattern {pattern!r:.60}", f"a String, or a Regex of {_REGEXES}")
        longest = max(1, len(string))
        if not isinstance(step.get("content", ""), str) or len(step.get("content", "")) > longest:
            raise _not_supported(f"{name}.content {step['content']!r:.60}", "text that is no longer than the pattern")
    if len(str(step.get("prepend", ""))) > MAX_AFFIX:
        raise _not_supported(f"{name}.prepend {step['prepend']!r:.60}", f"at most {MAX_AFFIX} characters")
    if step["type"] == "Precompiled" and not _is_safe_map(step.get("precompiled_charsmap")):
        raise _damaged(f"{name}: its precompiled_charsmap leads out of its own table")


def _is_safe_map(text: Any) -> bool:
    """Return True for a map of characters in which no text leads the library out of the map's own tables.

    It is base64 of the size in bytes of a trie, the trie as a double array of 32-bit units, and the replacements, each
    with a NUL after it (https://github.com/huggingface/spm_precompiled). A unit's offset leads from it to a base, and
    the base with each byte to the next units; the unit at the base of one with a leaf has the place of a replacement.
    """
    try:
        data = base64.b64decode(text if isinstance(text, str) else "", validate=True)
        trie_bytes = int.from_bytes(data[:4], "little")
        replacements = data[4 + trie_bytes :]
        replacements.decode("utf-8")
    except ValueError:
        return False
    if len(data) > MAX_MAP_BYTES or not 0 < trie_bytes <= len(data) - 4 or trie_bytes % 4 or data[-1:] != b"\0":
        return False
    units = np.frombuffer(data, "<u4", trie_bytes // 4, offset=4).astype(np.int64)  # (units,)
    bases = np.arange(len(units)) ^ ((units >> 10) << ((units & 512) >> 6))  # (units,)
    inner = units >> 31 == 0  # the others are places of replacements
    inner[0] = True  # the root
    if (bases[inner] | 255).max() >= len(units):
        return False
    places = units[bases[inner & (units >> 8 & 1 == 1)]] & 0x7FFFFFFF  # (leaves,)
    if len(places) and places.max() >= len(replacements):
        return False
    characters = np.frombuffer(replacements, np.uint8)  # (bytes,)
    nuls = np.flatnonzero(characters == 0)  # (replacements,)
    lengths = nuls[np.searchsorted(nuls, places)] - places  # (leaves,)
    return bool((characters[places] & 0xC0 != 0x80).all() and lengths.max(initial=0) <= MAX_REPLACEMENT)


def _special_pieces(processor: Any, size: int) -> tuple[list[int], list[int]]:
    """Return the ids of the special pieces before a text and after it."""
    kind = _object(processor if processor is not None else {}, "post_processor").get("type")
    if kind == "Sequence" and isinstance(processor.get("processors"), list):
        before, after = list[int](), list[int]()
        for step in processor["processors"][:MAX_STEPS]:
            if _object(step, "post_processor").get("type") != "Sequence":
                outer_before, outer_after = _special_pieces(step, size)
                before, after = outer_before + before, after + outer_after
        return before, after
    if kind in ("BertProcessing", "RobertaProcessing"):
        pair = (processor.get("cls"), processor.get("sep"))
        if not all(isinstance(piece, list) and len(piece) == 2 for piece in pair):
            raise _damaged("post_processor: cls and sep need a piece and its id each")
        first, last = (_id(piece[1], "post_processor", size) for piece in pair)
        return [first], [last]
    if kind == "TemplateProcessing":
        return _template(processor, size)
    if kind in (None, "ByteLevel"):  # which changes no ids
        return [], []
    raise _not_supported(f"post_processor {kind!r:.60}", ", ".join(_PROCESSORS))


def _template(processor: Mapping[str, Any], size: int) -> tuple[list[int], list[int]]:
    """Return the ids of the special pieces before and after the text in a template."""
    special = _object(processor.get("special_tokens"), "post_processor.special_tokens")
    items = processor.get("single")
    ids: list[int | None] = []  # None: the text
    for item in items if isinstance(items, list) and len(items) <= MAX_STEPS else []:
        name, value = next(iter(_object(item, "post_processor.single").items()), ("", None))
        value = _object(value, "post_processor.single")
        if name not in ("SpecialToken", "Sequence") or value.get("type_id") != 0:
            raise _not_supported(f"post_processor.single {item!r:.60}", "pieces of type_id 0")
        if name == "Sequence":
            ids.append(None)
        else:
            token = _object(special.get(str(value.get("id"))), "post_processor.special_tokens")
            found = token.get("ids")
            ids += [_id(i, "post_processor", size) for i in (found if isinstance(found, list) else [None])]
    if ids.count(None) != 1 or len(ids) > MAX_STEPS:
        raise _damaged("post_processor.single: need one text, and a few special pieces")
    text = ids.index(None)
    return [i for i in ids[:text] if i is not None], [i for i in ids[text + 1 :] if i is not None]


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _damaged(f"{name}: found {value!r:.60}, need an object")
    return value


def _id(value: Any, name: str, count: int) -> int:
    if type(value) is not int or not 0 <= value < count:
        raise _damaged(f"{name}: found {value!r:.60}, need a whole number from 0 to {count - 1}")
    return value


def _number(value: Any, name: str, most: int) -> int:
    """Return a whole number that is not above a limit of textclf."""
    if type(value) is not int or value < 0:
        raise _damaged(f"{name}: found {value!r:.60}, need a whole number from 0 to {most}")
    if value > most:
        raise _not_supported(f"{name} {value!r:.60}", f"0 to {most}")
    return value


def _check_keys(value: Mapping[str, Any], known: str, name: str) -> None:
    if unknown := sorted({*value} - {"type", *known.split()}):
        raise _not_supported(f"{name} with {unknown[0]!r:.60}", known.replace(" ", ", ") or "no setting")


def _damaged(problem: str) -> InvalidTokenizer:
    return InvalidTokenizer(f" is damaged: {problem}. {COPY}")


def _not_supported(what: str, supported: str) -> InvalidTokenizer:
    return InvalidTokenizer(f": {what} is not supported; supported: {supported}. Take another encoder.")
