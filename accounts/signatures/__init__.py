"""Who signed what with a card, and whether that counts: SM2, RSA and ECDSA signatures, certificates, chains, revocation.

    certificates   what a certificate says, as a dataclass
    algorithms     one signature over some bytes
    chains         up to an anchor that the operator trusts, at a given time
    revocation     what a CRL or an OCSP answer says; no network
    sources        where CRLs and OCSP answers come from: files, the database, the network
    cards          all of it together, for a card's signature
    stored         the same of evidence that was kept: no network, as of the time of the signature
    refusals       each way it can fail, with a text for the user

Whatever a stranger hands in, nothing but a `SignatureRefusedError` comes out.
"""
