"""Every address × every role × GET and POST × one's own record and a stranger's: one table says what each answers.

A new address fails here until its row is in `TABLE`. What a row says is the answer of the permission rules, not the whole of
what the page does; that is told by the tests of its application.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from captcha.models import CaptchaStore
from django.apps import apps
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.models import Enterprise, Registration, User
from accounts.rights import ApplicationKey, Right, Role
from core import audit
from core.models import AuditEntry
from notifications.services import queue_sms
from portal.models import Contact
from reference.models import BEGINNING, Code, CodeTable, DeclarationElement, Origin
from smartgate.batches.models import Batch
from smartgate.batches.services import from_filings
from smartgate.importing.models import Import
from smartgate.models import Filing
from tests.conftest import bind_card, make_user
from tests.portal.factories import make_attachment, make_item
from tests.relay.rows import make_alert, make_outbound, make_pause, make_quarantined
from tests.routes import address, routes
from tests.simulators.standard_edition import open_to
from tests.smartgate.factories import make_bill, make_evidence, make_filing, make_import, make_vehicle, make_version

pytestmark = [pytest.mark.django_db]

LOGIN = "to the login page"
METHODS = ("GET", "POST")
VISITOR = "visitor"
ROLES = (VISITOR, "operator", "administrator", "other_operator", "terminal", "customs", "ccpit", "staff")

Answer = int | str


@dataclass(frozen=True)
class Row:
    """What one method of one address answers.

    `visitor` is who is not logged in, `without` who lacks the right, `own` who has it. `stranger` is the answer about a record of
    another enterprise, None for addresses without a record. `right` None: being logged in is enough.
    """

    own: Answer
    visitor: Answer
    without: Answer = 403
    stranger: Answer | None = None
    right: Callable[[User], bool] | None = None
    #: To whom no record is a stranger's.
    reads_all: Callable[[User], bool] = lambda user: False
    data: Mapping[str, str] = field(default_factory=dict)


def everybody(answer: Answer, **data: str) -> Row:
    """The same for all, logged in or not."""
    return Row(answer, visitor=answer, data=data)


def work(right: Right, answer: Answer, *, record: bool = False, stranger: Answer = 404, **data: str) -> Row:
    """A page of the work area: visitors log in first, without the right 403, another enterprise's record does not exist."""
    return Row(answer, visitor=LOGIN, right=lambda user: user.has_right(right), stranger=stranger if record else None, data=data)


def trail(answer: Answer, *, record: bool = False, stranger: Answer = 404) -> Row:
    """A page of the audit trail: an enterprise's administrator reads his enterprise's, staff read all."""
    return replace(work(Right.AUDIT_READ, answer, record=record, stranger=stranger), reads_all=_is_staff)


def _is_staff(user: User) -> bool:
    return user.is_staff


def _reads_smartgate(user: User) -> bool:
    """Staff read what they publish for others."""
    return user.is_staff or user.has_right(Right.SMARTGATE_VIEW)


def staff_only(answer: Answer) -> Row:
    """A page of /admin/: visitors log in where everybody does, who is no staff is told so."""
    return Row(answer, visitor=LOGIN, right=_is_staff)


def visitors_only(answer: Answer) -> Row:
    """A page for who is not logged in; everybody else is sent on."""
    return Row(302, visitor=answer)


