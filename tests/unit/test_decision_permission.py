"""Permissions by device, and when one may ask again, each at its edge."""

import pytest
from unit.rows import SUBJECT, at, mark, row

from consentry.decision.permission import permission_lacks
from consentry.decision.prompt import prompt_of, refused_at
from consentry.state.row import Permission, Scope
from consentry.terms import PermissionState, Status

ON, OFF, LIMITED = PermissionState.ON, PermissionState.OFF, PermissionState.LIMITED


def seen(device: str, state: PermissionState, offset: int, name: str = "location") -> Permission:
    return Permission(event_id=b"p" * 16, name=name, device=device, state=state, recorded_at=offset, offset=offset)


def lacks(*permissions: Permission, device: str | None = None) -> list[int] | None:
    """The places of what was seen instead; None: it is on."""
    found = permission_lacks(row(permissions=permissions), "location", device)
    return None if found is None else [each.offset for each in found]


def test_a_permission_that_was_never_seen_is_lacking() -> None:
    assert lacks() == []
    assert lacks(seen("phone", ON, 1, "camera")) == []


@pytest.mark.parametrize(("state", "lacking"), [(ON, None), (OFF, [1]), (LIMITED, [1])])
def test_said_without_a_device_it_speaks_where_none_is_known(state: PermissionState, lacking: list[int] | None) -> None:
    assert lacks(seen("", state, 1)) == lacking


@pytest.mark.parametrize(("state", "lacking"), [(ON, None), (OFF, [1]), (LIMITED, [1])])
def test_a_device_speaks_for_itself(state: PermissionState, lacking: list[int] | None) -> None:
    assert lacks(seen("phone", state, 1), device="phone") == lacking
    assert lacks(seen("phone", state, 1)) == lacking


def test_who_names_no_device_needs_it_on_for_every_known_one() -> None:
    two = seen("phone", ON, 1), seen("tablet", OFF, 2)
    assert lacks(*two) == [2]
    assert lacks(*two, device="phone") is None
    assert lacks(seen("phone", ON, 1), seen("tablet", ON, 2)) is None


def test_a_device_of_which_it_was_never_seen_lacks_it() -> None:
    assert lacks(seen("phone", ON, 1), device="tablet") == []
    assert lacks(seen("phone", ON, 1), seen("tablet", ON, 2, "camera")) == []
    assert lacks(seen("phone", OFF, 1), seen("tablet", ON, 2, "camera")) == [1]


def test_off_for_all_that_is_later_than_a_devices_on_speaks_for_it() -> None:
    assert lacks(seen("phone", ON, 1), seen("", OFF, 2)) == [2]
    assert lacks(seen("phone", ON, 3), seen("", OFF, 2)) is None
    assert lacks(seen("phone", ON, 1), seen("", ON, 2)) is None


def test_what_is_lacking_is_told_once_and_in_the_order_of_the_log() -> None:
    assert lacks(seen("tablet", OFF, 7), seen("phone", OFF, 3), seen("watch", OFF, 5)) == [3, 5, 7]
    assert lacks(seen("tablet", ON, 1), seen("phone", ON, 3), seen("", OFF, 5)) == [5]


REFUSED = Status.REFUSED


def test_the_last_refusal_is_the_one_that_counts_in_whatever_order_they_stand() -> None:
    marks = tuple(mark(SUBJECT, at(place), status=REFUSED) for place in (5, 9, 7))
    assert refused_at(row(marks=marks), "account.profile") == 9
    assert refused_at(row(marks=(mark(SUBJECT, at(9)),)), "account.profile") is None
    assert refused_at(row(marks=(mark(SUBJECT, at(9), Scope(""), REFUSED),)), "account.profile") == 9
    assert refused_at(row(marks=(mark(SUBJECT, at(9), Scope("other"), REFUSED),)), "account.profile") is None


def test_a_refusal_blocks_until_the_cooldown_is_over_unless_the_person_asks() -> None:
    refused = row(marks=(mark(SUBJECT, at(9), status=REFUSED),))
    assert prompt_of(refused, "account.profile", 10, 18).ask_after == 19
    assert not prompt_of(refused, "account.profile", 10, 18).may_ask
    assert prompt_of(refused, "account.profile", 10, 19).may_ask
    assert prompt_of(refused, "account.profile", 10, 18, user_initiated=True).may_ask
    assert prompt_of(None, "account.profile", 10, 18).may_ask
