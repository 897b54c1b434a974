"""Word vectors from the files of GloVe, word2vec and fastText."""

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import textclf

from textclf.errors import UserError
from textclf.text.encoding import PADDING, RESERVED, UNKNOWN
from textclf.text.vectors import WordVectors, read_vectors, vector_words

VOCABULARY = ["good", "film", "café"]
GLOVE = "the 0 0\nfilm 1 -2.5\ncafé 3e-1 4\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def zipped(**members: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def read(content: str | bytes, name: str = "v.txt", *, dimensions: int = 2, seed: int = 1) -> WordVectors:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_vectors(Path(name), VOCABULARY, dimensions=dimensions, seed=seed)


SAME_VECTORS = {
    "GloVe": ("v.txt", GLOVE),
    "word2vec with its header": ("v.txt", f"3 2\n{GLOVE}"),
    "fastText": ("v.vec", "3 2\n" + GLOVE.replace("\n", " \n")),
    "CRLF": ("v.txt", GLOVE.replace("\n", "\r\n")),
    "no last newline": ("v.txt", GLOVE.rstrip()),
    "a header with blanks": ("v.txt", f"  3  2\n{GLOVE}"),
    "tabs": ("v.txt", "3\t2\n" + GLOVE.replace(" ", "\t")),
    "a tab behind the word": ("v.txt", "the\t0 0\nfilm\t1 -2.5\ncafé\t3e-1 4\n"),
    "commas": ("v.csv", GLOVE.replace(" ", ",")),
    "semicolons and decimal commas": ("v.csv", "the;0;0\nfilm;1;-2,5\ncafé;0,3;4,0\n"),
    "decimal commas": ("v.txt", "the 0 0\nfilm 1 -2,5\ncafé 0,3 4,0\n"),
    "words that hold blanks": ("v.txt", f". . 1 2\nfilm star 1 2\n{GLOVE}. . . 1 2\n"),
    "short lines": ("v.txt", f"good\nfilm 1\ncafé 1 2 3\n{GLOVE}"),
    "blank lines": ("v.txt", f"\n{GLOVE}\n"),
    "a word twice, of which the first counts": ("v.txt", f"{GLOVE}film 9 9\n"),
    "gzip": ("v.txt.gz", gzip.compress(GLOVE.encode())),
    "zip": ("v.zip", zipped(**{"v.txt": GLOVE})),
    "zip with a folder": ("v.zip", zipped(**{"vectors/": "", "vectors/v.txt": GLOVE})),
}


@pytest.mark.parametrize(("name", "content"), SAME_VECTORS.values(), ids=SAME_VECTORS.keys())
def test_vectors_are_the_same_in_every_file_format(name: str, content: str | bytes) -> None:
    vectors = read(content, name)
    assert vectors.known_count == 2
    assert (vectors.table.shape, vectors.table.dtype) == ((3 + RESERVED, 2), np.float32)
    assert vectors.table[RESERVED + 1 :].tolist() == [[1, -2.5], [np.float32(0.3), 4]]


def test_the_first_word_may_be_a_number() -> None:
    Path("v.txt").write_text("1 5 6\n2 7 8\n")
    vectors = read_vectors(Path("v.txt"), ["1", "2"], dimensions=2, seed=1)
    assert vectors.table[RESERVED:].tolist() == [[5, 6], [7, 8]]


def test_padding_is_zero_and_unknown_the_mean() -> None:
    table = read(GLOVE).table
    assert table[PADDING].tolist() == [0, 0]
    assert table[UNKNOWN] == pytest.approx(table[RESERVED + 1 :].mean(axis=0))


def test_vectors_of_missing_words_have_the_standard_deviation_of_the_others() -> None:
    known = np.random.default_rng(7).normal(0, 3, (50, 200))
    lines = [f"w{row} {' '.join(map(str, vector))}" for row, vector in enumerate(known)]
    Path("v.txt").write_text("\n".join(lines))
    vocabulary = [f"w{row}" for row in range(100)]
    vectors = read_vectors(Path("v.txt"), vocabulary, dimensions=200, seed=1)
    assert vectors.known_count == 50
    assert vectors.table[RESERVED + 50 :].std() == pytest.approx(3, rel=0.05)
    assert len(np.unique(vectors.table[RESERVED:], axis=0)) == 100


def test_random_vectors_depend_only_on_the_seed() -> None:
    first, again, other = (read(GLOVE, seed=seed).table for seed in (1, 1, 2))
    assert (first == again).all()
    assert [(first[row] == other[row]).all() for row in range(5)] == [True, True, False, True, True]


def test_the_order_of_the_file_does_not_matter() -> None:
    backwards = "\n".join(reversed(GLOVE.splitlines()))
    assert (read(GLOVE).table == read(backwards).table).all()


def test_lines_of_words_outside_the_vocabulary_are_not_checked() -> None:
    assert read(f"odd 1 x\n\xff\xfe\n. . . 1 2\n{GLOVE}").known_count == 2


