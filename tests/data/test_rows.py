"""Rows are what their file says: nothing is cast, guessed, padded or dropped on the way to a verifier."""

import gzip
import json

import pytest

from grpo_kit.config import DataConfig, FieldMap
from grpo_kit.data import rows as data_rows
from grpo_kit.data.datasets import DatasetSource
from grpo_kit.data.rows import read_file, read_rows
from grpo_kit.errors import UserError

# What a typed column would change: numbers of two kinds, objects of two shapes, late columns, big integers, dates.
ODD = [
    {"prompt": "2+2=", "answer": 4},
    {"prompt": "1/2=", "answer": 0.5},
    {"prompt": "name", "answer": "x"},
    {"prompt": "big", "answer": 2**70},
    {"prompt": "list", "answer": [1, "a", None]},
    {"prompt": "one", "answer": {"a": 1}, "verifier": "json_schema"},
    {"prompt": "two", "answer": {"b": [1.0, 2]}},
    {"prompt": "date", "answer": "2024-01-02"},
    {"prompt": "yes", "answer": True},
]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def same(found, wanted):
    assert [dict(row) for row in found] == wanted
    kinds = [type(row["answer"]) for row in found]
    assert kinds == [type(row["answer"]) for row in wanted]


WRITERS = {
    "a.jsonl": lambda p: p.write_text(lines(ODD)),
    "a.JSONL": lambda p: p.write_text(lines(ODD)),
    "a.ndjson": lambda p: p.write_text(lines(ODD).replace("\n", "\r\n")),
    "bom.jsonl": lambda p: p.write_text("\ufeff" + lines(ODD)),
    "a.jsonl.gz": lambda p: p.write_bytes(gzip.compress(lines(ODD).encode())),
    "a.json": lambda p: p.write_text(json.dumps(ODD)),
    "in_an_object.json": lambda p: p.write_text(json.dumps({"version": 1, "data": ODD})),
    "lines.json": lambda p: p.write_text(lines(ODD)),
    "bom.json": lambda p: p.write_text("\ufeff" + json.dumps(ODD, indent=1)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_json_stays_as_it_is_written(tmp_path, name):
    WRITERS[name](tmp_path / name)
    rows = read_rows(str(tmp_path / name), "data")
    same(rows, ODD)
    assert rows.column_names == ["prompt", "answer", "verifier"]
    source = DatasetSource(DataConfig(path=str(tmp_path / name)))
    assert [type(source.task(i).answer) for i in range(source.size)] == [type(row["answer"]) for row in ODD]
    assert source.task(5).meta == {"verifier": "json_schema"}  # a column that the first row lacks
    assert source.task(0).meta == {}


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("a.tsv", "\t"), ("A.CSV", ",")])
def test_cells_of_a_table_are_text(tmp_path, name, mark):
    cells = ["007", "NA", "None", "null", "0.10", "1e5", "5", "", "nan", "TRUE", "a,b", "1\n2"]
    text = mark.join(["prompt", "answer"]) + "\n" + "".join(f'q{i}{mark}"{cell}"\n' for i, cell in enumerate(cells))
    (tmp_path / name).write_text("\ufeff" + text)
    assert [row["answer"] for row in read_rows(str(tmp_path / name), "data")] == cells


def test_parquet_is_what_it_declares(tmp_path):
    import pyarrow
    import pyarrow.parquet

    folder = tmp_path / "subset=main"  # a name that opening by path would take for a column
    folder.mkdir()
    rows = [{"prompt": "a", "answer": 1}, {"prompt": "b", "answer": 2}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "a.parquet")
    assert [dict(r) for r in read_rows(str(folder / "a.parquet"), "data")] == rows


def test_a_folder_is_read_by_split(tmp_path):
    (tmp_path / "train-00000.jsonl").write_text(lines(ODD[:2]))
    (tmp_path / "train-00001.jsonl").write_text(lines(ODD[2:]))
    (tmp_path / "test.json").write_text(json.dumps(ODD[:1]))
    same(read_rows(str(tmp_path), "data"), ODD)
    same(read_rows(str(tmp_path), "data", split="test"), ODD[:1])
    with pytest.raises(UserError, match=r"data\.split: .* has no file for the split 'dev'; it has: test\.json"):
        read_rows(str(tmp_path), "data", split="dev")


