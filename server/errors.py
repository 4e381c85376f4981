"""What can go wrong in the server, and who must act.

::

    ServerError
    ├── SettingsError        server.toml or the environment is wrong: the installer acts
    ├── SchemaError          the database is not migrated: the installer runs `migrate`
    ├── RequestError         answered as problem+json; `status` and `code` stand on the class
    │   ├── InvalidRequest       422  a field is wrong or missing: the caller mends it (`field`)
    │   ├── PurposeMissing       422  a query without purpose or case number: the caller says why
    │   ├── Malformed            400  the body is not what it says it is: the caller's programmer
    │   ├── NotAuthenticated     401  no valid session or token: log in, or issue a token
    │   ├── NotAllowed           403  known, but the role or the binding does not cover it
    │   ├── CsrfFailed           403  the page's token is missing or stale: reload the page
    │   ├── ApprovalNeeded       403  further back than everybody may look: ask for approval
    │   ├── PasswordStale        403  somebody else has set the password: choose another first
    │   ├── NotFound             404  no such thing: the caller
    │   ├── Conflict             409  the state does not permit it (signed already, exists already)
    │   ├── TooLarge             413  over a limit of the wire contract: the caller sends less
    │   ├── TooManyAttempts      429  log-in throttled: wait `retry_after_s`
    │   ├── TooManyRequests      429  one person asks too much too fast: wait `retry_after_s`
    │   └── Unavailable          503  database locked or away: retry after `retry_after_s`
    └── (anything else is a defect of ours: 500, logged with its traceback, never swallowed)

``code`` is stable and is what pages translate; ``detail`` is English and names the field.
"""

# ruff: noqa: N818 - these names say what happened; a suffix would add nothing

from typing import ClassVar


class ServerError(Exception):
    """Base of everything that the server raises on purpose."""


class SettingsError(ServerError):
    """A setting is wrong; the message names the file or variable and the key."""


class SchemaError(ServerError):
    """The database's schema is not the one this version needs."""


class RequestError(ServerError):
    """A request that is answered with a problem document."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(
        self, detail: str, *, field: str | None = None, retry_after_s: int | None = None
    ) -> None:
        """Keep the detail, the field at fault and the seconds to wait, where there are such."""
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.retry_after_s = retry_after_s


class InvalidRequest(RequestError):
    """A field is wrong or missing."""

    status = 422
    code = "invalid"


class PurposeMissing(RequestError):
    """A query about a plate without its purpose and case number."""

    status = 422
    code = "purpose_missing"


class Malformed(RequestError):
    """The body cannot be parsed at all."""

    status = 400
    code = "malformed"


class NotAuthenticated(RequestError):
    """Nobody we know."""

    status = 401
    code = "not_authenticated"


class NotAllowed(RequestError):
    """Somebody we know, who may not do this."""

    status = 403
    code = "not_allowed"


class CsrfFailed(RequestError):
    """The page's own token is missing or stale."""

    status = 403
    code = "csrf_failed"


class ApprovalNeeded(RequestError):
    """A look further back than everybody may; another person has to approve it."""

    status = 403
    code = "approval_needed"


class PasswordStale(RequestError):
    """The password was set by somebody else; nothing else is done before it is changed."""

    status = 403
    code = "password_stale"


class NotFound(RequestError):
    """No such thing."""

    status = 404
    code = "not_found"


class Conflict(RequestError):
    """The present state does not permit it."""

    status = 409
    code = "conflict"


class TooLarge(RequestError):
    """More bytes than the limit."""

    status = 413
    code = "too_large"


class TooManyAttempts(RequestError):
    """Log-in throttled."""

    status = 429
    code = "too_many_attempts"


class TooManyRequests(RequestError):
    """One person asks too much too fast."""

    status = 429
    code = "too_many_requests"


class Unavailable(RequestError):
    """The database is locked or away; the same request may succeed later."""

    status = 503
    code = "unavailable"
