"""中央标准版: the standard edition's login, an OpenID Connect provider (authorisation code with PKCE) for demos and tests."""
