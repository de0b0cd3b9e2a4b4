"""Tables of results as other programs write them."""

from __future__ import annotations

import pytest

from app.services.observation_tables import InvalidTable, read_table

ROWS = [("1.0", "1.0", "1.0", "0.86"), ("0.8", "1.0", "0.7", "0.79")]
PLAIN = "r,d,w,accuracy\n" + "".join(f"{','.join(row)}\n" for row in ROWS)
EXPECTED = [dict(zip(("r", "d", "w", "accuracy"), map(float, row), strict=True)) for row in ROWS]


@pytest.mark.parametrize(
    "body",
    [
        PLAIN.encode(),
        ("\ufeff" + PLAIN).replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.encode("utf-16"),
        PLAIN.encode("utf-16-le"),
        PLAIN.encode("utf-16-be"),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", ";").replace(".", ",").encode(),
        PLAIN.replace(",", "\t").encode(),
        ("sep=;\n" + PLAIN.replace(",", ";")).encode(),
        PLAIN.replace("r,d,w,accuracy", "R, D ,W,Accuracy").encode(),
        PLAIN.replace("accuracy", "top1").encode(),
        PLAIN.replace("accuracy", "acc@1").encode(),
        PLAIN.replace("accuracy", "Val Accuracy").encode(),
        PLAIN.replace("r,d,w,accuracy", "params_r,params_d,params_w,value").encode(),
        PLAIN.replace("r,d,w,accuracy", "config/r,config/d,config/w,summary/val_acc").encode(),
        ("# sweep of May\n\n" + PLAIN + "\n\n").encode(),
        ("," + PLAIN.replace("\n1", "\n0,1").replace("\n0.8", "\n1,0.8")).encode(),
        PLAIN.replace("\n1", "\n0,1").replace("\n0.8", "\n1,0.8").encode(),
        PLAIN.replace("\n", ",\n").encode(),
        b'"r","d","w","accuracy"\n"1.0","1.0","1.0","0.86"\n"0.8","1.0","0.7","0.79"\n',
        PLAIN.replace("accuracy", "accuracy,prénom").replace("6\n", "6,é\n").replace("9\n", "9,\n").encode("latin-1"),
    ],
    ids=[
        "plain", "byte order mark", "CR", "UTF-16", "UTF-16 without a mark", "UTF-16 big-endian", "semicolons",
        "decimal commas", "tabs", "of Excel", "capitals", "top1", "acc@1", "val accuracy", "of Optuna",
        "of a tracker", "comment", "index column", "row names", "commas at the end", "quotes", "Latin 1",
    ],
)  # fmt: skip
def test_common_tables_are_read(body: bytes) -> None:
    table = read_table(body)

    assert table.rows == EXPECTED
    assert table.skipped_rows == 0


def test_unfinished_trainings_are_skipped_and_durations_read() -> None:
    table = read_table(
        b"number,value,datetime_start,duration,params_d,params_r,params_w,state\n"
        b"0,0.86,2026-01-01 10:00:00,0 days 00:05:00.5,1.0,1.0,1.0,COMPLETE\n"
        b"1,,2026-01-01 10:05:00,0 days 00:01:00,1.0,0.8,0.7,FAIL\n"
    )

    assert (table.skipped_rows, table.lines, table.ignored_columns) == (1, [2], ["number", "datetime_start"])
    assert table.rows == [{**EXPECTED[0], "seconds": 300.5}]
    assert table.columns["accuracy"] == "value"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("r,d,accuracy\n1,1,0.5\n", "no column w: .* it names r, d, accuracy"),
        ("r,d,w,loss\n1,1,1,0.5\n", "no column accuracy: .* it names r, d, w, loss"),
        ("r,d,w,accuracy\n1,1,0.5\n", "line 2 has 3 fields, the first line 4"),
        ("r,d,w,top1,val_acc\n1,1,1,0.5,0.5\n", "'top1' and 'val_acc' may both be accuracy"),
        ("r,r,d,w,accuracy\n1,1,1,1,0.5\n", "'r' and 'r' may both be r"),
        ("\x00\x01\x02", "not text"),
    ],
)
def test_fault_of_a_table_is_named(text: str, message: str) -> None:
    with pytest.raises(InvalidTable, match=message):
        read_table(text.encode())
