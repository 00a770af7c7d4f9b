"""URLs of the account pages."""

from django.urls import path

from accounts.views import first_login, login, passwords

app_name = "accounts"
urlpatterns = [
    path("login/", login.LoginView.as_view(), name="login"),
    path("logout/", login.LogoutView.as_view(), name="logout"),
    path("first-login/", first_login.FirstLoginView.as_view(), name="first_login"),
    path("password/change/", passwords.ChangePasswordView.as_view(), name="password_change"),
    path("password/forgotten/", passwords.ForgottenPasswordView.as_view(), name="password_forgotten"),
    path("password/forgotten/code/", passwords.ResetPasswordView.as_view(), name="password_reset"),
]
