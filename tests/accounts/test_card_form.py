"""What the card panel posts, as the server takes it (CARD-02, CARD-05)."""

import pytest

from accounts.forms.card import MOST_CERTIFICATE, MOST_SIGNATURE, CardSignatureForm, presented_in

GOOD = {"certificate": "Q0VSVA==", "signature": "U0lHTg==", "challenge": "0123456789abcdef" * 4}


@pytest.mark.covers("CARD-02")
def test_what_the_panel_posts():
    form = CardSignatureForm(GOOD)
    assert form.is_valid()
    assert (form.presented().certificate, form.presented().signature) == (GOOD["certificate"], GOOD["signature"])
    assert form.cleaned_data["challenge"] == GOOD["challenge"]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("certificate", "", "required"),
        ("signature", "", "required"),
        ("certificate", "A" * (MOST_CERTIFICATE + 1), "max_length"),
        ("signature", "A" * (MOST_SIGNATURE + 1), "max_length"),
        ("signature", "A\0", "null_characters_not_allowed"),
        ("challenge", "0123456789ABCDEF" * 4, "invalid"),
        ("challenge", "0" * 63, "invalid"),
        ("challenge", "0" * 65, "max_length"),
    ],
)
def test_what_is_no_signature(name: str, value: str, code: str):
    form = CardSignatureForm({**GOOD, name: value})
    assert not form.is_valid()
    assert code in [error.code for error in form.errors.as_data()[name]]
    assert presented_in({**GOOD, name: value}) is None


def test_the_largest_that_is_taken():
    values = {"certificate": "A" * MOST_CERTIFICATE, "signature": "A" * MOST_SIGNATURE, "challenge": ""}
    assert CardSignatureForm(values).is_valid()


def test_nothing_presented():
    assert presented_in({"action": "declare"}) is None
    assert presented_in(GOOD) is not None
