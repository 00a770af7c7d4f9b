"""URLs of the account pages."""

from django.urls import path

from accounts.views import (
    applications,
    cards,
    first_login,
    history,
    login,
    operators,
    passwords,
    profile,
    qualifications,
    second_factor,
    sessions,
    single_sign_on,
)

app_name = "accounts"
urlpatterns = [
    path("login/", login.LoginView.as_view(), name="login"),
    path("logout/", login.LogoutView.as_view(), name="logout"),
    path("first-login/", first_login.FirstLoginView.as_view(), name="first_login"),
    path("password/change/", passwords.ChangePasswordView.as_view(), name="password_change"),
    path("password/forgotten/", passwords.ForgottenPasswordView.as_view(), name="password_forgotten"),
    path("password/forgotten/code/", passwords.ResetPasswordView.as_view(), name="password_reset"),
    path("profile/", profile.ProfileView.as_view(), name="profile"),
    path("profile/mobile/", profile.NewMobileView.as_view(), name="mobile"),
    path("operators/", operators.OperatorListView.as_view(), name="operators"),
    path("operators/new/", operators.NewOperatorView.as_view(), name="operator_new"),
    path("operators/<int:pk>/edit/", operators.EditOperatorView.as_view(), name="operator_edit"),
    path("operators/<int:pk>/disable/", operators.DisableOperatorView.as_view(), name="operator_disable"),
    path("operators/<int:pk>/enable/", operators.EnableOperatorView.as_view(), name="operator_enable"),
    path("operators/<int:pk>/reset-password/", operators.ResetPasswordView.as_view(), name="operator_reset_password"),
    path("operators/<int:pk>/applications/", applications.OperatorApplicationsView.as_view(), name="operator_applications"),
    path("applications/", applications.ApplicationsView.as_view(), name="applications"),
    path("applications/<slug:key>/open/", applications.ApplicationSwitchView.as_view(opens=True), name="application_open"),
    path("applications/<slug:key>/close/", applications.ApplicationSwitchView.as_view(opens=False), name="application_close"),
    path("cards/", cards.CardsView.as_view(), name="cards"),
    path("qualifications/", qualifications.QualificationsView.as_view(), name="qualifications"),
    path("security/", second_factor.SecurityView.as_view(), name="security"),
    path("security/sessions/", sessions.SessionsView.as_view(), name="sessions"),
    path("security/sessions/<int:pk>/end/", sessions.EndSessionView.as_view(), name="end_session"),
    path("security/sessions/end-others/", sessions.EndOtherSessionsView.as_view(), name="end_other_sessions"),
    path("security/history/", history.LoginHistoryView.as_view(), name="login_history"),
    path("oidc/standard_edition/login/callback/", single_sign_on.CallbackView.as_view(), name="standard_edition_callback"),
    path("standard-edition/", single_sign_on.StartView.as_view(), name="standard_edition"),
    path("standard-edition/first/register/", single_sign_on.RegisterView.as_view(), name="standard_edition_register"),
    path("standard-edition/first/bind/", single_sign_on.BindView.as_view(), name="standard_edition_bind"),
    path("standard-edition/done/", single_sign_on.DoneView.as_view(), name="standard_edition_done"),
    path("standard-edition/signed-out/", single_sign_on.SignedOutView.as_view(), name="standard_edition_signed_out"),
    path("standard-edition/backchannel-logout/", single_sign_on.BackchannelLogoutView.as_view(), name="standard_edition_backchannel"),
]
