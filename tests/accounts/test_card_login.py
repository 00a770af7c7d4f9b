"""卡介质 login (CARD-02): challenges over HTTP, and what a card's signature opens."""

from datetime import timedelta

import pytest
from django.contrib.auth import SESSION_KEY
from django.test import Client
from django.utils import timezone

from accounts import known_browsers
from accounts.models import BoundCard, CardChallenge, CardPurpose, Enterprise, LoginAttempt, LoginMethod, LoginOutcome, User
from accounts.services import bound_cards, card_challenges, login
from accounts.signatures.refusals import ChallengeRefusedError
from simulators.cards.keys import KeyType
from tests.accounts.card_holders import bind, card_of, signed
from tests.accounts.conftest import publish_list
from tests.accounts.factors import code_of, give_totp
from tests.accounts.pages import errors_of, trail, tree_of
from tests.cards import Authorities
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.django_db, pytest.mark.covers("CARD-02")]
CHALLENGE = "/accounts/card/challenge/"


def use(client, value, *, purpose=CardPurpose.LOGIN, user=None):
    key = client.session.session_key
    card_challenges.use(purpose=purpose, value=value, bound_to=f"{key} {user.pk}" if user else key)


def test_a_visitor_gets_a_challenge_for_his_own_session(client):
    value = client.post(CHALLENGE, {"purpose": "login"}).json()["challenge"]
    with pytest.raises(ChallengeRefusedError):
        use(client, value, purpose=CardPurpose.BIND)
    use(client, value)


def test_a_challenge_to_bind_is_for_who_is_logged_in(client, operator, operator_client, other_operator):
    refused = client.post(CHALLENGE, {"purpose": "bind"})
    assert refused.status_code == 403
    assert "请重新登录" in refused.json()["error"]
    value = operator_client.post(CHALLENGE, {"purpose": "bind"}).json()["challenge"]
    with pytest.raises(ChallengeRefusedError):
        use(operator_client, value, purpose=CardPurpose.BIND, user=other_operator)
    use(operator_client, value, purpose=CardPurpose.BIND, user=operator)


@pytest.mark.parametrize("purpose", ["", "authorise", "pay"])
def test_there_is_no_challenge_for_anything_else(operator_client, purpose):
    refused = operator_client.post(CHALLENGE, {"purpose": purpose})
    assert refused.status_code == 400
    assert refused.json()["error"]
    assert not CardChallenge.objects.exists()


def test_a_challenge_comes_with_the_form_of_a_page_only():
    assert Client(enforce_csrf_checks=True).post(CHALLENGE, {"purpose": "login"}).status_code == 403


def test_a_browser_gets_twenty_challenges_a_minute(client):
    answers = [client.post(CHALLENGE, {"purpose": "login"}).status_code for _ in range(21)]
    assert answers == [200] * 20 + [429]
    assert "1 分钟" in client.post(CHALLENGE, {"purpose": "login"}).json()["error"]
    assert Client().post(CHALLENGE, {"purpose": "login"}).status_code == 200


