"""The published numbers: as they were copied, and consistent where networks or tables say so."""

import hashlib

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
