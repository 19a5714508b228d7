"""From the command line's words to texts, and the sentences where there are none."""

import json
import subprocess
import sys
import time
from pathlib import Path

from mlxterp_engine.corpora.builtin import builtin
from mlxterp_engine.corpora.own_texts import OwnTexts, own_texts
from mlxterp_engine.corpora.reading import Enough, Wanted, check, read
from mlxterp_engine.experiments import BadInput

import pytest

LITTLE = Enough(10, 10, lambda text: len(text.split()))


def run(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def said(texts) -> list[str]:
    return [text.text for text in texts]


def lines(path: Path, rows) -> str:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return str(path)


@pytest.fixture
def rows() -> list[dict]:
    return [{"text": f"the text in row {n}", "n": n} for n in range(40)]


def test_without_a_word_it_is_the_corpus_that_comes_with_python():
    assert run(read(Wanted(), LITTLE)) == builtin()


def test_text_files_are_texts_and_lines_of_jsonl_are_texts(tmp_path, rows):
    plain = tmp_path / "a.txt"
    plain.write_text("A text.", encoding="utf-8")
    corpus = run(read(Wanted([str(plain), lines(tmp_path / "b.jsonl", rows)]), LITTLE))
    assert len(corpus.training) + len(corpus.held_out) == 41
    assert "A text." in said(corpus.training + corpus.held_out)
    assert "41 texts; 5 of 41 texts, by their SHA-256, are held out" in corpus.description
    assert corpus.sha256 == run(read(Wanted(corpus.name.split()), LITTLE)).sha256


def test_files_to_hold_out_are_held_out(tmp_path, rows):
    train, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    wanted = Wanted([lines(train, rows)], None, [lines(test, rows[:2])])
    corpus = run(read(wanted, LITTLE))
    assert said(corpus.held_out) == [row["text"] for row in rows[:2]]
    assert said(corpus.training) == [row["text"] for row in rows[2:]]


def test_what_builtin_holds_out_can_be_held_out_for_other_texts(tmp_path, rows):
    wanted = Wanted([lines(tmp_path / "a.jsonl", rows)], None, ["builtin"])
    assert run(read(wanted, LITTLE)).held_out == builtin().held_out


def test_the_only_field_that_holds_a_string_is_the_text(tmp_path, rows):
    renamed = [{"body": row["text"], "n": row["n"]} for row in rows]
    corpus = run(read(Wanted([lines(tmp_path / "a.jsonl", renamed)]), LITTLE))
    assert "the text in row 0" in said(corpus.training + corpus.held_out)


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        ("a.txt", b"", "is empty; give a file with text in it"),
        ("a.txt", b" \n\n ", "is empty"),
        ("a.txt", b"text\x00text", "is no text: byte 4 is NUL"),
        ("a.txt", b"caf\xe9", "is no UTF-8 at byte 3; convert it"),
        ("a.txt", b"word", "without two different paragraphs"),
        ("a.jsonl", b"", "is empty"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "line 2 of corpus .* is no JSON"),
        ("a.jsonl", b"[1, 2]", "line 1 of corpus .* is no object"),
        ("a.jsonl", b'{"a": "x", "b": "y"}', "2 fields with strings .fields: 'a', 'b'.; name the"),
        ("a.jsonl", b'{"a": 1}', "no field with a string"),
        ("a.jsonl", b'{"text": "a"}\n{"text": 3}', "line 2 .* the field 'text' is int, no string"),
        ("a.jsonl", b'{"text": "a"}\n{"body": "b"}', "the field 'text' is not there"),
    ],
)
def test_a_file_that_gives_no_texts_is_refused_by_name(tmp_path, name, data, complaint):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(BadInput, match=complaint):
        run(read(Wanted([str(path)]), LITTLE))


def test_what_can_be_seen_without_reading_is_refused_before(tmp_path):
    with pytest.raises(BadInput, match=r"can't be read \(No such file"):
        check(Wanted([str(tmp_path / "missing.txt")]))
    with pytest.raises(BadInput, match="is a folder; name the files in it"):
        check(Wanted([str(tmp_path)]))
    with pytest.raises(BadInput, match="'builtin' stands alone"):
        check(Wanted(["builtin", "a.txt"]))
    with pytest.raises(BadInput, match="can be trained on alone"):
        check(Wanted(held_out=["self"]))
    with pytest.raises(BadInput, match="NAME:CONFIG:SPLIT"):
        check(Wanted(dataset="a:b:c:d"))


# The library `datasets`.


def test_a_local_dataset_is_read_as_far_as_is_needed(tmp_path, rows):
    corpus = run(read(Wanted(dataset=lines(tmp_path / "a.jsonl", rows)), LITTLE))
    words = [sum(len(text.split()) for text in said(part)) for part in corpus[2:]]
    assert all(10 <= count < 20 for count in words)
    assert "1 text in 10, by its SHA-256, is held out" in corpus.description