#: route → (GET, POST). 405 = that method is not served there; it is said before any record is looked for, so it tells nothing.
TABLE: dict[str, tuple[Row, Row]] = {
    "": (everybody(200), everybody(405)),
    "healthz": (everybody(200), everybody(405)),
    "readyz": (everybody(200), everybody(405)),
    # To this machine; who else may is told in tests/portal/test_metrics.py.
    "metrics": (everybody(200), everybody(405)),
    "preferences/": (everybody(405), everybody(302, theme="dark")),
    "opened-pages/": (everybody(405), everybody(302, close_all="1")),
    "content/<slug:kind>/": (everybody(200), everybody(405)),
    # The walk's item is for the users of one application; what is for everybody is told in test_content.
    "content/items/<int:pk>/": (Row(200, visitor=404, without=404, right=_reads_smartgate), everybody(405)),
    "content/attachments/<int:pk>/": (Row(200, visitor=404, without=404, right=_reads_smartgate), everybody(405)),
    "accounts/login/": (visitors_only(200), visitors_only(200)),
    "accounts/login/card/": (visitors_only(200), visitors_only(200)),
    "accounts/logout/": (everybody(405), everybody(302)),
    # Everybody here has been through it; who has not is told of in tests/accounts/test_first_login.py.
    "accounts/first-login/": (work(Right.ACCOUNT_OWN, 302), work(Right.ACCOUNT_OWN, 302)),
    "accounts/password/change/": (work(Right.ACCOUNT_OWN, 200), work(Right.ACCOUNT_OWN, 200)),
    "accounts/password/forgotten/": (visitors_only(200), visitors_only(200)),
    # The first step comes first.
    "accounts/password/forgotten/code/": (everybody(302), everybody(302)),
    # 410: there is no such picture (any more).
    "captcha/image/<slug:key>/": (everybody(410), everybody(410)),
    "accounts/profile/": (work(Right.ACCOUNT_OWN, 200), work(Right.ACCOUNT_OWN, 200, email="nobody")),
    "accounts/profile/mobile/": (work(Right.ACCOUNT_OWN, 200), work(Right.ACCOUNT_OWN, 200)),
    "accounts/operators/": (work(Right.ENTERPRISE_MANAGE, 200), work(Right.ENTERPRISE_MANAGE, 302)),
    "accounts/operators/new/": (work(Right.ENTERPRISE_MANAGE, 200), work(Right.ENTERPRISE_MANAGE, 200)),
    "accounts/operators/<int:pk>/edit/": (
        work(Right.ENTERPRISE_MANAGE, 200, record=True),
        work(Right.ENTERPRISE_MANAGE, 200, record=True),
    ),
    "accounts/operators/<int:pk>/applications/": (
        work(Right.ENTERPRISE_MANAGE, 200, record=True),
        work(Right.ENTERPRISE_MANAGE, 302, record=True),
    ),
    **{
        f"accounts/operators/<int:pk>/{action}/": (
            work(Right.ENTERPRISE_MANAGE, 405, record=True, stranger=405),
            work(Right.ENTERPRISE_MANAGE, 302, record=True),
        )
        for action in ("disable", "enable", "reset-password")
    },
    # An operator reads what he may use.
    "accounts/applications/": (work(Right.ENTERPRISE_VIEW, 200), work(Right.ENTERPRISE_MANAGE, 302)),
    **{
        f"accounts/applications/<slug:key>/{action}/": (work(Right.ENTERPRISE_MANAGE, 405), work(Right.ENTERPRISE_MANAGE, 302))
        for action in ("open", "close")
    },
    "accounts/card/challenge/": (everybody(405), everybody(200, purpose="login")),
    "accounts/card-control/": (everybody(200), everybody(405)),
    "accounts/card-control/card_bridge.zip": (everybody(200), everybody(405)),
    "accounts/cards/": (work(Right.ENTERPRISE_VIEW, 200), work(Right.ENTERPRISE_VIEW, 405)),
    "accounts/cards/bind/": (work(Right.ENTERPRISE_VIEW, 200), work(Right.ENTERPRISE_VIEW, 200)),
    # Nobody here has put a card into a reader.
    "accounts/cards/bind/confirm/": (work(Right.ENTERPRISE_VIEW, 302), work(Right.ENTERPRISE_VIEW, 302)),
    "accounts/cards/unbind/": (work(Right.ENTERPRISE_VIEW, 405), work(Right.ENTERPRISE_VIEW, 302)),
    "accounts/qualifications/": (
        work(Right.ENTERPRISE_VIEW, 200),
        work(Right.ENTERPRISE_MANAGE, 302, lock_version="0"),
    ),
    "accounts/security/": (work(Right.ACCOUNT_OWN, 200), work(Right.ACCOUNT_OWN, 405)),
    "accounts/security/sessions/": (work(Right.ACCOUNT_OWN, 200), work(Right.ACCOUNT_OWN, 405)),
    # The walk's sessions have no rows; one's own and a stranger's are told apart in tests/accounts/test_sessions.py.
    "accounts/security/sessions/<int:pk>/end/": (work(Right.ACCOUNT_OWN, 405), work(Right.ACCOUNT_OWN, 404)),
    "accounts/security/sessions/end-others/": (work(Right.ACCOUNT_OWN, 405), work(Right.ACCOUNT_OWN, 302)),
    "accounts/security/standard-edition/": (work(Right.ACCOUNT_OWN, 302), work(Right.ACCOUNT_OWN, 302)),
    "accounts/security/history/": (work(Right.ACCOUNT_OWN, 200), work(Right.ACCOUNT_OWN, 302)),
    # Whoever is to change his second factors proves first that it is still he, before anything is looked for.
    "accounts/reauthenticate/": (work(Right.ACCOUNT_OWN, 200), work(Right.ACCOUNT_OWN, 200)),
    "accounts/2fa/": (everybody(302), everybody(302)),
    "accounts/2fa/authenticate/": (everybody(302), everybody(302)),
    "accounts/2fa/reauthenticate/": (work(Right.ACCOUNT_OWN, 302), work(Right.ACCOUNT_OWN, 302)),
    "accounts/2fa/totp/activate/": (work(Right.ACCOUNT_OWN, 302), work(Right.ACCOUNT_OWN, 302)),
    "accounts/2fa/totp/deactivate/": (work(Right.ACCOUNT_OWN, 404), work(Right.ACCOUNT_OWN, 404)),
    "accounts/2fa/recovery-codes/": (work(Right.ACCOUNT_OWN, 404), work(Right.ACCOUNT_OWN, 405)),
    "accounts/2fa/recovery-codes/generate/": (work(Right.ACCOUNT_OWN, 302), work(Right.ACCOUNT_OWN, 302)),
    "accounts/2fa/recovery-codes/download/": (work(Right.ACCOUNT_OWN, 404), work(Right.ACCOUNT_OWN, 404)),
    "accounts/2fa/webauthn/": (everybody(302), everybody(302)),
    "accounts/2fa/webauthn/add/": (work(Right.ACCOUNT_OWN, 302), work(Right.ACCOUNT_OWN, 302)),
    "accounts/2fa/webauthn/login/": (everybody(302), everybody(302)),
    "accounts/2fa/webauthn/reauthenticate/": (work(Right.ACCOUNT_OWN, 302), work(Right.ACCOUNT_OWN, 302)),
    "accounts/2fa/webauthn/keys/<int:pk>/edit/": (work(Right.ACCOUNT_OWN, 302), work(Right.ACCOUNT_OWN, 302)),
    "accounts/2fa/webauthn/keys/<int:pk>/remove/": (work(Right.ACCOUNT_OWN, 302), work(Right.ACCOUNT_OWN, 302)),
    # To the standard edition; who is logged in already goes home.
    "accounts/standard-edition/": (everybody(302), everybody(302)),
    "accounts/oidc/standard_edition/login/callback/": (everybody(302), everybody(405)),
    # Only for whom the standard edition has just sent: everybody else goes to the login page.
    "accounts/standard-edition/first/": (everybody(302), everybody(302)),
    "accounts/standard-edition/first/register/": (everybody(302), everybody(302)),
    "accounts/standard-edition/first/bind/": (everybody(302), everybody(302)),
    "accounts/standard-edition/done/": (Row(200, visitor=LOGIN), Row(405, visitor=LOGIN)),
    "accounts/standard-edition/signed-out/": (everybody(302), everybody(405)),
    "accounts/standard-edition/backchannel-logout/": (everybody(405), everybody(400)),
    # Who has an account is told so. An empty form is the first step's, with what is missing.
    "accounts/register/": (everybody(200), everybody(200)),
    "accounts/register/done/": (Row(200, visitor=302), Row(200, visitor=302)),
    "accounts/agreements/<slug:kind>/": (everybody(200), everybody(405)),
    "accounts/agreements/<slug:kind>/<slug:version>/": (everybody(200), everybody(405)),
    "accounts/audit/": (trail(200), trail(302)),
    "accounts/audit/<int:pk>/": (trail(200, record=True), trail(405, record=True, stranger=405)),
    "reference/lookup/<slug:table>/": (Row(200, visitor=401), everybody(405)),
    "smartgate/filings/": (work(Right.SMARTGATE_VIEW, 200), work(Right.SMARTGATE_VIEW, 302)),
    "smartgate/filings/new/": (work(Right.SMARTGATE_EDIT, 200), work(Right.SMARTGATE_EDIT, 200, action="save")),
    "smartgate/filings/<int:pk>/": (
        work(Right.SMARTGATE_VIEW, 200, record=True),
        work(Right.SMARTGATE_VIEW, 405, record=True, stranger=405),
    ),
    "smartgate/filings/<int:pk>/status/": (
        work(Right.SMARTGATE_VIEW, 302, record=True),
        work(Right.SMARTGATE_VIEW, 405, record=True, stranger=405),
    ),
    "smartgate/filings/<int:pk>/edit/": (
        work(Right.SMARTGATE_EDIT, 200, record=True),
        work(Right.SMARTGATE_EDIT, 200, record=True, action="declare_confirmed"),
    ),
    "smartgate/filings/<int:pk>/copy/": (
        work(Right.SMARTGATE_EDIT, 200, record=True),
        work(Right.SMARTGATE_EDIT, 200, record=True, action="save"),
    ),
    "smartgate/filings/<int:pk>/delete/": (
        work(Right.SMARTGATE_EDIT, 405, record=True, stranger=405),
        work(Right.SMARTGATE_EDIT, 302, record=True),
    ),
    # The walk's filings are drafts: what may not be changed leads to its 查看.
    "smartgate/filings/<int:pk>/amend/": (
        work(Right.SMARTGATE_EDIT, 302, record=True),
        work(Right.SMARTGATE_EDIT, 200, record=True, action="declare_confirmed"),
    ),
    "smartgate/filings/<int:pk>/amend/discard/": (
        work(Right.SMARTGATE_EDIT, 302, record=True),
        work(Right.SMARTGATE_EDIT, 302, record=True),
    ),
    "smartgate/filings/<int:pk>/void/": (
        work(Right.SMARTGATE_DECLARE, 302, record=True),
        work(Right.SMARTGATE_DECLARE, 302, record=True, action="declare_confirmed"),
    ),
    "smartgate/filings/<int:pk>/versions/<int:number>/": (
        work(Right.SMARTGATE_VIEW, 200, record=True),
        work(Right.SMARTGATE_VIEW, 405, record=True, stranger=405),
    ),
    "smartgate/filings/<int:pk>/print/": (
        work(Right.SMARTGATE_VIEW, 200, record=True),
        work(Right.SMARTGATE_VIEW, 405, record=True, stranger=405),
    ),
    "smartgate/import/": (work(Right.SMARTGATE_EDIT, 200), work(Right.SMARTGATE_EDIT, 200)),
    "smartgate/import/template.xlsx": (work(Right.SMARTGATE_EDIT, 200), work(Right.SMARTGATE_EDIT, 405)),
    "smartgate/import/<int:pk>/": (
        work(Right.SMARTGATE_EDIT, 200, record=True),
        work(Right.SMARTGATE_EDIT, 405, record=True, stranger=405),
    ),
    # Who opens the part's address himself is sent to the page.
    "smartgate/import/<int:pk>/progress/": (
        work(Right.SMARTGATE_EDIT, 302, record=True),
        work(Right.SMARTGATE_EDIT, 405, record=True, stranger=405),
    ),
    "smartgate/import/<int:pk>/marked.xlsx": (
        work(Right.SMARTGATE_EDIT, 200, record=True),
        work(Right.SMARTGATE_EDIT, 405, record=True, stranger=405),
    ),
    **{
        f"smartgate/import/<int:pk>/{action}/": (
            work(Right.SMARTGATE_EDIT, 405, record=True, stranger=405),
            work(Right.SMARTGATE_EDIT, 302, record=True),
        )
        for action in ("store", "delete")
    },
    "smartgate/import/<int:pk>/declare/": (
        work(Right.SMARTGATE_DECLARE, 405, record=True, stranger=405),
        work(Right.SMARTGATE_DECLARE, 302, record=True),
    ),
    "smartgate/declare/": (work(Right.SMARTGATE_DECLARE, 200), work(Right.SMARTGATE_DECLARE, 302)),
    "smartgate/declare/<int:pk>/": (
        work(Right.SMARTGATE_DECLARE, 200, record=True),
        work(Right.SMARTGATE_DECLARE, 302, record=True),
    ),
    # Without a filing named it says so.
    "smartgate/declare/<int:pk>/items/": (
        work(Right.SMARTGATE_DECLARE, 405, record=True, stranger=405),
        work(Right.SMARTGATE_DECLARE, 400, record=True),
    ),
    "smartgate/filings/<int:pk>/receipts/": (
        work(Right.SMARTGATE_VIEW, 200, record=True),
        work(Right.SMARTGATE_VIEW, 405, record=True, stranger=405),
    ),
    "smartgate/filings/<int:pk>/signature/<int:version>/": (
        work(Right.SMARTGATE_VIEW, 200, record=True),
        work(Right.SMARTGATE_VIEW, 405, record=True, stranger=405),
    ),
    "smartgate/statistics/": (work(Right.SMARTGATE_VIEW, 200), work(Right.SMARTGATE_VIEW, 405)),
    **{
        f"smartgate/base/{kind}/{rest}": rows
        for kind in ("vehicles", "bills")
        for rest, rows in {
            "": (work(Right.SMARTGATE_VIEW, 200), work(Right.SMARTGATE_VIEW, 302)),
            "new/": (work(Right.SMARTGATE_EDIT, 200), work(Right.SMARTGATE_EDIT, 200, action="save")),
            # Asked by a script, which cannot follow a redirect to a login page.
            "lookup/": (Row(200, visitor=401, right=lambda user: user.has_right(Right.SMARTGATE_EDIT)), everybody(405)),
            "<int:pk>/edit/": (
                work(Right.SMARTGATE_EDIT, 200, record=True),
                work(Right.SMARTGATE_EDIT, 200, record=True, action="save"),
            ),
            "<int:pk>/delete/": (
                work(Right.SMARTGATE_EDIT, 405, record=True, stranger=405),
                work(Right.SMARTGATE_EDIT, 302, record=True),
            ),
        }.items()
    },
    "admin/": (staff_only(200), staff_only(200)),
    # There is one login, one logout and one page for the password: these addresses lead there.
    "admin/login/": (Row(302, visitor=302, without=403, right=_is_staff), Row(302, visitor=302, without=403, right=_is_staff)),
    "admin/logout/": (staff_only(405), staff_only(302)),
    "admin/password_change/": (staff_only(302), staff_only(302)),
    "admin/password_change/done/": (staff_only(302), staff_only(302)),
    "admin/autocomplete/": (staff_only(403), staff_only(405)),
    "admin/jsi18n/": (staff_only(200), staff_only(405)),
    "admin/r/<path:content_type_id>/<path:object_id>/": (staff_only(404), staff_only(404)),
    "admin/accounts/user/<id>/password/": (staff_only(200), staff_only(200)),
    # What operators do asks first; a POST that says nothing is asked again. Without `relay.operate`: tests/relay/test_admin_pages.py.
    "admin/relay/pause/begin/": (staff_only(200), staff_only(200)),
    "admin/relay/pause/<int:pk>/end/": (staff_only(200), staff_only(302)),
    "admin/relay/outboundmessage/resend/": (staff_only(403), staff_only(200)),
    "admin/relay/outboundmessage/<int:pk>/resend/": (staff_only(200), staff_only(302)),
    "admin/relay/outboundmessage/<int:pk>/settle/": (staff_only(200), staff_only(200)),
    "admin/relay/outboundmessage/<int:pk>/content/": (staff_only(200), staff_only(200)),
    "admin/relay/inboundmessage/<int:pk>/retry/": (staff_only(200), staff_only(302)),
    "admin/relay/inboundmessage/<int:pk>/discard/": (staff_only(200), staff_only(200)),
    "admin/relay/inboundmessage/<int:pk>/content/": (staff_only(200), staff_only(200)),
}

