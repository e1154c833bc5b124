"""Step 8, the permissions of the operating system, by device. Pure."""

from consentry.state.row import Permission, SubjectState
from consentry.terms import PermissionState

EVERY_DEVICE = ""


def permission_lacks(row: SubjectState, name: str, device: str | None) -> tuple[Permission, ...] | None:
    """None when the permission is on, else what was seen instead: it is off, limited, or was never seen on.

    Kept for each device; who names none needs it on for every known one. Said without a device, off speaks for
    all, on only where no device is known. Limited is off.
    """
    seen = {entry.device: entry for entry in row.permissions if entry.name == name}
    for_all = seen.pop(EVERY_DEVICE, None)
    known = {entry.device for entry in row.permissions if entry.device}
    asked = known if device is None else {device}
    if not known:
        if for_all is not None and for_all.state is PermissionState.ON:
            return None
        return () if for_all is None else (for_all,)
    lacking: list[Permission] = []
    never_seen = False
    for each in asked:
        entry = seen.get(each)
        if entry is None:
            never_seen = True
        elif entry.state is not PermissionState.ON:
            lacking.append(entry)
        elif for_all is not None and for_all.state is not PermissionState.ON and for_all.offset > entry.offset:
            lacking.append(for_all)
    if lacking or never_seen:
        return tuple(sorted(set(lacking), key=lambda entry: entry.offset))
    return None