BINARY = (
    "v.bin is binary. Save the vectors as text, such as gensim's "
    "KeyedVectors.load_word2vec_format(NAME, binary=True).save_word2vec_format(NEW_NAME)."
)
REFUSED = {
    "another number of dimensions": (
        "v.txt",
        "the 1\nfilm 1 2 3",
        "v.txt:2: a vector of 3 numbers, but model.embedding_dim is 2. Make them the same.",
    ),
    "binary vectors": ("v.bin", b"2 2\nfilm \x9b#\n>\xca`?1\n", BINARY),
    "fastText's binary file": ("v.bin", b"\xba\x16\x4f\x2f\x0c\0\0\0\n", BINARY),
    "gzip without its name": ("v.txt", gzip.compress(GLOVE.encode()), "v.txt is a gzip file. Add .gz to its name."),
    "zip without its name": ("v.txt", zipped(**{"v.txt": GLOVE}), "v.txt is a zip file. Unpack it."),
    "words in capitals": (
        "v.txt",
        GLOVE.title(),
        "v.txt has none of the 3 words of the vocabulary; its first words: The, Film, Café. Set text.lowercase: false.",
    ),
    "words with a prefix": (
        "v.txt",
        "2 2\n/c/en/film 1 2\n/c/en/good 3 4\n",
        "v.txt has none of the 3 words of the vocabulary; its first words: /c/en/film, /c/en/good. "
        "Is it in another language?",
    ),
    "no number": ("v.txt", "film 1 x\n", "v.txt:1: not a number: could not convert string to float: b'x'."),
    "NaN": ("v.txt", "film 1 nan\n", "v.txt:1: a number that is not finite."),
    "a number too large": ("v.txt", "film 1 1e50\n", "v.txt:1: a number that is not finite."),
    "none of the words": (
        "v.txt",
        "the 1 2\n",
        "v.txt has none of the 3 words of the vocabulary; its first words: the. Is it in another language?",
    ),
    "an empty file": ("v.txt", "", "v.txt has none of the 3 words of the vocabulary. Is it in another language?"),
    "no gzip": ("v.txt.gz", GLOVE, "v.txt.gz cannot be read: Not a gzipped file (b'th'). Set model.pretrained."),
    "gzip cut short": (
        "v.txt.gz",
        gzip.compress(GLOVE.encode())[:-4],
        "v.txt.gz cannot be read: Compressed file ended before the end-of-stream marker was reached. "
        "Set model.pretrained.",
    ),
    "no zip": ("v.zip", GLOVE, "v.zip cannot be read: File is not a zip file. Set model.pretrained."),
    "zip with two files": (
        "v.zip",
        zipped(**{"a.txt": GLOVE, "b.txt": ""}),
        "v.zip should hold one file, found 2: a.txt, b.txt. Unpack the one you mean.",
    ),
    "zip without a file": ("v.zip", zipped(), "v.zip should hold one file, found 0: none. Unpack the one you mean."),
}


@pytest.mark.parametrize(("name", "content", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_invalid_files_are_refused(name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(UserError) as refused:
        read(content, name)
    assert str(refused.value) == message


def check(vectors: str | bytes) -> tuple[int, str]:
    """Return exit code and stderr of `check` with word vectors."""
    Path("v.txt").write_bytes(vectors if isinstance(vectors, bytes) else vectors.encode())
    rows = "".join(f"a good film {row},yes\na bad film {row},no\n" for row in range(10))
    Path("rows.csv").write_text(f"text,label\n{rows}")
    Path("c.yaml").write_text("data: {train: rows.csv}\nmodel: {embedding_dim: 2, pretrained: v.txt}\n")
    result = textclf("check", "c.yaml")
    return result.exit_code, result.stderr


@pytest.mark.parametrize(
    "vectors",
    ["good 1 2\nbad 1 3\n", "\ufeff 2  2\ngood 1 2\n", "good\t1\t2\n", "good\t1 2\n", "good,1,2\n", "good 1,5 2,5\n"],
)
def test_check_reads_every_form(vectors: str) -> None:
    assert check(vectors) == (0, "")


def test_skipped_lines_are_counted() -> None:
    lines = [
        "\ufeffgood 1 2", ". . . 1 2", "film star 1 2", "bad 1 3", "good 7 7", "good", "bad 1", "film 1 2", "film 1",
    ]  # fmt: skip
    assert check("\n".join(lines)) == (
        0,
        "v.txt: skipped lines whose word holds a blank: 2, the first is line 2\n"
        "v.txt: skipped lines that repeat a word: 4, the first is line 5\n",
    )
    assert check("good 1 2\nbad 1\nfilm 1 2\n") == (
        0,
        "v.txt: skipped lines with more or fewer numbers: 1, the first is line 2\n",
    )


def test_vectors_of_another_length_are_refused_before_the_file_ends() -> None:
    words = [f"w{row}" for row in range(30)]
    Path("v.txt").write_text("".join(f"{word} 1 2 3\n" for word in words) + "w29 1 x\n")
    with pytest.raises(UserError) as refused:
        read_vectors(Path("v.txt"), words, dimensions=2, seed=1)
    assert str(refused.value) == "v.txt:1: a vector of 3 numbers, but model.embedding_dim is 2. Make them the same."


def test_words_of_further_vectors_are_those_of_the_file() -> None:
    Path("v.txt").write_text("2 2\ngood 1 2\nroute 66 1 2\napp store 1 2\nshort 1\n")
    assert list(vector_words(Path("v.txt"), dimensions=2)) == ["good"]


def test_a_zip_file_with_a_password_is_refused() -> None:
    content = bytearray(zipped(**{"v.txt": GLOVE}))
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(start) + flags] |= 1
    with pytest.raises(UserError) as refused:
        read(bytes(content), "v.zip")
    assert str(refused.value) == "v.zip asks for a password. Unpack it."


@pytest.mark.parametrize("name", ["nowhere.txt", "nowhere.zip", "nowhere.gz"])
def test_a_missing_file_is_refused(name: str) -> None:
    with pytest.raises(UserError) as refused:
        read_vectors(Path(name), VOCABULARY, dimensions=2, seed=1)
    problem = f"[Errno 2] No such file or directory: '{name}'"
    assert str(refused.value) == f"{name} cannot be read: {problem}. Set model.pretrained."
