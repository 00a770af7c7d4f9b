"""`manage.py reset_second_factor USERNAME`: for the last member of staff who lost his second factor."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from accounts.services import second_factor


class Command(BaseCommand):
    help = "Takes all second factors from a user and ends his sessions; he sets up a new one after the next login. Audited."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        try:
            user = User.objects.get_by_natural_key(username)
        except User.DoesNotExist:
            raise CommandError(f"no user {username!r}") from None
        removed = second_factor.reset(user=user, actor=None)
        self.stdout.write(f"{user.get_username()}: {removed} second factors removed, sessions ended" if removed else "nothing to remove")
