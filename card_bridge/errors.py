"""What goes wrong, as a page is told of it: a text for the person and a code for the page (`"Error": [text, "Err:" + code]`).

The codes with `Custom` and `Base` are the official control's; those with `Bridge` are ours, for what it has no published code for.
"""


class BridgeError(Exception):
    """A call fails: `text` (Chinese, says what to do) and `code` go to the page; neither holds a PIN or what was to be signed."""

    code = "Bridge50000"

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        if code is not None:
            self.code = code

    def as_list(self) -> list[str]:
        """The member `Error` of the answer."""
        return [self.text, f"Err:{self.code}"]


class BadArgumentsError(BridgeError):
    """The call itself is wrong: no JSON, an argument is missing or has the wrong form."""

    code = "Base50000"


class ServiceNotReachedError(BridgeError):
    """The operating system's smart card service does not answer."""

    code = "Base60408"


class NoReaderError(BridgeError):
    """No card reader is connected, or the chosen one is not."""

    code = "Custom50200"


class NoCardError(BridgeError):
    """No card, or none with a certificate that names a card number."""

    code = "Custom51590"


class CardLostError(BridgeError):
    """The reader could not reset the card, or the card went away in the middle."""

    code = "Custom50070"


class CardFailedError(BridgeError):
    """The card answered with something that cannot be used."""

    code = "Bridge50001"


class WrongPinError(BridgeError):
    """The PIN was wrong and another try is left."""

    code = "Bridge40101"

    def __init__(self, tries_left: int) -> None:
        super().__init__(f"卡密码错误，还可以再试 {tries_left} 次。")
        self.tries_left = tries_left


class CardBlockedError(BridgeError):
    """No try is left: the card takes no PIN any more."""

    code = "Bridge40102"

    def __init__(self) -> None:
        super().__init__("卡密码错误次数过多，卡已锁定（剩余 0 次），请到制卡单位解锁。")


class OriginNotAllowedError(BridgeError):
    """The page is not one that may use the card."""

    code = "Bridge40301"

    def __init__(self) -> None:
        super().__init__("此网页的地址不在读卡程序的允许列表中，没有读卡。请在启动读卡程序时用 --origin 加入该网站的地址。")


class SignatureMismatchError(BridgeError):
    """The signature is not one of this certificate over these data."""

    code = "Bridge42201"

    def __init__(self) -> None:
        super().__init__("签名与原文或证书不符。")


class TooMuchError(BridgeError):
    """More data than the program takes, or more at once than it can hold."""

    code = "Bridge41301"
