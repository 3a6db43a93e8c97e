"""Bytes are kept once per tenant under their digest, on a disk as in memory."""

from __future__ import annotations

import hashlib
import os
import threading
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runs.artifacts import Artifacts
from runs.artifacts.directory import Directory
from runs.artifacts.keeping import Storage, key_of
from runs.artifacts.probing import probed, unlike
from runs.errors import ArtifactLost, ArtifactsAway, InvalidFile
from runs.testing.artifacts import InMemory

NOW = datetime.now(UTC)
SOON, LATELY = NOW + timedelta(hours=1), NOW - timedelta(hours=1)
ACME, OTHER = "01a1fde5-03d3-777a-9202-aa68f5b18968", "01a1fde5-03d3-777a-9202-aa68f5b18969"


class Remote(InMemory):
    """A storage like those for buckets: its clients' own errors come through here and there."""

    def get_modified_time(self, name: str) -> datetime:
        if name not in self.saved:
            raise RuntimeError("404")
        return self.saved[name]


@pytest.fixture(params=["directory", "memory", "remote"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "directory":
        return Directory(location=tmp_path)
    return (InMemory if request.param == "memory" else Remote)(clock=lambda: NOW)


@pytest.fixture
def artifacts(storage: Storage) -> Artifacts:
    return Artifacts(lambda: storage, largest=100_000)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=2_000))
def test_bytes_come_back_as_they_were(artifacts: Artifacts, data: bytes) -> None:
    digest = artifacts.keep(ACME, data)

    assert digest == hashlib.sha256(data).hexdigest()
    assert artifacts.keep(ACME, data) == digest
    assert artifacts.kept(ACME, digest) == data


def test_another_tenant_has_nothing_of_it(artifacts: Artifacts) -> None:
    digest = artifacts.keep(ACME, b"theirs")

    with pytest.raises(ArtifactLost, match="not there"):
        artifacts.kept(OTHER, digest)


def test_what_is_damaged_is_not_given_and_writing_it_again_heals_it(
    artifacts: Artifacts, storage: Storage
) -> None:
    digest = artifacts.keep(ACME, b"one")
    (damaged := Artifacts(lambda: storage)).keep(ACME, b"two")
    other = damaged.keep(ACME, b"two")
    with storage.open(key_of(ACME, other)) as wrong:
        storage.save(key_of(ACME, digest), wrong)

    with pytest.raises(ArtifactLost, match="not what was written"):
        artifacts.kept(ACME, digest)

    artifacts.keep(ACME, b"one")
    assert artifacts.kept(ACME, digest) == b"one"


def test_more_than_may_be_is_refused(artifacts: Artifacts) -> None:
    artifacts.keep(ACME, bytes(100_000))

    with pytest.raises(InvalidFile, match="100000 bytes at most, and this 100001"):
        artifacts.keep(ACME, bytes(100_001))


def test_writers_of_the_same_do_not_disturb_one_another(artifacts: Artifacts) -> None:
    data = bytes(50_000)
    writers = [threading.Thread(target=artifacts.keep, args=(ACME, data)) for _ in range(8)]
    for writer in writers:
        writer.start()
    digest = artifacts.keep(ACME, data)
    for _ in range(50):
        assert artifacts.kept(ACME, digest) == data
    for writer in writers:
        writer.join()

    assert artifacts.kept(ACME, digest) == data


def test_only_what_is_old_is_cleared(artifacts: Artifacts) -> None:
    digest = artifacts.keep(ACME, b"one")
    artifacts.keep(OTHER, b"one")
    key = key_of(ACME, digest)

    assert list(artifacts.lying(ACME, before=LATELY)) == []
    assert list(artifacts.lying(ACME, before=SOON)) == [key]
    assert list(artifacts.lying("nobody", before=SOON)) == []
    assert not artifacts.clear(key, before=LATELY)
    assert artifacts.kept(ACME, digest) == b"one"
    assert artifacts.is_there(key)
    assert artifacts.clear(key, before=SOON)
    assert not artifacts.is_there(key)
    assert not artifacts.clear(key, before=SOON)
    with pytest.raises(ArtifactLost):
        artifacts.kept(ACME, digest)
    assert artifacts.kept(OTHER, digest) == b"one"


