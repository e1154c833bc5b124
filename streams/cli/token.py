"""`consentry token`: bearer tokens for those who ask and those who write."""

from pathlib import Path

import click

from consentry.errors import ConsentryError
from consentry.settings import Settings
from streams.cli.frame import note, show, with_settings

ROLES = ("asker", "producer", "guardian_verifier", "operator", "auditor", "publisher")


@click.group()
def token() -> None:
    """Make bearer tokens for those who ask and write.

    \b
    Example:
      consentry token create --name camera-app --role asker --token-file tokens
    """


@token.command()
@click.option("--name", required=True, help="Whose it is; events carry it as their producer.")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice(ROLES), help="May be repeated.")
@with_settings("token_file")
def create(settings: Settings, name: str, roles: tuple[str, ...]) -> None:
    """Make a token, print it once, and add its hash to the token file.

    Only the hash is kept: a token that is lost is replaced, not found. A node reads the file again by itself.

    \b
    Example:
      consentry token create --name camera-app --role asker --role producer --token-file tokens
    """
    from consentry.intake import CallerRole
    from streams.access import add_token

    if not settings.token_file:
        raise ConsentryError("no token file is named", remedy="--token-file FILE, or CONSENTRY_TOKEN_FILE")
    made = add_token(Path(settings.token_file), name, [CallerRole(role) for role in roles])
    show(made)
    note(f"shown this once; its hash is in {settings.token_file}")
