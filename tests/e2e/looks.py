"""What is looked at on every page, however one gets there: axe-core, words, headings, width; at a desk and on a phone."""

import re

from playwright.sync_api import Page, expect

SITE = "辽宁国际贸易单一窗口"
DEMO_ACCOUNTS = ("demo_operator", "demo_admin", "other_operator", "demo_terminal", "demo_customs", "demo_ccpit", "demo_staff")
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1440, "height": 900}

#: What the manual's agreement has of English.
AGREEMENTS = {"reverse", "engineer", "decompile", "disassemble"}
#: Accounts that the tests of the standard edition use and make.
CENTRAL_ACCOUNTS = {"yk_admin"}
#: What Chinese text may have of Latin letters: names of things, and the accounts of the demo.
LATIN = {
    "Excel",
    "Ikey",
    "Python",
    "Windows",
    "macOS",
    "Debian",
    "Ubuntu",
    "Chrome",
    "Edge",
    "Firefox",
    "Safari",
    "Ctrl",
    "card_bridge",
    "xlsx",
    "xls",
    "HeadlessChrome",
    "Linux",
    *DEMO_ACCOUNTS,
    *AGREEMENTS,
    *CENTRAL_ACCOUNTS,
}

#: Texts that are read: visible text nodes, and what is told only to a screen reader or on hover. What is typed into a command line is
#: in `code`.
TEXTS = """() => {
  const shown = (element) => element.checkVisibility({ visibilityProperty: true }) || element.closest(".visually-hidden");
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts = [document.title];
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!parent.closest("script, style, template, code") && shown(parent)) texts.push(walker.currentNode.textContent);
  }
  for (const element of document.body.querySelectorAll("[aria-label], [title], [placeholder], [alt]")) {
    for (const name of ["aria-label", "title", "placeholder", "alt"]) texts.push(element.getAttribute(name) ?? "");
  }
  return texts.map((text) => text.trim()).filter(Boolean);
}"""
#: What sticks out of the page to the right, named; nothing that scrolls in a frame of its own.
OVERFLOW = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
  [...document.body.querySelectorAll("*")].filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
    .map((element) => element.outerHTML.slice(0, 120)).slice(0, 5)"""


def axe(page: Page, options: str = "{}") -> list[str]:
    """What axe-core finds: rule, and the elements."""
    found: list[str] = page.evaluate(
        f"axe.run(document, {options}).then((found) => found.violations.map((one) => "
        "`${one.id} (${one.help}): ` + one.nodes.map((node) => node.html.slice(0, 200)).slice(0, 3).join(' | ')))"
    )
    return found


def english(texts: list[str]) -> list[str]:
    """Texts with a word in small Latin letters; what has digits in it is a number of something."""
    found = []
    for text in texts:
        if text.startswith("Mozilla/"):
            continue  # what a browser calls itself, in the audit trail
        words = re.findall(r"(?<![\w-])[A-Za-z_]{3,}(?![\w-])", text, re.ASCII)
        if any(word != word.upper() and word not in LATIN for word in words):
            found.append(text)
    return found


def outline_problems(page: Page) -> list[str]:
    """What is wrong with title, language and first heading."""
    problems = []
    if not re.fullmatch(rf".+ · {SITE}", page.title()):
        problems.append(f"title is “{page.title()}”")
    if page.locator("html").get_attribute("lang") != "zh-Hans":
        problems.append("lang is not zh-Hans")
    headings = [text for text in page.locator("h1").all_inner_texts() if text.strip()]
    if len(headings) != 1:
        problems.append(f"h1: {headings}")
    if page.locator("main").count() != 1:
        problems.append("not one main")
    return problems


def at_the_desk(page: Page) -> None:
    """Large and light."""
    page.set_viewport_size(DESK)
    page.emulate_media(color_scheme="light")


def on_a_phone(page: Page) -> None:
    """Small and dark."""
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark")


def problems_of(page: Page) -> list[str]:
    """Everything that is wrong with the page that is open, in a window with axe; the window is as large as before afterwards."""
    size = page.viewport_size
    at_the_desk(page)
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")
    problems = [
        *(f"outline: {one}" for one in outline_problems(page)),
        *(f"English: {one}" for one in english(page.evaluate(TEXTS))),
        *(f"at the desk sticks out: {one}" for one in page.evaluate(OVERFLOW)),
        *(f"light, axe: {one}" for one in axe(page)),
    ]
    on_a_phone(page)
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    problems += [f"on a phone sticks out: {one}" for one in page.evaluate(OVERFLOW)]
    problems += [f"dark phone, axe: {one}" for one in axe(page)]
    if size:
        page.set_viewport_size(size)
    return problems


def problems_without_a_script(page: Page) -> list[str]:
    """What is wrong with the page that is open, in a phone's window without a script."""
    problems = [f"sticks out: {one}" for one in page.evaluate(OVERFLOW)]
    if not page.locator("main h1").is_visible():
        problems.append("the heading is not to be seen")
    return problems