def test_an_address_gets_so_many_challenges_a_minute(settings):
    settings.ACCOUNT_RATE_LIMITS = settings.ACCOUNT_RATE_LIMITS | {"card_challenge": "3/m/ip"}
    answers = [Client().post(CHALLENGE, {"purpose": "login"}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert not answers[-1].cookies, "nobody beyond the limit gets a session"
    assert Client(REMOTE_ADDR="10.2.3.4").post(CHALLENGE, {"purpose": "login"}).status_code == 200


def test_challenges_are_given_out_while_redis_is_away(client, settings):
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    assert client.post(CHALLENGE, {"purpose": "login"}).status_code == 200


# -- Logging in -----------------------------------------------------------------------------------

PAGE = "/accounts/login/card/"
LIST = "/smartgate/filings/"
KINDS = (KeyType.SM2, KeyType.RSA_2048, KeyType.P256)


@pytest.fixture
def card(trusted_cards, operator):
    """The operator's bound card."""
    card = card_of(operator.enterprise, trusted_cards)
    bind(operator, card)
    return card


def challenge_of(client):
    return client.post(CHALLENGE, {"purpose": "login"}).json()["challenge"]


def log_in(client, card, *, challenge=None, signs=None, **more):
    """What the card panel posts. `signs`: what the card is made to sign instead."""
    challenge = challenge or challenge_of(client)
    given = signed(card, challenge if signs is None else signs)
    return client.post(PAGE, {"challenge": challenge, "certificate": given.certificate, "signature": given.signature, **more})


def refused(response):
    """What the page says; nobody is in."""
    assert SESSION_KEY not in response.client.session
    return errors_of(response)


def is_in(client):
    return client.get(LIST).status_code == 200


@pytest.mark.parametrize("kind", KINDS)
def test_the_bound_card_opens_its_account(client, operator, trusted_cards, settings, kind):
    trusted_cards.trust(settings.CARD_TRUST_ANCHORS, kind)
    publish_list(trusted_cards, settings.CARD_CRL_DIR, kind)
    card = card_of(operator.enterprise, trusted_cards, kind=kind)
    bind(operator, card)
    response = log_in(client, card, next=f"{LIST}?status=draft")
    assert response["Location"] == f"{LIST}?status=draft"
    assert is_in(client)
    assert client.session[SESSION_KEY] == str(operator.pk)


def test_it_is_in_the_login_history_as_a_card(client, operator, card):
    log_in(client, card)
    (attempt,) = LoginAttempt.objects.all()
    assert (attempt.user, attempt.method, attempt.outcome) == (operator, LoginMethod.CARD, LoginOutcome.SUCCEEDED)
    assert "卡介质" in client.get("/accounts/security/history/").content.decode()
    operator.refresh_from_db()
    assert operator.last_login is not None
    assert known_browsers.COOKIE in client.cookies


def test_the_session_gets_another_key(client, card):
    """Who planted a session in this browser is not in with it."""
    client.get(PAGE)
    challenge = challenge_of(client)
    before = client.session.session_key
    log_in(client, card, challenge=challenge)
    assert is_in(client)
    assert client.session.session_key != before
    stranger = Client()
    stranger.cookies["sessionid"] = before
    assert not is_in(stranger)


@pytest.mark.parametrize("other", ["/\\example.com", "https://example.com/steal"])
def test_another_host_is_never_the_page_after_login(client, card, other):
    assert log_in(client, card, next=other)["Location"] == "/"


def test_the_page_asked_for_is_kept_from_tab_to_tab(client):
    asked = client.get(f"{LIST}?status=draft")["Location"]
    wanted = "/smartgate/filings/%3Fstatus%3Ddraft"
    password = client.get(asked)
    (tab, foot) = tree_of(password).xpath("//main//a[normalize-space()='卡介质']/@href")
    assert tab == foot == f"{PAGE}?next={wanted}"
    cards = client.get(tab)
    assert tree_of(cards).xpath("//main//a[normalize-space()='用户名密码']/@href") == [f"/accounts/login/?next={wanted}"]
    assert tree_of(cards).xpath("//main//form[.//*[@data-card-panel]]//input[@name='next']/@value") == [f"{LIST}?status=draft"]


def test_the_card_tab_has_the_manuals_words(client):
    page = " ".join(tree_of(client.get(PAGE)).find("body").text_content().split())
    for words in ("请输入IC卡密码", "请您按照以下步骤进行：", "请先插入IC卡。", "输入框中输入IC卡密码。", "登录", "卡控件下载"):
        assert words in page
    assert tree_of(client.get(PAGE)).xpath("//nav[@aria-label='登录方式']/a[@aria-current='page']/text()") == ["卡介质"]
    assert tree_of(client.get("/accounts/login/")).xpath("//nav[@aria-label='登录方式']/a[@aria-current='page']/text()") == ["用户名密码"]


def test_who_is_in_goes_on_at_once(operator_client):
    assert operator_client.get(f"{PAGE}?next={LIST}")["Location"] == LIST


class TestTheChallenge:
    """One use, two minutes, one browser."""

    OVER = "本次签名已失效"

    def test_the_same_once_more(self, client, card):
        challenge = challenge_of(client)
        assert log_in(client, card, challenge=challenge).status_code == 302
        client.post("/accounts/logout/")
        assert self.OVER in refused(log_in(client, card, challenge=challenge))

    def test_one_that_was_signed_wrong_has_had_its_try(self, client, card):
        challenge = challenge_of(client)
        assert "签名与所签内容或证书不符" in refused(log_in(client, card, challenge=challenge, signs="other"))
        assert self.OVER in refused(log_in(client, card, challenge=challenge))

    def test_one_of_another_browser(self, client, card):
        challenge = challenge_of(Client())
        challenge_of(client)
        assert self.OVER in refused(log_in(client, card, challenge=challenge))
        assert self.OVER in refused(log_in(Client(), card, challenge=challenge)), "nor in a browser without a session"

    def test_one_to_bind_with(self, client, card):
        challenge_of(client)
        challenge = card_challenges.issue(purpose=CardPurpose.BIND, bound_to=client.session.session_key)
        assert self.OVER in refused(log_in(client, card, challenge=challenge))

    def test_one_that_is_too_old(self, client, card):
        challenge = challenge_of(client)
        CardChallenge.objects.update(expires_at=timezone.now())
        assert self.OVER in refused(log_in(client, card, challenge=challenge))

    def test_none_at_all(self, client, card):
        given = signed(card, "")
        assert self.OVER in refused(client.post(PAGE, {"certificate": given.certificate, "signature": given.signature}))
        assert "没有收到IC卡的签名" in refused(client.post(PAGE, {}))


class TestTheCertificate:
    """Whoever has no card of a trusted authority reads why, and nothing about accounts."""

    def test_expired(self, client, operator, trusted_cards):
        begin = timezone.now() - timedelta(days=400)
        self._refused(client, card_of(operator.enterprise, trusted_cards, valid_from=begin, days=365), "卡证书已于")

    def test_not_yet_valid(self, client, operator, trusted_cards):
        self._refused(client, card_of(operator.enterprise, trusted_cards, valid_from=timezone.now() + timedelta(days=1)), "起生效")

    def test_of_an_unknown_issuer(self, client, operator, trusted_cards, tmp_path):
        bind(operator, card_of(operator.enterprise, trusted_cards))
        strangers = Authorities(tmp_path / "strangers")
        self._refused(client, card_of(operator.enterprise, strangers), "不是由本平台认可的机构签发")

    def test_signed_by_another_card(self, client, card, operator, trusted_cards):
        """The certificate of a bound card is no secret; its key is."""
        challenge = challenge_of(client)
        forged = signed(card_of(operator.enterprise, trusted_cards), challenge)
        response = client.post(PAGE, {"challenge": challenge, "certificate": card.as_text, "signature": forged.signature})
        assert "签名与所签内容或证书不符" in refused(response)
        assert LoginAttempt.objects.get().user is None, "what a stranger sends is in nobody's history"

    @pytest.mark.parametrize("junk", ["%%%", "QUJD", "0" * 4000])
    def test_junk(self, client, card, junk):
        for name in ("certificate", "signature"):
            challenge = challenge_of(client)
            good = signed(card, challenge)
            sent = {"challenge": challenge, "certificate": good.certificate, "signature": good.signature} | {name: junk}
            assert refused(client.post(PAGE, sent))

    def test_revoked(self, client, card, operator, trusted_cards, settings):
        """Lost or stolen: its owner sees in his history that somebody has it."""
        trusted_cards.of(KeyType.P256).revoke(card.serial)
        publish_list(trusted_cards, settings.CARD_CRL_DIR, KeyType.P256)
        self._refused(client, card, "被吊销或挂失")
        (attempt,) = LoginAttempt.objects.all()
        assert (attempt.user, attempt.outcome, attempt.method) == (operator, LoginOutcome.FAILED, LoginMethod.CARD)

    def test_nobody_knows_whether_it_is_revoked(self, client, card, settings, tmp_path):
        settings.CARD_CRL_DIR = tmp_path
        settings.LOGIN_FAILURES_PER_ADDRESS = 1
        for _time in range(2):
            self._refused(client, card, "暂时无法查询卡证书是否被吊销")

    @staticmethod
    def _refused(client, card, text):
        assert text in refused(log_in(client, card))


class TestWhoseItIs:
    def test_bound_to_nobody(self, client, operator, trusted_cards):
        text = refused(log_in(client, card_of(operator.enterprise, trusted_cards)))
        assert "此卡尚未绑定账号" in text
        assert "我的IC卡" in text

    def test_a_wrong_signature_reads_alike_for_cards_bound_and_unbound(self, client, card, operator, trusted_cards):
        other = card_of(operator.enterprise, trusted_cards, card_no="2100000000009")
        bound, unbound = (refused(log_in(client, one, signs="other")) for one in (card, other))
        assert bound == unbound

    def test_now_of_another_enterprise(self, client, card, trusted_cards, other_enterprise):
        text = refused(log_in(client, card_of(other_enterprise, trusted_cards)))
        assert "与所绑定账号的企业不一致" in text
        assert other_enterprise.name in text

    def test_without_a_code_the_name_decides(self, client, operator, trusted_cards):
        Enterprise.objects.filter(pk=operator.enterprise_id).update(name="大连（测试）公司")
        operator.enterprise.refresh_from_db()
        bind(operator, card_of(operator.enterprise, trusted_cards))
        unnamed = {"organisation_code": ""}
        assert "与所绑定账号的企业不一致" in refused(
            log_in(client, card_of(operator.enterprise, trusted_cards, **unnamed, enterprise_name="大连测试公司"))
        )
        log_in(client, card_of(operator.enterprise, trusted_cards, **unnamed, enterprise_name="大连(测试)公司"))
        assert is_in(client)

    def test_its_number_now_on_somebody_elses_card(self, client, card, operator, trusted_cards):
        other = card_of(operator.enterprise, trusted_cards, name="王另人", id_no="21020219900101012X")
        assert "持卡人已与绑定时不同" in refused(log_in(client, other))

    def test_a_renewed_certificate_takes_the_place_of_the_old_one(self, client, card, operator, trusted_cards):
        renewed = card_of(operator.enterprise, trusted_cards, days=900)
        log_in(client, renewed)
        assert is_in(client)
        assert bytes(BoundCard.unscoped.get(user=operator).certificate) == renewed.certificate
        (entry,) = trail("accounts.card.renew")
        assert entry.actor_name == "operator1"

    def test_a_certificate_that_opens_nothing_takes_no_place(self, client, card, operator, trusted_cards):
        User.objects.filter(pk=operator.pk).update(is_active=False)
        assert refused(log_in(client, card_of(operator.enterprise, trusted_cards, days=900)))
        assert bytes(BoundCard.unscoped.get(user=operator).certificate) == card.certificate


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"is_active": False}, "您的账号已停用"),
        ({"frozen_at": timezone.now()}, "已被冻结"),
        ({"enterprise": False}, "您所在的企业已停用"),
    ],
)
def test_an_account_that_may_not_be_used_says_why(client, operator, card, change, text):
    if "enterprise" in change:
        Enterprise.objects.filter(pk=operator.enterprise_id).update(is_active=False)
    else:
        User.objects.filter(pk=operator.pk).update(**change)
    assert text in refused(log_in(client, card))
    assert LoginAttempt.objects.get().outcome == LoginOutcome.CLOSED


