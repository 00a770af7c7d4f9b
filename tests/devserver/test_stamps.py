"""Fingerprints: what makes a step run again."""

from pathlib import Path

from devserver.stamps import Stamp, fingerprint


def test_content_name_and_words_count(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("one")
    before = fingerprint([first])
    assert fingerprint([first]) == before
    assert fingerprint([first], "3.11") != before
    first.rename(second)
    assert fingerprint([second]) != before
    second.write_text("two")
    assert fingerprint([second]) != fingerprint([first])


def test_a_file_that_appears_or_goes_counts(tmp_path: Path) -> None:
    inside = tmp_path / "rooms"
    inside.mkdir()
    empty = fingerprint([inside])
    (inside / "models.py").write_text("")
    full = fingerprint([inside])
    assert full != empty
    (inside / "models.py").unlink()
    assert fingerprint([inside]) == empty
    assert fingerprint([tmp_path / "absent"]) != fingerprint([])


def test_a_step_broken_off_is_not_done(tmp_path: Path) -> None:
    stamp = Stamp(tmp_path / "deep" / "stamp")
    assert not stamp.matches("x")
    stamp.write("x")
    assert stamp.matches("x")
    assert not stamp.matches("y")
    stamp.remove()
    stamp.remove()
    assert not stamp.matches("x")