def test_more_of_a_dataset_moves_no_text_to_the_other_side(tmp_path):
    many = [{"text": f"text {n}"} for n in range(300)]
    wanted = Wanted(dataset=lines(tmp_path / "a.jsonl", many))
    less, more = (run(read(wanted, LITTLE._replace(training=n))) for n in (20, 200))
    assert set(said(less.training)) < set(said(more.training))
    assert not set(said(less.held_out)) & set(said(more.training))


def test_folders_saved_sets_and_tables_are_datasets_too(tmp_path, rows):
    import datasets

    datasets.DatasetDict({"test": datasets.Dataset.from_list(rows)}).save_to_disk(tmp_path / "set")
    (tmp_path / "folder").mkdir()
    lines(tmp_path / "folder" / "train.jsonl", rows)
    datasets.Dataset.from_list(rows).to_csv(tmp_path / "table.csv")
    for name in ("set", "folder", "table.csv"):
        corpus = run(read(Wanted(dataset=str(tmp_path / name)), LITTLE))
        assert set(said(corpus.training)) <= {row["text"] for row in rows}


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("empty", "can't be read"),
        ("bad.parquet", "can't be read .*[Pp]arquet"),
        ("what.docx", "is a file of an unknown kind"),
        ("two.jsonl", "2 fields with strings"),
        ("folder:wrong", "can't be read .*not found"),
        ("folder::test", "has no split 'test'; it has train"),
        ("missing", "is not there"),
    ],
)
def test_a_dataset_that_gives_no_texts_is_refused_in_one_sentence(tmp_path, rows, name, complaint):
    for folder in ("empty", "folder"):
        (tmp_path / folder).mkdir()
    lines(tmp_path / "folder" / "train.jsonl", rows)
    lines(tmp_path / "two.jsonl", [{"a": "x", "b": "y"}])
    for file in ("bad.parquet", "what.docx"):
        (tmp_path / file).write_text("words")
    with pytest.raises(BadInput, match=complaint) as refused:
        run(read(Wanted(dataset=str(tmp_path / name)), LITTLE))
    assert "\n" not in str(refused.value)


def test_nothing_heavy_is_loaded_before_it_is_asked_for():
    code = (
        "import sys, mlxterp_engine.corpora.reading\n"
        "print([n for n in ('datasets', 'pandas', 'numpy', 'mlx') if n in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set; unset it"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "the hub cannot be reached for dataset"),
    ],
)
def test_no_hub_is_one_sentence_within_seconds(tmp_path, settings, complaint):
    code = (
        "from mlxterp_engine.corpora.dataset import stream\n"
        "try: next(stream('nobody/nothing'))\n"
        "except ValueError as error: print(error)"
    )
    began = time.perf_counter()
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={"HF_HOME": str(tmp_path), "PATH": "", "HOME": str(tmp_path)} | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert complaint in answer.stdout
    assert time.perf_counter() - began < 30


# The model's own texts.


def sampled(calls: list[int], sha256: str = "ab" * 32) -> OwnTexts:
    def sample(group: int):
        calls.append(group)
        yield 1
        return [f"group {group} text {n}" for n in range(4)]

    return OwnTexts(sample, sha256, seed=0, group=4, tokens=8, manner="at temperature 1")


def test_the_models_own_texts_are_sampled_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path))
    calls: list[int] = []
    first = run(own_texts(sampled(calls), 2))
    more = run(own_texts(sampled(calls), 3))
    assert calls == [0, 1, 2]
    assert more[:8] == first
    assert more[9].title == "self 9"


def test_other_weights_have_texts_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path))
    calls: list[int] = []
    for sha256 in ("ab" * 32, "cd" * 32):
        run(own_texts(sampled(calls, sha256), 1))
    assert calls == [0, 0]


def test_a_group_that_was_cut_off_in_the_middle_of_its_write_is_sampled_again(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path))
    whole = run(own_texts(sampled([]), 3))
    path = sampled([]).path
    path.write_bytes(path.read_bytes()[:-5])
    calls: list[int] = []
    for _ in range(2):  # the second time from the file
        assert run(own_texts(sampled(calls), 3)) == whole
    assert calls == [2]


def test_training_on_its_own_texts_says_how_they_were_sampled(tmp_path, monkeypatch):
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path))
    corpus = run(read(Wanted(["self"]), Enough(100, 20, len), sampled([])))
    assert corpus.description.startswith("texts that the model wrote, at temperature 1, seed 0; ")
    assert len(corpus.training) + len(corpus.held_out) == 16


def test_the_models_own_texts_need_a_model():
    with pytest.raises(BadInput, match="here is no model to write texts"):
        run(read(Wanted(["self"]), LITTLE))