class Away(InMemory):
    """A storage that cannot be reached."""

    def save(self, name: str, content: Any) -> str:
        raise RuntimeError(f"no route to {name} for {content}")

    def open(self, name: str) -> BytesIO:
        raise RuntimeError(f"no route to {name}")


def test_a_storage_that_is_away_is_a_failure_of_its_own() -> None:
    artifacts = Artifacts(Away().itself)

    with pytest.raises(ArtifactsAway, match=r"cannot be reached \(RuntimeError\)") as told:
        artifacts.keep(ACME, b"one")
    with pytest.raises(ArtifactsAway):
        artifacts.kept(ACME, "a" * 64)

    assert ACME not in str(told.value), "where it lies is nobody's business"


class Ageless(InMemory):
    """A storage that does not say how old what it has is."""

    def get_modified_time(self, name: str) -> datetime:
        raise RuntimeError(f"403 for {name}")


def test_what_is_there_and_of_unknown_age_is_not_cleared() -> None:
    artifacts = Artifacts((ageless := Ageless()).itself)
    key = key_of(ACME, artifacts.keep(ACME, b"one"))

    with pytest.raises(ArtifactsAway):
        artifacts.clear(key, before=SOON)

    assert list(ageless.stored) == [key]


def test_every_folder_of_an_artifact_is_made_to_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, fsync = [], os.fsync

    def seen(fileno: int) -> None:
        made.append(str(Path(f"/proc/self/fd/{fileno}").readlink()))
        fsync(fileno)

    monkeypatch.setattr(os, "fsync", seen)
    digest = Artifacts(lambda: Directory(location=tmp_path)).keep(ACME, b"one")

    tenant = tmp_path / ACME
    assert made[1:] == [str(tenant / digest[:2]), str(tenant), str(tmp_path)]


class Stubborn(InMemory):
    """A storage that keeps what is there, and takes another name."""

    def save(self, name: str, content: object) -> str:
        free = f"{name}_1" if name in self.stored else name
        return super().save(free, content)


def test_a_storage_that_does_not_replace_is_refused_and_left_as_it_was() -> None:
    artifacts = Artifacts((stubborn := Stubborn()).itself)
    digest = artifacts.keep(ACME, b"one")

    with pytest.raises(ArtifactsAway, match="file_overwrite"):
        artifacts.keep(ACME, b"one")

    assert list(stubborn.stored) == [key_of(ACME, digest)]


def test_nothing_is_left_beside_what_is_kept(tmp_path: Path) -> None:
    artifacts = Artifacts(lambda: Directory(location=tmp_path))
    digest = artifacts.keep(ACME, b"one")
    (tmp_path / ACME / digest[:2] / digest).chmod(0o600)

    found = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")]

    assert sorted(found) == [ACME, f"{ACME}/{digest[:2]}", key_of(ACME, digest)]


def test_a_name_is_no_place() -> None:
    with pytest.raises(ValueError, match="no digest"):
        key_of(ACME, "../../etc/passwd")


def test_a_probe_lies_there_meanwhile_and_not_longer(storage: Storage) -> None:
    with probed(storage) as key:
        assert unlike(storage, key) == ""
        assert unlike(storage, f"{key}0") == "it is not there"
        storage.save(key, BytesIO(b"other"))
        assert unlike(storage, key) == "it is not what was written"

    assert storage.listdir("") == ([], [])
    assert unlike(storage, f"{ACME}/../{key}") == "it is no probe"


class Forgetful(InMemory):
    """A storage that takes what it is given, and gives nothing back."""

    def open(self, name: str) -> BytesIO:
        raise FileNotFoundError(name)


def test_a_probe_tells_of_a_storage_that_keeps_nothing() -> None:
    with (
        pytest.raises(ArtifactsAway, match="does not keep what it is given: it is not there"),
        probed(forgetful := Forgetful()),
    ):
        pass

    assert forgetful.stored == {}


def test_a_probe_tells_of_a_directory_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with (
        pytest.raises(ArtifactsAway, match="NotADirectoryError"),
        probed(Directory(location=tmp_path / "file" / "below")),
    ):
        pass
