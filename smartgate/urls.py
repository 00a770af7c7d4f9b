"""URLs of the smart gate."""

app_name = "smartgate"
urlpatterns: list[object] = []
