"""Where and with what somebody logs in, in words (ACC-14), and the note about a login that is unlike the earlier ones."""

import ipaddress
import re
from datetime import timedelta
from functools import lru_cache

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from ua_parser import parse

from accounts.models import LoginAttempt, LoginOutcome
from accounts.services.notes import tell

#: A place or device that was not seen for so long is a new one again.
SEEN_FOR = timedelta(days=90)
#: How much of an address stands for its neighbourhood: providers hand out single addresses anew all the time.
_NEIGHBOURHOOD = {4: 16, 6: 32}


def describe(ip: str, user_agent: str) -> tuple[str, str]:
    """Place and device of a login: ("内网", "Chrome 130 / Windows").

    The place is what an address says by itself, 本机, 内网 or 外网 (docs/adr/0062-places-of-logins.md); an empty text for no address.
    """
    return _place(ip), _device(user_agent)


def _place(ip: str) -> str:
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_loopback:
        return _("本机")
    return _("外网") if address.is_global else _("内网")


@lru_cache(maxsize=500)
def _device(user_agent: str) -> str:
    if not user_agent:
        return ""
    found = parse(user_agent[:300])
    browser = ""
    if found.user_agent and found.user_agent.family != "Other":
        browser = " ".join(filter(None, (found.user_agent.family, found.user_agent.major)))
    system = found.os.family if found.os and found.os.family != "Other" else ""
    return (" / ".join(filter(None, (browser, system))) or _("无法识别的设备"))[:100]


def tell_of_unknown_login(attempt: LoginAttempt) -> bool:
    """Tell the user by SMS and e-mail when he logged in from a place or with a device unlike those of the last 90 days.

    Call it in the transaction that writes the successful `attempt`. A first login has nothing to be unlike. Gives whether he is told.
    """
    user = attempt.user
    if user is None or attempt.outcome != LoginOutcome.SUCCEEDED or not settings.LOGIN_NOTICE:
        return False
    earlier = (
        LoginAttempt.objects.filter(user=user, outcome=LoginOutcome.SUCCEEDED, at__gt=attempt.at - SEEN_FOR, at__lte=attempt.at)
        .exclude(pk=attempt.pk)
        .values_list("ip", "device")
        .distinct()
    )
    places, devices = {neighbourhood(ip) for ip, _unused in earlier}, {_kind(device) for _unused, device in earlier}
    if not places or (neighbourhood(attempt.ip) in places and _kind(attempt.device) in devices):
        return False
    when = timezone.localtime(attempt.at).strftime("%Y-%m-%d %H:%M")
    where = " ".join(filter(None, (attempt.place, attempt.ip))) or _("未知地点")
    text = _(
        "您的账号于 %(when)s 从 %(where)s、使用 %(device)s 登录，与以往不同。如非本人操作，请立即修改密码，并在“登录安全”中退出其他登录。"
    ) % {"when": when, "where": where, "device": attempt.device or _("未知设备")}
    tell(user, subject=_("新的登录地点或设备"), text=text)
    return True


def neighbourhood(ip: str) -> str:
    """What two addresses of one place have in common; private addresses are all of one place."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ""
    if not address.is_global:
        return _place(ip)
    return str(ipaddress.ip_network(f"{ip}/{_NEIGHBOURHOOD[address.version]}", strict=False))


def _kind(device: str) -> str:
    """The device without its versions: a browser that was brought up to date is no other browser."""
    return re.sub(r" \d+(?= /|$)", "", device)
