"""Rows of a file of cases: their places, and what ends a row."""

import json

import pytest

from grpo_kit.runtime.case_file import read_case_file


def test_only_a_line_feed_ends_a_row(tmp_path):
    path = tmp_path / "cases.jsonl"
    text = "one\u2028two\u0085three\x0bfour"
    path.write_text(json.dumps({"answer": text}, ensure_ascii=False).replace("\\u000b", "\x0b") + "\n\n{}\n", "utf-8")
    with pytest.raises(ValueError, match=r"cases.jsonl:1: not JSON"):  # a control character in a string is none
        list(read_case_file(path))
    path.write_text(json.dumps({"answer": text.replace("\x0b", "")}, ensure_ascii=False) + "\r\n\n{}\n", "utf-8")
    assert [(where.rpartition(":")[2], row) for where, _, row in read_case_file(path)] == [
        ("1", {"answer": text.replace("\x0b", "")}),
        ("3", {}),
    ]


def test_a_file_without_rows_is_said(tmp_path):
    path = tmp_path / "cases.jsonl"
    path.write_text("\n \n")
    with pytest.raises(ValueError, match="holds no cases"):
        list(read_case_file(path))
