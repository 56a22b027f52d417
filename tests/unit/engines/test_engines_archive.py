"""What an archive holds, record by record."""

from __future__ import annotations

import io
import zipfile

import torch

from pytest_exportcheck.engines.archive import archive_records


def archive(**records):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, data in records.items():
            made.writestr(f"net/{name}", data)
    return buffer


def test_records_go_by_name_without_the_folder_that_they_share():
    assert archive_records(archive(version="1")) == {"version": "crc 83dcefb7, 1 bytes"}


def test_other_bytes_are_another_record():
    assert archive_records(archive(a="one")) != archive_records(archive(a="two"))
    assert archive_records(archive(a="one")) == archive_records(archive(a="one"))


def test_the_order_of_records_means_nothing():
    assert archive_records(archive(a="1", b="2")) == archive_records(archive(b="2", a="1"))


def test_a_record_beside_the_folder_keeps_its_name():
    buffer = archive(a="1")
    with zipfile.ZipFile(buffer, "a") as opened:
        opened.writestr("loose", "2")
        opened.writestr("other", "3")
    assert set(archive_records(buffer)) == {"a", "loose", "other"}


def test_where_the_buffer_stands_means_nothing():
    buffer = archive(a="1")
    buffer.seek(3)
    assert list(archive_records(buffer)) == ["a"]


def test_what_is_no_archive_is_one_record():
    records = [archive_records(io.BytesIO(data)) for data in (b"", b"one", b"two")]
    assert [list(each) for each in records] == [["the whole file"]] * 3
    assert len({each["the whole file"] for each in records}) == 3


def test_a_program_that_torch_saved_has_its_model_and_weights():
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(torch.nn.Linear(1, 1), (torch.ones(1, 1),)), buffer)
    assert {"models/model.json", "data/weights/weight_0", "byteorder"} <= set(archive_records(buffer))