#: Posted to by other systems, which prove who they are by a signature.
WITHOUT_FORM = {"accounts/standard-edition/backchannel-logout/"}
CHANGED_BY_STAFF = {"auth/group", "accounts/enterprise", "accounts/user", "portal/contentitem", "portal/contact"}
#: Nothing is added or deleted there; `reference/code` has a change of its own, a registration is decided on, the others are to be
#: looked at only.
READ_BY_STAFF = {
    "accounts/registration",
    "accounts/boundcard",
    "notifications/delivery",
    "reference/codetable",
    "reference/code",
    "reference/declarationelement",
    "relay/alert",
    "relay/inboundmessage",
    "relay/outboundmessage",
    "relay/pause",
}
#: The console shows all there is of a pause, the list all of an alert.
WITHOUT_PAGE = {"relay/alert", "relay/pause"}


#: Filings and the trail name them for ever: they are disabled instead.
NEVER_DELETED = {"accounts/enterprise", "accounts/user"}


def _admin_rows() -> Iterator[tuple[str, tuple[Row, Row]]]:
    for model in sorted(CHANGED_BY_STAFF | READ_BY_STAFF):
        changes = model in CHANGED_BY_STAFF
        one = f"admin/{model}/<path:object_id>/"
        change = changes or model in {"reference/code", "accounts/registration"}
        deletes = changes and model not in NEVER_DELETED
        yield f"admin/{model}/", (staff_only(200), staff_only(200))
        yield f"admin/{model}/add/", (staff_only(200 if changes else 403), staff_only(200 if changes else 403))
        yield f"{one}history/", (staff_only(200), staff_only(200))
        yield f"{one}delete/", (staff_only(200 if deletes else 403), staff_only(200 if deletes else 403))
        yield f"{one}change/", (staff_only(302 if model in WITHOUT_PAGE else 200), staff_only(200 if change else 403))
        # An old address of the same page.
        yield one, (staff_only(302), staff_only(302))


