"""What customs does with a filing, chosen by the last five characters of the plate or by `--behaviour`.

A plate decides before the option does, so that one running simulator shows every case. The tokens have no letter I or O:
a plate has none after the province (`domain.md` §1).
"""

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

ACCEPT = Behaviour("accept", "ACC01")
BEHAVIOURS = (
    ACCEPT,
    Behaviour("reject", "REJ01", steps=(_REJECTED,)),
    Behaviour("reject-change", "CRJ01", change_steps=(_CHANGE_REJECTED,)),
    Behaviour("late", "LATE1", steps=(Step("STORED", after=20),)),
    Behaviour("twice", "TWC01", steps=(Step("STORED", copies=2, repeats=2),)),
    Behaviour("swapped", "SWP01", steps=(Step("CLOSED"), Step("STORED", after=2))),
    Behaviour("mute", "MUT01", silent_copies=2),
    Behaviour("never", "NEV01", silent_copies=None),
    Behaviour("no-receipt", "NRC01", receipt="NONE"),
    Behaviour("refuse", "RFS01", receipt="REJECTED", steps=(), change_steps=()),
    Behaviour("fail-box", "FAL01", receipt="FAIL_BOX", steps=(), change_steps=()),
    Behaviour("lock", "LCK01", steps=(Step("STORED"), Step("LOCKED", after=2))),
    Behaviour("unlock", "UNL01", steps=(Step("STORED"), Step("LOCKED", after=2), Step("UNLOCKED", after=3))),
    Behaviour("close", "CLS01", steps=(Step("STORED"), Step("CLOSED", after=2))),
    Behaviour("close-manually", "MAN01", steps=(Step("STORED"), Step("CLOSED_MANUALLY", after=2))),
    Behaviour("depart", "DEP01", steps=(Step("STORED"), Step("CLOSED", after=2), Step("DEPARTED", after=3))),
)
BY_NAME = {behaviour.name: behaviour for behaviour in BEHAVIOURS}
_BY_TOKEN = {behaviour.token: behaviour for behaviour in BEHAVIOURS}


def behaviour_for(bind_key_info: str, default: Behaviour) -> Behaviour:
    """The behaviour a plate asks for, else `default`."""
    return _BY_TOKEN.get(bind_key_info[-5:].upper(), default)
