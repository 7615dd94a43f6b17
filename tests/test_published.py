"""The published numbers: as they were copied, and consistent where networks or tables say so."""

import hashlib

import pandas as pd
import pytest

from ganzip.report import tables

SHA256 = {
    "dcgan_kd_table1": "a795c867851979cd4d0587125c46aa065d3804972c56658c969dc4effcf7e064",
    "nickel_dime_known": "fc73bc187dccb921ea606c2bb87c1524157d302ffd28db76ea944402b2a70061",
    "sdakd_table1": "7b83c4aa881bbfdefe3667ae93bf37e22f953ff0516263e99ca1f119dbf19038",
    "sdakd_table2": "3810cebbd2c70762576c9d0f025a06a300478e2697b50f9a213ff7a07cc58cbb",
    "sdakd_table3": "4bb489ce9207399b90b77112214eb25c78bf7758bae850916f229f4f5da52b25",
    "sdakd_table4": "74020341a4292edf35bbfa855398fb86ce2ae1c62a66a5bf7824989c365e864e",
}


def test_every_file_is_as_it_was_copied_and_explained():
    files = {path.stem: path for path in tables.PUBLISHED.glob("*.csv")}
    found = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    assert found == SHA256
    readme = (tables.PUBLISHED / "README.md").read_text(encoding="utf-8")
    for name in files:
        for column in tables.published(*name.rsplit("_", 1)).columns:
            assert f"`{column}`" in readme, f"{name}.csv: column {column} is not explained"


def parameters(d):
    return 672 * d**2 + 12831 * d + 1


def test_dcgan_counts_and_ratios_follow_from_the_architecture():
    table = tables.published("dcgan_kd", "table1")
    assert table.groupby("dataset").size().to_dict() == {"CIFAR-10": 8, "Celeb-A": 8, "MNIST": 8}
    assert table["params"].tolist() == [parameters(d) for d in table["d"]]
    assert table["teacher_params"].tolist() == [parameters(d) for d in table["teacher_d"]]
    printed = table.dropna(subset="ratio")
    exact = parameters(printed["teacher_d"]) / parameters(printed["d"])
    assert len(printed) == 20
    assert printed["ratio"].tolist() == exact.round().tolist()


def test_dcgan_students_are_better_in_all_rows_with_both_values():
    table = tables.published("dcgan_kd", 1)
    assert table["student"].isna().equals(table["regular"].isna())
    both = table.dropna(subset="student")
    sign = both["metric"].replace({"IS": 1, "FID": -1}).astype(int)
    gains = (sign * (both["student"] - both["regular"])).tolist()
    assert len(gains) == 19 and min(gains) > 0
    row = table.query("dataset == 'MNIST' and d == 2").iloc[0]
    assert (row["student"], row["regular"]) == (5.80, 1.86)


def test_sdakd_tables_agree_with_each_other():
    first, ablation = tables.published("sdakd", 1), tables.published("sdakd", 4)
    scores = [f"{split}{factor}" for split in ("val", "test") for factor in (64, 32, 16)]
    whole = first.query("method == 'SDAKD' and gen_C == '1/4'")[scores]
    full = first.query("method == 'GCFSR_reproduced'")[scores]
    assert ablation.query("variant == 'SDAKD'")[scores].to_numpy().tolist() == whole.values.tolist()
    assert ablation.query("n2.isna()")[scores].to_numpy().tolist() == full.values.tolist()


def test_nickel_dime_keeps_unknown_values_blank():
    known = tables.published("nickel_dime", "known")
    fid = known[known["quantity"] == "FID NICKEL & DiME"]
    assert fid["value"].tolist() == [10.45, 15.93, 29.38]
    assert pd.isna(known["value"].iloc[-1])


def test_an_unknown_table_is_answered_with_what_there_is():
    with pytest.raises(ValueError, match="no published table 'sdakd_table9'.*sdakd_table1"):
        tables.published("sdakd", 9)