TABLE.update(_admin_rows())
#: Django's own last rows of /admin/: the list of one room's tables, and 404 for the rest.
REGULAR_EXPRESSIONS = ("admin/^(?P<app_label>", "admin/(?P<url>")
EXPECTED = [(route, method, row) for route, rows in TABLE.items() for method, row in zip(METHODS, rows, strict=True)]


def test_the_table_knows_every_address_and_no_other() -> None:
    known = [route for route in routes() if not route.startswith(REGULAR_EXPRESSIONS)]
    new, gone = set(known) - set(TABLE), set(TABLE) - set(known)
    assert not new, f"new addresses; say in TABLE (tests/portal/test_permission_walk.py) who may do what there: {sorted(new)}"
    assert not gone, f"TABLE has addresses that are no more: {sorted(gone)}"


@dataclass
class World:
    """Everybody, and a record of each of two enterprises."""

    users: Mapping[str, User | None]
    filings: Mapping[Enterprise, Filing]
    base_data: Mapping[str, Mapping[Enterprise, Any]]
    imports: Mapping[int, Import]
    batches: Mapping[int, Batch]
    entries: Mapping[int, AuditEntry]
    records: Mapping[str, Any]

    def client(self, role: str, **options: Any) -> Client:
        """A browser in which somebody of this role is logged in."""
        client, user = Client(**options), self.users[role]
        if user:
            client.force_login(user)
        return client

    def enterprise(self, role: str, *, own: bool) -> Enterprise:
        """The role's own enterprise, or another; without an enterprise all are others'."""
        user = self.users[role]
        enterprise = user.enterprise if user else None
        first, second = self.filings
        mine = enterprise if enterprise else first
        return mine if own else (second if mine == first else first)

    def filing(self, role: str, *, own: bool) -> Filing:
        """A filing of the role's own enterprise, or of another."""
        return self.filings[self.enterprise(role, own=own)]

    def operator(self, role: str, *, own: bool) -> User:
        """An operator of the role's own enterprise, or of another."""
        user = self.users[role]
        first, second = (self.users[name] for name in ("operator", "other_operator"))
        assert first
        assert second
        is_seconds = user is not None and user.enterprise == second.enterprise
        return second if is_seconds == own else first

    def path(self, route: str, role: str, *, own: bool = True) -> str:
        """The address of a route, with parameters that exist."""
        record = self.records.get(route.split("/<", maxsplit=1)[0].removeprefix("admin/"))
        if route.startswith("accounts/operators/<"):
            return address(route, pk=self.operator(role, own=own).pk)
        if route.startswith("smartgate/base/") and "<int:pk>" in route:
            return address(route, pk=self.base_data[route.split("/")[2]][self.enterprise(role, own=own)].pk)
        if "<int:pk>" in route and record:
            return address(route, pk=record.pk)
        if "<int:pk>" in route:
            filing = self.filing(role, own=own)
            if route.startswith("smartgate/import/"):
                return address(route, pk=self.imports[filing.pk].pk)
            if route.startswith("smartgate/declare/"):
                return address(route, pk=self.batches[filing.pk].pk)
            return address(route, pk=self.entries[filing.pk].pk if route.startswith("accounts/audit/") else filing.pk, version=1, number=1)
        model = route.removeprefix("admin/").split("/<")[0]
        record = self.records.get(model)
        return address(
            route,
            kind="service" if route.startswith("accounts/agreements/") else "notice",
            version="2017-09",
            table="customs",
            key=ApplicationKey.SMARTGATE.value,
            object_id=record.pk if record else 1,
            content_type_id=1,
            id=self.records["accounts/user"].pk,
        )


