"""URLs of the code tables."""

app_name = "reference"
urlpatterns: list[object] = []