def test_a_folder_with_one_file_needs_no_name(tmp_path):
    (tmp_path / "problems.jsonl").write_text(lines(ODD))
    same(read_rows(str(tmp_path), "data"), ODD)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"prompt": "a"}\n{"prompt": \n', r"a\.jsonl:2: not valid JSON"),
        ("a.jsonl", b"[1]\n", r"a\.jsonl:1: every line must be a JSON object"),
        ("a.jsonl", b'{"prompt": "\xff"}\n', r"is not UTF-8 text: byte 12 is 0xff; save it as UTF-8"),
        ("a.jsonl.gz", b"no gzip", r"could not be read: Not a gzipped file"),
        ("a.json", b'"text"', r"a list of JSON objects is wanted"),
        ("a.json", b'[{"prompt": 1}, 2]', r"row 1 is no JSON object: 2"),
        ("a.csv", b"prompt,answer\na,1\nb,2,3\n", r"a\.csv:3: 3 cells, and the header has 2"),
        ("a.csv", b"prompt,prompt\na,1\n", r"the header has two columns 'prompt'"),
        ("a.csv", b'prompt,answer\n"a,1\n', r"a\.csv:\d+: unexpected end of data"),
        ("a.parquet", b"PAR2", r"could not be read"),
        ("a.txt", b"a", r"is a file of no kind that is read here; those end in \.jsonl"),
        ("a.zip", b"a", r"is a file of no kind that is read here"),
    ],
)
def test_what_cannot_be_read_says_where_and_what_to_do(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_rows(str(tmp_path / name), "data")


@pytest.mark.parametrize("kind", [".jsonl", ".json", ".csv"])
def test_what_a_packed_file_unpacks_to_is_bounded(tmp_path, monkeypatch, kind):
    path = tmp_path / f"a{kind}.gz"
    path.write_bytes(gzip.compress(b"\n" * 200_000))
    monkeypatch.setattr(data_rows, "MOST_UNPACKED", 100_000)
    with pytest.raises(UserError, match=rf"a\{kind}\.gz unpacks to more than"):
        read_rows(str(path), "data")


def test_objects_by_name_are_rows(tmp_path):
    (tmp_path / "a.json").write_text('{"first": {"prompt": "1 + 1"}, "second": {"prompt": "2 + 2", "id": "own"}}')
    found = read_rows(str(tmp_path / "a.json"), "data")
    assert list(found) == [{"id": "first", "prompt": "1 + 1"}, {"id": "own", "prompt": "2 + 2"}]


def test_so_many_rows_and_no_further(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"b": 2}\nno json\n')
    found = read_file(tmp_path / "a.jsonl", limit=2)
    assert (list(found), found.column_names) == ([{"a": 1}, {"b": 2}], ["a", "b"])


def test_deeply_nested_json_is_an_error_and_no_crash(tmp_path):
    (tmp_path / "a.jsonl").write_text("[" * 100_000 + "\n")
    with pytest.raises(UserError, match=r"a\.jsonl:1"):
        read_rows(str(tmp_path / "a.jsonl"), "data")


def source(tmp_path, rows, **settings):
    (tmp_path / "a.jsonl").write_text(lines(rows))
    return DatasetSource(DataConfig(path=str(tmp_path / "a.jsonl"), **settings))


def test_columns_that_are_not_there_are_named_early(tmp_path):
    with pytest.raises(UserError, match=r"data\.fields\.id: .* has no column 'uid'"):
        source(tmp_path, ODD, fields=FieldMap(id="uid"))
    with pytest.raises(UserError, match="prompt and answer are both 'prompt'"):
        source(tmp_path, ODD, fields=FieldMap(answer="prompt"))
    with pytest.raises(UserError, match="row 1 has no 'answer'; it has: prompt"):
        source(tmp_path, [ODD[0], {"prompt": "b"}]).task(1)


def test_a_pattern_whose_group_took_no_part_finds_nothing(tmp_path):
    found = source(tmp_path, [{"prompt": "a", "answer": "no answer"}], answer_pattern="#### (.+)|no answer")
    with pytest.raises(UserError, match="finds nothing in row 0"):
        found.task(0)


def test_a_question_in_several_columns(tmp_path):
    rows = [{"Body": " Ann has 3 apples.", "Question": "How many? ", "Answer": 3.0}]
    settings = {"prompt_columns": ("Body", "Question"), "fields": FieldMap(answer="Answer")}
    task = source(tmp_path, rows, **settings).task(0)
    assert (task.prompt, task.answer) == ("Ann has 3 apples. How many?", 3.0)
    with pytest.raises(UserError, match=r"data\.prompt_columns: .* has no column 'Qestion'; .* Did you mean Question"):
        source(tmp_path, rows, **settings | {"prompt_columns": ("Body", "Qestion")})


def test_rows_without_an_answer_can_be_left_out(tmp_path):
    rows = [
        {"prompt": "a", "answer": "2 (apples)"},
        {"prompt": "b", "answer": "none"},
        {"prompt": "c", "answer": "7 (cm)"},
    ]
    pattern = {"answer_pattern": r"^(-?[\d.]+)"}
    with pytest.raises(UserError, match=r"finds nothing in row 1.*leave such rows out with data\.unmatched=skip"):
        source(tmp_path, rows, **pattern).task(1)
    kept = source(tmp_path, rows, **pattern, unmatched="skip")
    assert [kept.task(i).answer for i in range(kept.size)] == ["2", "7"]
    assert kept.skipped == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("semicolons.csv", '\ufeffprompt;answer\r\n"1,5 + 1";"2,5"\r\nb;007\r\n'),
        ("tabs.csv", "prompt\tanswer\n1,5 + 1\t2,5\nb\t007\n"),
        ("said.csv", 'sep=;\r\nprompt;answer\r\n"1,5 + 1";2,5\r\nb;007\r\n'),
        ("empty_column.csv", 'prompt,answer,\r\n"1,5 + 1","2,5",\r\nb,007,\r\n'),
        ("quoted.csv", '"prompt";"answer"\n"1,5 + 1";"2,5"\n"b";"007"\n'),
        ("columns.json", '{"prompt": ["1,5 + 1", "b"], "answer": ["2,5", "007"]}'),
        ("numbered.json", '{"prompt": {"0": "1,5 + 1", "1": "b"}, "answer": {"0": "2,5", "1": "007"}}'),
    ],
)
def test_what_spreadsheets_and_table_libraries_write(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    rows = read_rows(str(tmp_path / name), "data")
    assert list(rows) == [{"prompt": "1,5 + 1", "answer": "2,5"}, {"prompt": "b", "answer": "007"}]


def test_columns_of_answers_that_are_objects_and_of_conversations(tmp_path):
    asked = [[{"role": "user", "content": "a"}], [{"role": "user", "content": "b"}]]
    tests = [{"kind": "assert"}, {"kind": "stdin"}]
    (tmp_path / "x.json").write_text(json.dumps({"prompt": asked, "answer": tests}))
    assert list(read_rows(str(tmp_path / "x.json"), "data")) == [
        {"prompt": p, "answer": a} for p, a in zip(asked, tests, strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "x.json",
            '{"prompt": ["a", "b"], "answer": ["1"]}',
            "columns of one length are wanted, found prompt 2, answer 1",
        ),
        ("x.csv", "prompt;answer\na;1;2\n", "3 cells, and the header has 2; put cells that hold a semicolon"),
        ("x.csv", ",prompt,answer\n0,a,1\n", "a column without a name; give it one, or leave it out"),
    ],
)
def test_tables_that_are_not_clear_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        read_rows(str(tmp_path / name), "data")


def test_a_folder_of_numbered_parts_is_one_table(tmp_path):
    for part in range(3):
        (tmp_path / f"part-0000{part}-c000.jsonl").write_text(json.dumps({"prompt": str(part), "answer": "1"}) + "\n")
    assert [row["prompt"] for row in read_rows(str(tmp_path), "data")] == ["0", "1", "2"]
    with pytest.raises(UserError, match=r"data\.split: .* has no file for the split 'tset'"):
        read_rows(str(tmp_path), "data", split="tset")
