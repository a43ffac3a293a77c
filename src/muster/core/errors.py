"""What can go wrong, in our words. Each door maps every one of these to its own status and body, once."""


class MusterError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        """Carry *message* for the caller to read; it never holds a secret."""
        self.message = message or (type(self).__doc__ or "").strip()
        super().__init__(self.message)


class Malformed(MusterError):
    """The request cannot be understood."""


class Unsupported(MusterError):
    """The content type is not supported."""


class Unauthenticated(MusterError):
    """The credentials are missing, wrong or no longer valid."""


class Forbidden(MusterError):
    """The caller may not do this."""


class TenantClosed(Forbidden):
    """The caller is not a member of the tenant, or the tenant does not let the caller in."""


class NotFound(MusterError):
    """There is no such thing, or it is not the caller's to see."""


class Conflict(MusterError):
    """It contradicts what exists already."""


class AlreadyConnected(Conflict):
    """The device is already connected to the channel in that way."""


class SameStatus(Conflict):
    """It already has that status."""


class Stale(MusterError):
    """It was changed by someone else meanwhile."""


class LimitReached(MusterError):
    """A limit set for the tenant is reached."""


class TooLarge(MusterError):
    """The request is larger than the limit allows."""


class TooMany(MusterError):
    """Too many failed attempts; try again later."""

    def __init__(self, retry_after: int) -> None:
        """Say how many seconds to wait."""
        super().__init__()
        self.retry_after = retry_after


class Unavailable(MusterError):
    """A part that this needs does not answer at the moment."""
