"""What customs does with a filing, chosen by the plate or by `--behaviour`.

A plate that ends in a token and two digits (辽BREJ01, 辽BREJ02 …) decides before the option does, so that one running simulator
shows every case. The tokens have no letter I or O: a plate has none after the province (`domain.md` §1). Of a MOD or DEL the remark
decides before the plate, by the same tokens at its end: the same vehicle can be changed once with success, and once without.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One SGW102: what happens, how many answer delays after the filing was taken, and how often it is sent.

    `copies` messages with ids of their own tell of the same receipt; `repeats` says how often each goes byte for byte.
    """

    event: str
    after: float = 1
    code: str = ""
    note: str = ""
    copies: int = 1
    repeats: int = 1


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How customs treats one vehicle.

    `receipt` is the technical answer: STORED, REJECTED, FAIL_BOX (the agent puts the file aside without a word) or NONE.
    `silent_copies` copies of a message pass before anything is said; None is for ever. `steps` follow an ADD, `change_steps` a
    MOD or DEL.
    """

    name: str
    token: str
    steps: Sequence[Step] = (Step("STORED"),)
    change_steps: Sequence[Step] = (Step("CHANGE_ACCEPTED"),)
    receipt: str = "STORED"
    silent_copies: int | None = 0


_REJECTED = Step("REJECTED", code="E1203", note="车辆重量与备案不符，请核对后重新申报")
_CHANGE_REJECTED = Step("CHANGE_REJECTED", code="E1310", note="车辆已到达卡口，不予变更")
#: To a change of a version that customs does not hold, whatever the script says.
NOT_HELD = Step("CHANGE_REJECTED", code="E1311", note="海关现持有的不是该变更所针对的版本")

ACCEPT = Behaviour("accept", "ACC")
BEHAVIOURS = (
    ACCEPT,
    Behaviour("reject", "REJ", steps=(_REJECTED,)),
    Behaviour("reject-change", "CRJ", change_steps=(_CHANGE_REJECTED,)),
    Behaviour("late", "LAT", steps=(Step("STORED", after=20),), change_steps=(Step("CHANGE_ACCEPTED", after=20),)),
    Behaviour(
        "twice",
        "TWC",
        steps=(Step("STORED", copies=2, repeats=2),),
        change_steps=(Step("CHANGE_ACCEPTED", copies=2, repeats=2),),
    ),
    Behaviour(
        "swapped",
        "SWP",
        steps=(Step("CLOSED"), Step("STORED", after=2)),
        change_steps=(Step("CLOSED"), Step("CHANGE_ACCEPTED", after=2)),
    ),
    Behaviour("mute", "MUT", silent_copies=2),
    Behaviour("never", "NEV", silent_copies=None),
    Behaviour("no-receipt", "NRC", receipt="NONE"),
    Behaviour("refuse", "RFS", receipt="REJECTED", steps=(), change_steps=()),
    Behaviour("fail-box", "FAL", receipt="FAIL_BOX", steps=(), change_steps=()),
    Behaviour("lock", "LCK", steps=(Step("STORED"), Step("LOCKED", after=2))),
    Behaviour("unlock", "UNL", steps=(Step("STORED"), Step("LOCKED", after=2), Step("UNLOCKED", after=3))),
    Behaviour("close", "CLS", steps=(Step("STORED"), Step("CLOSED", after=2))),
    Behaviour("close-manually", "MAN", steps=(Step("STORED"), Step("CLOSED_MANUALLY", after=2))),
    Behaviour("depart", "DEP", steps=(Step("STORED"), Step("CLOSED", after=2), Step("DEPARTED", after=3))),
)
BY_NAME = {behaviour.name: behaviour for behaviour in BEHAVIOURS}
_SCRIPTED = re.compile(r"(?P<token>[A-Z]{3})[0-9]{2}$")
_BY_TOKEN = {behaviour.token: behaviour for behaviour in BEHAVIOURS}


def script_of(*, function: str, bind_key_info: str, remark: str) -> str:
    """What of a message chooses the behaviour: its plate, or the remark of a MOD or DEL that ends in a token."""
    asked = _SCRIPTED.search(remark.upper())
    return remark if function != "ADD" and asked and asked["token"] in _BY_TOKEN else bind_key_info


def behaviour_for(script: str, default: Behaviour) -> Behaviour:
    """The behaviour that a plate or a remark asks for by its token and two digits, else `default`."""
    asked = _SCRIPTED.search(script.upper())
    return _BY_TOKEN.get(asked["token"], default) if asked else default