@pytest.fixture(autouse=True)
def _files(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture(autouse=True)
def _standard_edition(settings: Any) -> None:
    """There is one to sign on through, but nobody answers there."""
    open_to(settings, "http://127.0.0.1:9")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Hundreds of refusals, each with its trace, would bury what a failure here has to say."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def world(operator: User, administrator: User, other_operator: User, staff: User) -> World:
    call_command("seed_reference", verbosity=0)
    item = make_item(audience=ApplicationKey.SMARTGATE)
    filings = {user.enterprise: make_filing(user) for user in (operator, other_operator)}
    for filing in filings.values():
        make_evidence(filing)
        make_version(filing)
    return World(
        users={
            VISITOR: None,
            "operator": operator,
            "administrator": administrator,
            "other_operator": other_operator,
            "terminal": make_user("terminal1", Role.TERMINAL, unloading_code="DYW01"),
            "customs": make_user("customs1", Role.CUSTOMS),
            "ccpit": make_user("ccpit1", Role.CCPIT),
            "staff": staff,
        },
        filings=filings,
        base_data={
            "vehicles": {user.enterprise: make_vehicle(user) for user in (operator, other_operator)},
            "bills": {user.enterprise: make_bill(user) for user in (operator, other_operator)},
        },
        imports={filing.pk: make_import(filing.created_by) for filing in filings.values()},
        batches={filing.pk: from_filings(actor=filing.created_by, filing_ids=[filing.pk]) for filing in filings.values()},
        entries={
            filing.pk: audit.record(
                action="smartgate.filing.edit", obj=filing, actor=None, enterprise_id=filing.enterprise_id, after={"remark": "x"}
            )
            for filing in filings.values()
        },
        records={
            "auth/group": Group.objects.create(name="值班"),
            "accounts/enterprise": operator.enterprise,
            "accounts/user": operator,
            "portal/contentitem": item,
            "portal/contact": Contact.objects.create(label="服务热线", way=Contact.Way.PHONE, value="95198"),
            "content/items": item,
            "content/attachments": make_attachment(item),
            "accounts/registration": Registration.objects.create(
                role=Role.OPERATOR, username="waiting1", mobile="13904110001", email="w@example.com", submitted_at=timezone.now()
            ),
            # Of who has no part in the walk: whoever has a card is shown other pages.
            "accounts/boundcard": bind_card(make_user("operator3", Role.OPERATOR, other_operator.enterprise)),
            "notifications/delivery": queue_sms(mobile="13904110001", text="验证码"),
            "relay/outboundmessage": make_outbound(),
            "relay/inboundmessage": make_quarantined(),
            "relay/pause": make_pause(),
            "relay/alert": make_alert(),
            "reference/codetable": CodeTable.objects.first(),
            "reference/code": Code.objects.first(),
            "reference/declarationelement": DeclarationElement.objects.create(
                prefix="1201", name="品名", required=True, position=1, valid_from=BEGINNING, origin=Origin.OFFICIAL
            ),
        },
    )


def expected(row: Row, user: User | None, *, own: bool) -> Answer:
    """What the table says for this user."""
    if user is None:
        return row.visitor
    if row.right and not row.right(user):
        return row.without
    return row.own if own or row.stranger is None or row.reads_all(user) else row.stranger


def given(response: Any, path: str) -> Answer:
    """The answer in the table's words."""
    location = response.headers.get("Location", "")
    if location == f"/accounts/login/?next={path}":
        return LOGIN
    return int(response.status_code)


@pytest.mark.covers("ACC-13")
@pytest.mark.parametrize("role", ROLES)
def test_every_address_answers_as_the_table_says(world: World, role: str) -> None:
    wrong = []
    for route, method, row in EXPECTED:
        for own in (True, False) if row.stranger is not None else (True,):
            path = world.path(route, role, own=own)
            with transaction.atomic():
                response = world.client(role).generic(
                    method, path, data=encoded(row.data), content_type="application/x-www-form-urlencoded"
                )
                read_to_end(response)
                transaction.set_rollback(True)
            wanted, got = expected(row, world.users[role], own=own), given(response, path)
            if wanted != got:
                wrong.append(f"{method} {path} ({'own' if own else 'of a stranger'}): {got}, expected {wanted}")
    assert not wrong, "\n".join(wrong)


def read_to_end(response: Any) -> None:
    """A download holds its file open until it is read."""
    if response.streaming:
        list(response)


def encoded(data: Mapping[str, str]) -> bytes:
    """What a form sends."""
    return urlencode(data).encode()


@pytest.mark.parametrize("role", ["operator", "staff"])
def test_no_form_is_taken_without_its_token(world: World, role: str) -> None:
    taken = []
    for route, method, row in EXPECTED:
        if method == "POST" and route not in WITHOUT_FORM and expected(row, world.users[role], own=True) != 405:
            response = world.client(role, enforce_csrf_checks=True).post(world.path(route, role), dict(row.data))
            if response.status_code != 403:
                taken.append(f"{route}: {response.status_code}")
    assert not taken, "\n".join(taken)


def everything() -> dict[str, list[Any]]:
    """All rows of the database, but for sessions, picture codes (each look at a form has its own) and when somebody logged in."""
    return {
        model._meta.label: [
            {name: value for name, value in row.items() if name != "last_login"} for row in model._base_manager.order_by("pk").values()
        ]
        for model in apps.get_models()
        if model not in (Session, CaptchaStore)
    }


@pytest.mark.parametrize("role", ROLES)
def test_looking_changes_nothing(world: World, role: str) -> None:
    before = everything()
    for route in TABLE:
        read_to_end(world.client(role).get(world.path(route, role)))
    assert everything() == before


def test_what_is_nowhere_is_404_for_everybody(world: World) -> None:
    for role in ROLES:
        client = world.client(role)
        for path in ("/nowhere/", "/smartgate/", "/smartgate/filings/new", "/smartgate/filings/x/", "/reference/lookup/customs/x/"):
            response = client.get(path)
            # A forgotten slash is put right; it tells nothing about what is there.
            assert response.status_code == (301 if path == "/smartgate/filings/new" else 404), (role, path)
    client = world.client("operator")
    for path in ("/smartgate/filings/999999999/", "/smartgate/filings/999999999999999999999/", "/reference/lookup/none/"):
        assert client.get(path).status_code == 404, path