class TestAfterTheCard:
    """What follows is as after a password."""

    def test_the_second_factor(self, client, operator, card):
        secret = give_totp(operator)
        assert log_in(client, card, next=LIST)["Location"] == "/accounts/2fa/authenticate/"
        assert not is_in(client)
        assert LoginAttempt.objects.get().outcome == LoginOutcome.PROVEN
        assert client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})["Location"] == LIST
        (attempt,) = LoginAttempt.objects.all()
        assert (attempt.method, attempt.outcome) == (LoginMethod.CARD, LoginOutcome.SUCCEEDED)

    def test_a_card_unbound_before_the_second_factor_opens_nothing(self, client, operator, card):
        secret = give_totp(operator)
        log_in(client, card)
        bound_cards.unbind(actor=operator, user_id=operator.pk, card_no=operator.bound_card.card_no)
        response = client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)}, follow=True)
        assert "此卡已与账号解绑" in response.content.decode()
        assert not is_in(client)
        assert LoginAttempt.objects.get().outcome == LoginOutcome.CLOSED

    def test_each_way_that_was_begun_has_its_own_row(self, client, operator, card):
        """Who gives his password, leaves the second factor open and takes his card came in by the card."""
        secret = give_totp(operator)
        password = {"username": "operator1", "password": PASSWORD, "captcha_0": "x", "captcha_1": "PASSED"}
        client.post("/accounts/login/", password)
        log_in(client, card)
        client.post("/accounts/login/", password)
        log_in(client, card)
        client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
        assert is_in(client)
        found = list(LoginAttempt.objects.order_by("pk").values_list("method", "outcome"))
        proven = [(LoginMethod.PASSWORD, LoginOutcome.PROVEN), (LoginMethod.CARD, LoginOutcome.PROVEN)]
        assert found == [*proven, proven[0], (LoginMethod.CARD, LoginOutcome.SUCCEEDED)]

    def test_another_way_does_not_end_the_attempt_with_the_card(self, operator, card, client):
        """A passkey, say, after the card was left at the second factor."""
        give_totp(operator)
        log_in(client, card)
        begun = LoginAttempt.objects.get()
        login.record_login(user=operator, method=LoginMethod.PASSKEY, attempt_id=begun.pk, ip="127.0.0.1", user_agent="")
        found = list(LoginAttempt.objects.order_by("pk").values_list("method", "outcome"))
        assert found == [(LoginMethod.CARD, LoginOutcome.PROVEN), (LoginMethod.PASSKEY, LoginOutcome.SUCCEEDED)]

    def test_the_gates(self, client, operator, card):
        User.objects.filter(pk=operator.pk).update(first_login_verified_at=None)
        log_in(client, card)
        assert client.get(LIST)["Location"].startswith("/accounts/first-login/")


