"""What can be wrong with a request before a use case sees it; a dialect maps these like the core's errors."""

from muster.core.errors import Conflict, Malformed, MusterError, NotFound, Unauthenticated


class BadBody(Malformed):
    """The body cannot be understood; the message says why, or is upstream's text."""

    def __init__(self, message: str = "malformed entity specification") -> None:
        super().__init__(message)


class BadQuery(Malformed):
    """The query cannot be understood."""

    def __init__(self, message: str = "invalid query parameters") -> None:
        super().__init__(message)


class BadLimit(BadQuery):
    """The limit of a list is out of its range."""

    def __init__(self) -> None:
        super().__init__("invalid limit size")


class BadOffset(BadQuery):
    """The offset into a list is out of its range."""

    def __init__(self) -> None:
        super().__init__("invalid offset size")


class BadPath(Malformed):
    """The path holds a value that cannot be understood."""

    def __init__(self, message: str = "invalid path") -> None:
        super().__init__(message)


class BadHeader(Malformed):
    """A header holds a value that cannot be understood."""

    def __init__(self, message: str = "invalid header") -> None:
        super().__init__(message)


class NoRoute(NotFound):
    """There is nothing under this path."""


class WrongMethod(MusterError):
    """The path does not take this method."""

    def __init__(self, allow: tuple[str, ...]) -> None:
        """Say what the path takes; the reply carries it in its header `Allow` (RFC 9110, 15.5.6)."""
        super().__init__()
        self.allow = allow


class MissingToken(Unauthenticated):
    """The header Authorization is absent or holds no token."""


class KeyReused(Conflict):
    """The idempotency key was used for another request."""


class Broken(MusterError):
    """Something went wrong on our side."""
