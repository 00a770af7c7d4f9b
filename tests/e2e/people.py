"""People who register: enterprises and users that nobody has yet, their phones, and the pages they fill in."""

import json
import re
import secrets
import time
import urllib.request
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Stack
from tests.factories import credit_code, identity_number

PASSED = "PASSED"
OWN_PASSWORD = "Bohai2026"
#: How long an SMS may take from the button to the phone.
SMS_SECONDS = 15


@dataclass(frozen=True)
class Person:
    """Somebody who will have an account."""

    username: str
    full_name: str
    mobile: str
    id_no: str
    password: str = OWN_PASSWORD

    @property
    def email(self) -> str:
        """An address of his."""
        return f"{self.username}@example.com"


@dataclass(frozen=True)
class Firm:
    """An enterprise that will be registered, and its people."""

    name: str
    credit_code: str
    administrator: Person
    operator: Person


def new_person(full_name: str) -> Person:
    """Somebody whom no other test knows."""
    number = secrets.randbelow(10**8)
    # Numbers that end in 0404, 0408, 0500 or 0503 have the SMS simulator play trouble.
    return Person(f"u{number:08d}", full_name, f"139{number // 10:07d}1", identity_number(number))


def new_firm() -> Firm:
    """An enterprise that no other test knows."""
    number = 10_000_000 + secrets.randbelow(80_000_000)
    return Firm(f"大连渤海湾第{number}贸易有限公司", credit_code(number), new_person("陈经理"), new_person("林操作"))


def texts_to(stack: Stack, mobile: str) -> list[str]:
    """What came to a phone, newest first, as the SMS simulator has it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{stack.sms_url}/messages.json?mobile={mobile}", timeout=10) as answer:
        return [message["text"] for message in json.load(answer)["messages"]]


def code_on(stack: Stack, mobile: str, purpose: str, *, after: int = 0) -> str:
    """The six digits of the newest code for this purpose; waits until more than `after` texts have come."""
    until = time.monotonic() + SMS_SECONDS
    while True:
        texts = [text for text in texts_to(stack, mobile) if purpose in text]
        if len(texts) > after:
            match = re.search(r"验证码 (\d{6})", texts[0])
            assert match, texts[0]
            return match[1]
        assert time.monotonic() < until, f"no code for {purpose} came to {mobile}"
        time.sleep(0.1)


def ask_for_code(page: Page, stack: Stack, person: Person, purpose: str) -> str:
    """Press 获取验证码 and read the phone."""
    before = len([text for text in texts_to(stack, person.mobile) if purpose in text])
    page.get_by_role("button", name="获取验证码").click()
    expect(page.locator(".sms-code-note")).to_contain_text("验证码已发送")
    return code_on(stack, person.mobile, purpose, after=before)


def fill_enterprise(page: Page, firm: Firm) -> None:
    """Step 1, 企业信息."""
    page.get_by_label("企业名称").fill(firm.name)
    page.get_by_label("统一信用代码").fill(firm.credit_code)
    page.get_by_label("贸易公司").check()
    page.get_by_label("报关行").check()
    page.get_by_label("法人姓名").fill("高法人")
    page.get_by_label("法人身份证号").fill(identity_number(7))
    page.get_by_label("办公电话").fill("0411-82730000")
    page.get_by_label("办公地址").fill("大连市中山区港湾街 1 号")
    page.get_by_role("button", name="下一步").click()


def fill_user(page: Page, stack: Stack, person: Person) -> None:
    """Step 2, 用户信息, the code of the phone included."""
    page.get_by_label("登录用户名").fill(person.username)
    page.locator("#id_password1").fill(person.password)
    page.locator("#id_password2").fill(person.password)
    page.get_by_label("姓名").fill(person.full_name)
    page.get_by_label("身份证号").fill(person.id_no)
    page.get_by_label("手机号").fill(person.mobile)
    page.get_by_label("邮箱").fill(person.email)
    code = ask_for_code(page, stack, person, "用户注册")
    page.get_by_label("验证码").fill(code)
    page.get_by_role("button", name="下一步").click()


def fill_services(page: Page, *applications: str) -> None:
    """Step 3, 业务开通."""
    page.get_by_label("货物申报").check()
    for application in applications:
        page.get_by_label(application).check()
    page.get_by_label("企业报检注册号").fill("2100000000")
    page.locator("#id_accept_agreements").check()
    page.get_by_role("button", name="注册", exact=True).click()


def register(page: Page, stack: Stack, firm: Firm) -> None:
    """The whole registration, 继续 and the operator included; ends at 恭喜您注册成功."""
    page.goto("/")
    page.get_by_role("link", name="注册", exact=True).click()
    fill_enterprise(page, firm)
    fill_user(page, stack, firm.administrator)
    fill_services(page, "智能卡口散杂货", "海关查验信息推送")
    expect(page.get_by_text("是否继续注册本公司其他用户？")).to_be_visible()
    page.get_by_role("button", name="继续").click()
    fill_user(page, stack, firm.operator)
    fill_services(page, "智能卡口散杂货")
    expect(page.get_by_text("是否继续注册本公司其他用户？")).to_be_visible()
    page.get_by_role("button", name="取消").click()
    expect(page.get_by_role("heading", name="恭喜您注册成功！")).to_be_visible()


def log_in_first(page: Page, stack: Stack, person: Person) -> None:
    """Log in for the first time: password, picture code, 账号验证 with the code of the phone."""
    page.goto("/accounts/login/")
    page.get_by_label("用户名").fill(person.username)
    page.get_by_label("密码").fill(person.password)
    page.get_by_label("验证码").fill(PASSED)
    page.get_by_role("button", name="登录", exact=True).click()
    expect(page.get_by_text("请通过预留的手机号码，验证账户")).to_be_visible()
    page.get_by_label("验证码").fill(ask_for_code(page, stack, person, "账号验证"))
    page.get_by_role("button", name="下一步").click()


def log_out(page: Page) -> None:
    """退出登录, from the user's menu."""
    page.locator(".user-menu > button").hover()
    page.locator(".user-menu > button").focus()
    page.get_by_role("button", name="退出登录").click()
