"""Why a signature or a certificate is not accepted: one class for each reason, with the text that the user reads."""

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class SignatureRefusedError(ValidationError):
    """The signature does not count; the text says why and what to do. `code` names the reason for programs."""

    text: Any = _("签名未通过验证，请重新插卡后再试。")
    reason = "signature_refused"

    def __init__(self, **params: Any) -> None:
        super().__init__(self.text, code=self.reason, params=params or None)


class MalformedCertificateError(SignatureRefusedError):
    """What was handed in as a certificate is none, or lacks what a card's certificate must say."""

    text = _("无法识别卡中的证书。请重新插卡后再试；仍不行请到电子口岸制卡中心检查此卡。")
    reason = "malformed_certificate"


class UnsupportedKeyError(SignatureRefusedError):
    """The key is of a kind or size that is not accepted."""

    text = _("卡中证书的密钥类型不受支持（支持 SM2、RSA 2048 位及以上、P-256、P-384）。请到电子口岸制卡中心更换新卡。")
    reason = "unsupported_key"


class WrongSignatureError(SignatureRefusedError):
    """The signature is not of this certificate's key over these bytes."""

    text = _("签名与所签内容或证书不符。请确认读卡器中是本人的卡，刷新页面后重新签名。")
    reason = "wrong_signature"


class WrongKeyUsageError(SignatureRefusedError):
    """The certificate is not for signing."""

    text = _("该证书不是签名证书，不能用于登录和申报。请使用卡中的签名证书。")
    reason = "wrong_key_usage"


class ExpiredError(SignatureRefusedError):
    """The certificate's period is over."""

    text = _("卡证书已于 %(valid_to)s 到期。请到电子口岸制卡中心办理证书更新后再使用。")
    reason = "expired"

    def __init__(self, valid_to: datetime) -> None:
        super().__init__(valid_to=_day(valid_to))


class NotYetValidError(SignatureRefusedError):
    """The certificate's period has not begun."""

    text = _("卡证书自 %(valid_from)s 起生效，目前不能使用。请在生效后再试，如卡已启用请联系电子口岸制卡中心。")
    reason = "not_yet_valid"

    def __init__(self, valid_from: datetime) -> None:
        super().__init__(valid_from=_day(valid_from))


class UnknownIssuerError(SignatureRefusedError):
    """No configured anchor vouches for the certificate."""

    text = _("卡证书不是由本平台认可的机构签发。请使用中国电子口岸签发的卡；确为电子口岸卡的，请联系平台客服。")
    reason = "unknown_issuer"


class AuthorityNotValidError(UnknownIssuerError):
    """Who issued the certificate is known, but was not entitled to at that time: period, constraints, key usage."""

    text = _("卡证书的签发机构证书不在有效期内或无权签发。请联系平台客服更新签发机构证书。")
    reason = "authority_not_valid"


class RevokedError(SignatureRefusedError):
    """The issuer has revoked the certificate."""

    text = _("卡证书已于 %(revoked_at)s 被吊销或挂失，不能使用。请到电子口岸制卡中心办理新卡。")
    reason = "revoked"

    def __init__(self, revoked_at: datetime) -> None:
        super().__init__(revoked_at=_day(revoked_at))
        self.revoked_at = revoked_at


class RevocationUnknownError(SignatureRefusedError):
    """Nobody can say now whether the certificate is revoked; not accepted, but not the user's fault."""

    text = _("暂时无法查询卡证书是否被吊销，请几分钟后再试；仍不行请联系平台客服。")
    reason = "revocation_unknown"


class RevocationListTooOldError(RevocationUnknownError):
    """The CRL at hand is older than it may be, and there is no newer one."""

    text = _("证书吊销列表已过期（应于 %(next_update)s 前更新），暂时无法确认卡证书是否有效。请稍后再试，仍不行请联系平台客服。")
    reason = "revocation_list_too_old"

    def __init__(self, next_update: datetime) -> None:
        super().__init__(next_update=_day(next_update))


class EvidenceAlteredError(SignatureRefusedError):
    """A column of stored evidence says something else than what is signed. `column` is its name."""

    text = _("签名凭证的“%(column)s”与证书或所存内容不符，凭证可能已被改动。请联系平台管理员核查。")
    reason = "evidence_altered"

    def __init__(self, column: str) -> None:
        super().__init__(column=column)


class ChainBrokenError(SignatureRefusedError):
    """The certificates of stored evidence are no chain: one is not signed by the next, or one is too many."""

    text = _("签名凭证中的证书不成一条证书链，凭证可能已被改动。请联系平台管理员核查。")
    reason = "chain_broken"


class AnchorNotTrustedError(SignatureRefusedError):
    """Nobody of the stored chain is trusted today."""

    text = _("签名凭证的根证书不在当前信任的证书之中。根证书已更换的，请把当时的根证书放回信任目录，或用 --anchor 指定。")
    reason = "anchor_not_trusted"


class RevocationAnswerMissingError(SignatureRefusedError):
    """There is no revocation answer with the evidence, and the operator asks for one."""

    text = _("签名凭证中没有签名时的吊销查询结果，无法确认当时证书未被吊销。")
    reason = "revocation_answer_missing"


class AlgorithmNotAcceptedError(SignatureRefusedError):
    """The evidence is by an algorithm that the operator does not accept now."""

    text = _("签名算法 %(algorithm)s 目前不被接受。")
    reason = "algorithm_not_accepted"

    def __init__(self, algorithm: str) -> None:
        super().__init__(algorithm=algorithm)


class ChallengeRefusedError(SignatureRefusedError):
    """The challenge was never given out, was given to somebody else, has been used, or is too old."""

    text = _("本次签名已失效（有效期 2 分钟，仅能使用一次）。请刷新页面后重新操作。")
    reason = "challenge"


def _day(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M}"
