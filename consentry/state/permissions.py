"""What a row keeps of the permissions of the operating system."""

import msgspec

from consentry.events import PermissionObserved
from consentry.state.knowledge import FUTURE_TOLERANCE_MS
from consentry.state.row import Permission
from consentry.terms import PermissionState

EVERY_DEVICE = ""

Permissions = tuple[Permission, ...]


def with_permission(permissions: Permissions, event: PermissionObserved, recorded_at: int, offset: int) -> Permissions:
    """The permissions as now seen: the same object where the observation has no effect."""
    seen = Permission(
        event_id=event.event_id.bytes,
        name=event.permission,
        device=event.device or EVERY_DEVICE,
        state=event.state,
        recorded_at=recorded_at,
        offset=offset,
        off_at=recorded_at,
    )
    if seen.state is PermissionState.ON:
        return _switched_on(permissions, seen, event.occurred_at)
    return _switched_off(permissions, seen)


def _switched_off(permissions: Permissions, seen: Permission) -> Permissions:
    """Off for its device; said without a device, for each that is known and for those that come later."""
    rest = _of_other_devices(permissions, seen)
    if seen.device == EVERY_DEVICE:
        rest = [
            msgspec.structs.replace(seen, device=former.device) if former.name == seen.name else former
            for former in rest
        ]
    return (*rest, seen)


def _switched_on(permissions: Permissions, seen: Permission, occurred_at: int) -> Permissions:
    """On for its device, if seen after each off that speaks for that device was recorded.

    Said without a device it is heeded only where no device is known, and speaks only as long as none is.
    """
    if occurred_at > seen.recorded_at + FUTURE_TOLERANCE_MS:
        return permissions
    off_at = -1
    for former in permissions:
        if seen.device == EVERY_DEVICE and former.device != EVERY_DEVICE:
            return permissions  # a device is known, be it by another permission
        if former.name == seen.name and former.device in (seen.device, EVERY_DEVICE):
            off_at = max(off_at, former.off_at)
    if min(occurred_at, seen.recorded_at) <= off_at:
        return permissions
    return (*_of_other_devices(permissions, seen), msgspec.structs.replace(seen, off_at=off_at))


def _of_other_devices(permissions: Permissions, seen: Permission) -> list[Permission]:
    return [former for former in permissions if former.name != seen.name or former.device != seen.device]
