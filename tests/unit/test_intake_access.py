"""Tokens: the file keeps hashes, lets in whom it names, and nobody when it is not valid."""

import os
import stat
from pathlib import Path

import pytest

from consentry.errors import ConsentryError
from consentry.intake import Caller, CallerRole
from consentry.settings import Settings
from streams.access import TokenFile, add_token, hash_of, load_access, new_token

PRODUCER = (CallerRole.PRODUCER,)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.yaml"


def test_a_token_lets_in_the_caller_that_it_was_made_for(path: Path) -> None:
    app = add_token(path, "app", [CallerRole.PRODUCER, CallerRole.ASKER])
    desk = add_token(path, "desk", [CallerRole.OPERATOR])
    access = TokenFile(path)
    assert access.caller_of(app) == Caller("app", frozenset({CallerRole.PRODUCER, CallerRole.ASKER}))
    assert access.caller_of(desk) == Caller("desk", frozenset({CallerRole.OPERATOR}))


@pytest.mark.parametrize("token", [None, "", "consentry_guess", "x" * 10_000, "ключ"])
def test_whoever_has_no_token_is_nobody(path: Path, token: str | None) -> None:
    add_token(path, "app", PRODUCER)
    assert TokenFile(path).caller_of(token) is None


def test_a_token_that_differs_in_one_character_is_nobodys(path: Path) -> None:
    token = add_token(path, "app", PRODUCER)
    other = token[:-1] + ("a" if token[-1] != "a" else "b")
    assert TokenFile(path).caller_of(other) is None


def test_the_hash_that_the_file_shows_lets_nobody_in(path: Path) -> None:
    token = add_token(path, "app", PRODUCER)
    assert TokenFile(path).caller_of(hash_of(token)) is None


def test_the_file_holds_no_token_and_only_its_owner_may_read_it(path: Path) -> None:
    token = add_token(path, "app", PRODUCER)
    assert token not in path.read_text()
    assert hash_of(token) in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_tokens_are_of_256_bits_and_never_the_same() -> None:
    tokens = {new_token().token for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= len("consentry_") + 43


def test_a_token_that_is_removed_from_the_file_is_locked_out_at_once(path: Path) -> None:
    first = add_token(path, "app", PRODUCER)
    access = TokenFile(path)
    second = add_token(path, "desk", [CallerRole.OPERATOR])
    assert access.caller_of(second) is not None
    text = path.read_text()
    path.write_text(text.replace(hash_of(first), "a" * 64))
    os.utime(path, ns=(1, 1))
    assert access.caller_of(first) is None
    assert access.caller_of(second) is not None


def test_a_file_that_breaks_or_vanishes_lets_nobody_in(path: Path) -> None:
    token = add_token(path, "app", PRODUCER)
    access = TokenFile(path)
    whole = path.read_text()
    path.write_text("tokens: [")
    assert access.caller_of(token) is None
    path.write_text(whole)
    os.utime(path, ns=(2, 2))
    assert access.caller_of(token) is not None
    path.unlink()
    assert access.caller_of(token) is None


@pytest.mark.parametrize(
    "text",
    [
        "tokens: [",
        "[]",
        "tokens: 3",
        "tokens: [{name: app, roles: [producer]}]",
        "tokens: [{name: app, roles: [king], sha256: %s}]" % ("a" * 64),
        "tokens: [{name: app, roles: [], sha256: %s}]" % ("a" * 64),
        "tokens: [{name: a b, roles: [asker], sha256: %s}]" % ("a" * 64),
        "tokens: [{name: app, roles: [asker], sha256: %s}]" % ("a" * 63),
        "tokens: [{name: app, roles: [asker], sha256: %s, token: x}]" % ("a" * 64),
        "tokens: [%s, %s]" % (("{name: app, roles: [asker], sha256: %s}" % ("a" * 64),) * 2),
    ],
)
def test_a_file_that_is_not_valid_is_refused_whole(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConsentryError, match=r"tokens\.yaml"):
        TokenFile(path)


def test_a_file_that_others_may_write_is_refused(path: Path) -> None:
    add_token(path, "app", PRODUCER)
    path.chmod(0o660)
    with pytest.raises(ConsentryError, match="others may write"):
        TokenFile(path)


def test_a_file_that_others_may_read_is_taken_with_a_warning(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    token = add_token(path, "app", PRODUCER)
    path.chmod(0o644)
    assert TokenFile(path).caller_of(token) is not None
    assert "access.file_is_readable_by_others" in caplog.text


def test_an_empty_file_lets_nobody_in(path: Path) -> None:
    path.write_text("")
    path.chmod(0o600)
    assert TokenFile(path).caller_of("anything") is None


def test_no_token_file_means_that_nothing_is_served(path: Path) -> None:
    with pytest.raises(ConsentryError, match="token_file"):
        load_access(Settings())
    with pytest.raises(ConsentryError, match="cannot be read"):
        load_access(Settings(token_file=str(path)))


def test_a_token_is_not_made_for_what_no_caller_can_be(path: Path) -> None:
    for name, roles in (("a b", PRODUCER), ("app", ())):
        with pytest.raises(ConsentryError):
            add_token(path, name, roles)
    assert not path.exists()
