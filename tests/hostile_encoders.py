"""Folders of pretrained encoders that are damaged, hostile or not supported, each with the message that refuses it."""

from tiny_encoders import (
    BAD_FILES,
    CONFIG,
    DAMAGED_WEIGHTS,
    OTHER_FOLDERS,
    TOKENIZER,
    WEIGHTS,
    Cases,
    characters_map,
    config,
    content,
    of_family,
    pieces,
    without,
)

DAMAGED_CONFIGS: Cases = {
    "an empty config": (content(CONFIG, b""), "Expecting value: line 1 column 1 (char 0)"),
    "many levels": (content(CONFIG, b"[" * 100_000), "nested too deeply"),
    "a list": (content(CONFIG, b"[]"), "found [], need an object"),
    "NaN": (config("layer_norm_eps", float("nan")), "NaN is no number"),
    "no size": (without("num_hidden_layers"), "it lacks num_hidden_layers"),
    "positions of padding only": (
        of_family("roberta", config("max_position_embeddings", 3)),
        "max_position_embeddings: found 3, need a whole number from 4 to 8194",
    ),
    "heads that do not fit": (
        config("num_attention_heads", 3),
        "hidden_size: found 16, need a multiple of num_attention_heads, which is 3",
    ),
    **{
        f"{key} {value!r}": (config(key, value), f"{key}: found {value!r}, need a {needed}")
        for key, value, needed in (
            ("hidden_size", "16", "whole number from 1 to 4096"),
            ("num_attention_heads", True, "whole number from 1 to 64"),
            ("num_hidden_layers", 2.0, "whole number from 1 to 48"),
            ("intermediate_size", 0, "whole number from 1 to 16384"),
            ("max_position_embeddings", 1, "whole number from 2 to 8192"),
            ("layer_norm_eps", 0.0, "number from 1e-15 to 0.01"),
        )
    },
}
FOREIGN_CONFIGS: Cases = {
    f"{key} {value!r}": (config(key, value), f"{key} {value!r} is not supported; supported: {supported}")
    for key, value, supported in (
        ("model_type", "deberta-v2", "bert, distilbert, roberta, xlm-roberta"),
        ("model_type", None, "bert, distilbert, roberta, xlm-roberta"),
        ("hidden_act", "gelu_new", '"gelu"'),
        ("position_embedding_type", "relative_key", '"absolute"'),
        ("is_decoder", True, "false"),
        ("quantization_config", {"bits": 8}, "null"),
        ("embedding_size", 8, "hidden_size, which is 16"),
        ("num_hidden_layers", 10**9, "1 to 48"),
        ("vocab_size", 1_000_001, "1 to 1000000"),
        ("layer_norm_eps", 0.5, "1e-15 to 0.01"),
    )
}
DAMAGED_TOKENIZERS: Cases = {
    "no JSON": (
        content(TOKENIZER, b"{"),
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ),
    "a deep tokenizer": (content(TOKENIZER, b"[" * 1_000_000), "nested too deeply"),
    "millions of lists": (content(TOKENIZER, b"[" + b"[]," * (1 << 21)), "more values than any tokenizer has"),
    "no model": (pieces("model", value=None), "model: found None, need an object"),
    "no piece": (pieces("model", "vocab", value={}), "model.vocab: need one piece at least, and ids from 0 to 999999"),
    "an id below 0": (
        pieces("model", "vocab", "a", value=-1),
        "model.vocab: need one piece at least, and ids from 0 to 999999",
    ),
    "no unknown piece": (
        pieces("model", "unk_token", value="[WHAT]"),
        "model.unk_token: found '[WHAT]', need a piece of model.vocab",
    ),
    "a limit of words that is text": (
        pieces("model", "max_input_chars_per_word", value="100"),
        "model.max_input_chars_per_word: found '100', need a whole number from 0 to 200",
    ),
    "steps that are no list": (
        pieces("normalizer", value={"type": "Sequence", "normalizers": {}}),
        "normalizer: found {}, need a list of steps",
    ),
    "added tokens that are no list": (
        pieces("added_tokens", value={"[PAD]": 0}),
        "added_tokens: found {'[PAD]': 0}, need a list",
    ),
    "a merge of no piece": (
        of_family("roberta", pieces("model", "merges", 0, value=["\u0120", "~~"])),
        "Token `~~` out of vocabulary",
    ),
    "an endless score": (
        of_family("xlm-roberta", pieces("model", "vocab", 5, 1, value=-1e300)),
        "model.vocab: need a list of 1 to 1000000 pieces, each with a score",
    ),
    "an unknown piece out of range": (
        of_family("xlm-roberta", pieces("model", "unk_id", value=50)),
        "model.unk_id: found 50, need a whole number from 0 to 49",
    ),
    "an added token of another id": (
        pieces("added_tokens", 0, "id", value=7),
        "added_tokens: '[PAD]' has the id 7, and should have 0",
    ),
    "an empty added token": (
        pieces("added_tokens", 0, "content", value=""),
        "added_tokens[0].content: found '', need 1 to 512 characters",
    ),
    "half a character": (pieces("added_tokens", 0, "content", value="\ud800"), "unexpected end of hex escape"),
    **{
        f"a map {name}": (
            of_family("xlm-roberta", pieces("normalizer", "precompiled_charsmap", value=characters)),
            "normalizer Precompiled: its precompiled_charsmap leads out of its own table",
        )
        for name, characters in {
            "that is no base64": "?",
            "whose trie leads out of it": characters_map(base=60_000),
            "whose leaf leads out of it": characters_map(place=2),
            "that needs gigabytes": "/////w==",
            "that is null": None,
        }.items()
    },
    "a special piece that is not listed": (
        pieces("post_processor", "special_tokens", value={}),
        "post_processor.special_tokens: found None, need an object",
    ),
    "a special piece out of range": (
        pieces("post_processor", "special_tokens", "[CLS]", "ids", value=[74]),
        "post_processor: found 74, need a whole number from 0 to 73",
    ),
    "a template without a text": (
        pieces("post_processor", "single", value=[]),
        "post_processor.single: need one text, and a few special pieces",
    ),
}
FOREIGN_TOKENIZERS: Cases = {
    "an unknown setting": (
        pieces("model", "script", value="x"),
        "model with 'script' is not supported; supported: vocab, unk_token, continuing_subword_prefix, "
        "max_input_chars_per_word",
    ),
    "a setting of a step that has none": (
        pieces("normalizer", value={"type": "NFC", "script": "x"}),
        "normalizer NFC with 'script' is not supported; supported: no setting",
    ),
    "an id out of range": (
        pieces("model", "vocab", "a", value=4_294_967_295),
        "model.vocab with the id 4294967295 is not supported; supported: 0 to 999999",
    ),
    "endless words": (
        pieces("model", "max_input_chars_per_word", value=10**9),
        "model.max_input_chars_per_word 1000000000 is not supported; supported: 0 to 200",
    ),
    "a long prefix": (
        pieces("model", "continuing_subword_prefix", value="#" * 17),
        "model.continuing_subword_prefix '#################' is not supported; supported: at most 16 characters",
    ),
    "a prefix in BPE": (
        of_family("roberta", pieces("model", "continuing_subword_prefix", value="##")),
        "model.continuing_subword_prefix '##' is not supported; supported: at most 0 characters",
    ),
    "a long piece to prepend": (
        pieces("normalizer", value={"type": "Prepend", "prepend": "#" * 17}),
        "normalizer Prepend.prepend '#################' is not supported; supported: at most 16 characters",
    ),
    "a long added token": (
        pieces("added_tokens", 0, "content", value="x" * 513),
        f"added_tokens[0].content '{'x' * 59} is not supported; supported: at most 512 characters",
    ),
    "an added token of a huge id": (
        pieces("added_tokens", 0, "id", value=10**6),
        "added_tokens[0].id 1000000 is not supported; supported: 0 to 999999",
    ),
    "thousands of added tokens": (
        pieces("added_tokens", value=[{}] * 10_001),
        "added_tokens with 10001 entries is not supported; supported: at most 10000",
    ),
    "many steps": (
        pieces("normalizer", value={"type": "Sequence", "normalizers": [{"type": "NFC"}] * 17}),
        "normalizer with 17 steps is not supported; supported: at most 16",
    ),
    "another model": (
        pieces("model", "type", value="WordLevel"),
        "model.type 'WordLevel' is not supported; supported: WordPiece, BPE, Unigram",
    ),
    "a model that is a list": (
        pieces("model", "type", value=["BPE"]),
        "model.type ['BPE'] is not supported; supported: WordPiece, BPE, Unigram",
    ),
    "pieces at random": (
        of_family("roberta", pieces("model", "dropout", value=0.5)),
        "model.dropout 0.5, which splits at random, is not supported; supported: null",
    ),
    "an unknown normalizer": (
        pieces("normalizer", value={"type": "Python"}),
        "normalizer 'Python' is not supported; supported: BertNormalizer, Precompiled, NFC, NFD, NFKC, NFKD, Nmt, "
        "Lowercase, StripAccents, Strip, Replace, Prepend",
    ),
    "a catastrophic regular expression": (
        pieces("normalizer", value={"type": "Replace", "pattern": {"Regex": "(a*)*b"}, "content": ""}),
        "normalizer Replace.pattern {'Regex': '(a*)*b'} is not supported; supported: a String, or a Regex of (' "
        "{2,}', '\\\\s+')",
    ),
    "one in a splitter": (
        pieces("pre_tokenizer", value={"type": "Split", "pattern": {"Regex": "(a*)*b"}, "behavior": "Isolated"}),
        "pre_tokenizer Split.pattern {'Regex': '(a*)*b'} is not supported; supported: a String, or a Regex of (' "
        "{2,}', '\\\\s+')",
    ),
    "texts that grow": (
        pieces("normalizer", value={"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}),
        "normalizer Replace.content 'aa' is not supported; supported: text that is no longer than the pattern",
    ),
    "bytes of bytes of bytes": (
        pieces("pre_tokenizer", value={"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}] * 2}),
        "pre_tokenizer with ByteLevel twice is not supported; supported: each once",
    ),
    "no special pieces": (
        pieces("post_processor", value=None),
        "post_processor without special pieces is not supported; supported: BertProcessing, RobertaProcessing, "
        "TemplateProcessing, Sequence",
    ),
    "another token type": (
        pieces("post_processor", "single", 1, value={"Sequence": {"id": "A", "type_id": 1}}),
        "post_processor.single {'Sequence': {'id': 'A', 'type_id': 1}} is not supported; supported: pieces of "
        "type_id 0",
    ),
}
CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE = (f"{{folder}}/{name}" for name in (CONFIG, WEIGHTS, TOKENIZER))


def damaged(file: str, cases: Cases) -> Cases:
    """Complete the messages of files that are damaged."""
    return {
        f"{file[9:]}: {name}": (damage, f"{file} is damaged: {problem}. Copy the folder again.")
        for name, (damage, problem) in cases.items()
    }


def foreign(file: str, cases: Cases) -> Cases:
    """Complete the messages of encoders that are not supported."""
    return {
        f"{file[9:]}: {name}": (damage, f"{file}: {problem}. Take another encoder.")
        for name, (damage, problem) in cases.items()
    }


HOSTILE: Cases = {
    **damaged(CONFIG_FILE, DAMAGED_CONFIGS),
    **foreign(CONFIG_FILE, FOREIGN_CONFIGS),
    **damaged(WEIGHTS_FILE, DAMAGED_WEIGHTS),
    **damaged(TOKENIZER_FILE, DAMAGED_TOKENIZERS),
    **foreign(TOKENIZER_FILE, FOREIGN_TOKENIZERS),
    **OTHER_FOLDERS,
    **BAD_FILES,
}