class TestTheThrottle:
    def test_what_no_card_signed_closes_the_door_for_its_address(self, client, card, settings):
        settings.LOGIN_FAILURES_PER_ADDRESS = 3
        for _time in range(3):
            assert "签名与所签内容或证书不符" in refused(log_in(client, card, signs="other"))
        assert "15 分钟" in refused(log_in(client, card))
        assert LoginAttempt.objects.latest("pk").outcome == LoginOutcome.THROTTLED
        elsewhere = Client(REMOTE_ADDR="10.2.3.4")
        log_in(elsewhere, card)
        assert is_in(elsewhere)
        LoginAttempt.objects.update(at=timezone.now() - timedelta(minutes=16))
        log_in(client, card)
        assert is_in(client)

    def test_wrong_passwords_do_not_keep_cards_out(self, client, operator, card, settings):
        settings.LOGIN_FAILURES_PER_ADDRESS = 2
        for _time in range(2):
            self._password(Client(), "Wrong12345")
        assert "已暂停登录" in self._password(Client()).content.decode()
        log_in(client, card)
        assert is_in(client)

    def test_wrong_cards_do_not_keep_passwords_out(self, client, operator, card, settings):
        settings.LOGIN_FAILURES_PER_ADDRESS = 2
        for _time in range(2):
            log_in(Client(), card, signs="other")
        assert "已暂停" in refused(log_in(Client(), card))
        self._password(client)
        assert is_in(client)

    @staticmethod
    def _password(client, password=PASSWORD):
        return client.post("/accounts/login/", {"username": "operator1", "password": password, "captcha_0": "x", "captcha_1": "PASSED"})

    def test_a_good_card_that_opens_nothing_closes_no_door(self, client, operator, trusted_cards, settings):
        settings.LOGIN_FAILURES_PER_ADDRESS = 1
        for _time in range(2):
            assert "此卡尚未绑定账号" in refused(log_in(client, card_of(operator.enterprise, trusted_cards)))
