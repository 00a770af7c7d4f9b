"""What the browser's session holds of a registration under way (ACC-01: it can be taken up again within 24 hours).

One encrypted text: identity numbers are among it, and sessions lie in the database and the cache. Passwords and SMS codes never are;
a password is there as the hash that the account will get. Reading changes nothing: the session is written only when something
changed, so that a visitor who just looks leaves nothing behind.
"""

import json
import time
from copy import deepcopy
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from formtools.wizard.storage.base import BaseStorage

from core.fields import decrypt, encrypt

_KEY = "registration"
KEEPS = timedelta(hours=24)
#: The cookie lives longer than the contents: who comes back too late is told so.
_COOKIE_LIVES = timedelta(hours=48)


class RegistrationStorage(BaseStorage):
    """formtools' storage: the step, what was cleaned of each, and in `extra_data` what `accounts.views.register` keeps."""

    def __init__(self, prefix: str, request: HttpRequest, file_storage: None = None) -> None:
        super().__init__(prefix, request, file_storage)
        #: Whether there was a registration that is too old to be taken up again.
        self.is_too_old = False
        self.init_data()
        stored = _stored(request.session)
        if stored is not None:
            if time.time() - stored["touched_at"] > KEEPS.total_seconds():
                self.is_too_old = True
            else:
                self.data = stored["data"]
        self._before = deepcopy(self.data)

    def new_submission(self) -> None:
        """Give what will be submitted an id, unless it has one."""
        self.extra_data.setdefault("submission", str(uuid4()))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was filled in yet."""
        return not self.data[self.step_data_key] and not self.extra_data

    def update_response(self, response: HttpResponseBase) -> None:
        """Write what changed; formtools calls this at the end of a request. Nothing is uploaded here, so there are no files to put away."""
        if self.data != self._before:
            session = self.request.session
            if self.is_empty:
                forget(session)
                return
            session[_KEY] = encrypt(json.dumps({"touched_at": int(time.time()), "data": self.data}))
            session.set_expiry(_COOKIE_LIVES)


def forget(session: SessionBase) -> None:
    """Let go of a registration under way: whoever logs in has an account, and his session ends as all sessions do."""
    if _KEY in session:
        del session[_KEY]
        session.set_expiry(None)


def _stored(session: SessionBase) -> dict[str, Any] | None:
    try:
        stored: dict[str, Any] = json.loads(decrypt(session[_KEY]))
    except (KeyError, ValueError):  # nothing there, or written with a key that is no longer used
        return None
    return stored
