"""URLs under the names by which django-allauth reverses them; its other pages are not part of the portal."""

from allauth.mfa.webauthn.views import login_webauthn
from django.urls import path
from django.views.generic import RedirectView

from accounts.views import login, second_factor

_to_security = RedirectView.as_view(pattern_name="accounts:security")

urlpatterns = [
    path("login/", login.LoginView.as_view(), name="account_login"),
    path("logout/", login.LogoutView.as_view(), name="account_logout"),
    path("reauthenticate/", second_factor.PasswordAgainView.as_view(), name="account_reauthenticate"),
    path("2fa/", _to_security, name="mfa_index"),
    path("2fa/authenticate/", second_factor.AuthenticateView.as_view(), name="mfa_authenticate"),
    path("2fa/reauthenticate/", second_factor.CodeAgainView.as_view(), name="mfa_reauthenticate"),
    path("2fa/totp/activate/", second_factor.ActivateTotpView.as_view(), name="mfa_activate_totp"),
    path("2fa/totp/deactivate/", second_factor.DeactivateTotpView.as_view(), name="mfa_deactivate_totp"),
    path("2fa/recovery-codes/", second_factor.RecoveryCodesView.as_view(), name="mfa_view_recovery_codes"),
    path("2fa/recovery-codes/generate/", second_factor.NewRecoveryCodesView.as_view(), name="mfa_generate_recovery_codes"),
    path("2fa/recovery-codes/download/", second_factor.DownloadRecoveryCodesView.as_view(), name="mfa_download_recovery_codes"),
    path("2fa/webauthn/", _to_security, name="mfa_list_webauthn"),
    path("2fa/webauthn/add/", second_factor.AddPasskeyView.as_view(), name="mfa_add_webauthn"),
    path("2fa/webauthn/login/", login_webauthn, name="mfa_login_webauthn"),
    path("2fa/webauthn/reauthenticate/", second_factor.PasskeyAgainView.as_view(), name="mfa_reauthenticate_webauthn"),
    path("2fa/webauthn/keys/<int:pk>/edit/", second_factor.RenamePasskeyView.as_view(), name="mfa_edit_webauthn"),
    path("2fa/webauthn/keys/<int:pk>/remove/", second_factor.RemovePasskeyView.as_view(), name="mfa_remove_webauthn"),
]
