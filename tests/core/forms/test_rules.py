"""Conditional rules: what is required, what is grey, and what the browser is told."""

import json

from core.forms.rules import Rule, as_json, evaluate

VESSEL = Rule("vessel_name", required_when={"header.transport_mode": {"2"}}, grey_when={"header.transport_mode": {"4", "5"}})
OBJECT = Rule("object_id", required_when=[{"object_type": {"C", "T"}}, {"object_type": {"B"}, "header.ie_flag": {"I"}}])


def test_a_condition_over_the_header_requires_and_greys() -> None:
    for mode, required, grey in [("2", True, False), ("4", False, True), ("5", False, True), ("", False, False)]:
        state = evaluate([VESSEL], {"header.transport_mode": mode})["vessel_name"]
        assert (state.is_required, state.is_grey) == (required, grey)


def test_a_list_of_conditions_is_an_or_and_a_dict_an_and() -> None:
    for kind, flag, required in [("C", "E", True), ("B", "I", True), ("B", "E", False), ("VC", "I", False)]:
        assert evaluate([OBJECT], {"object_type": kind, "header.ie_flag": flag})["object_id"].is_required is required


def test_grey_wins_over_required() -> None:
    rule = Rule("x", required_when={"a": {"1"}}, grey_when={"b": {"1"}})
    state = evaluate([rule], {"a": "1", "b": "1"})["x"]
    assert (state.is_required, state.is_grey) == (False, True)


def test_a_field_that_is_not_there_counts_as_empty() -> None:
    assert evaluate([Rule("bind_key_info", grey_when={"bind_key_type": {""}})], {})["bind_key_info"].is_grey


def test_the_browser_gets_the_same_rules() -> None:
    assert json.loads(as_json([VESSEL, OBJECT], {"object_id"})) == [
        {
            "field": "vessel_name",
            "required": [{"header.transport_mode": ["2"]}],
            "grey": [{"header.transport_mode": ["4", "5"]}],
            "always": False,
        },
        {
            "field": "object_id",
            "required": [{"object_type": ["C", "T"]}, {"header.ie_flag": ["I"], "object_type": ["B"]}],
            "grey": [],
            "always": True,
        },
    ]
