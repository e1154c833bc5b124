"""The command `consentry`. A command is parse, call, print; each group has a file, imported when it is needed."""

import click

from streams.cli.frame import LazyGroup

MODULES = {
    "demo": "streams.cli.demo:demo",
    "broker": "streams.cli.broker:broker",
    "topics": "streams.cli.topics:topics",
    "token": "streams.cli.token:token",
    "policy": "streams.cli.policy:policy",
    "service": "streams.cli.service:service",
    "controller": "streams.cli.controller:controller",
    "incident": "streams.cli.incident:incident",
    "worker": "streams.cli.run:worker",
    "serve": "streams.cli.run:serve",
    "publish": "streams.cli.publish:publish",
    "check": "streams.cli.check:check",
    "state": "streams.cli.state:state",
    "watch": "streams.cli.watch:watch",
    "audit": "streams.cli.audit:audit",
    "quarantine": "streams.cli.quarantine:quarantine",
    "settings": "streams.cli.settings:settings",
}


@click.group(
    cls=LazyGroup,
    modules=MODULES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="consentry", message="%(prog)s %(version)s")
def main() -> None:
    """Ask before you collect: a privacy policy as running software.

    \b
    See it work, on a Kafka of its own:
      consentry demo
    \b
    From nothing to an answer, a terminal each for the long-running ones:
      consentry broker
      export CONSENTRY_BOOTSTRAP_SERVERS=127.0.0.1:<port it printed>
      consentry topics create
      consentry policy publish policy.yaml --text policy.txt
      consentry token create --name me --role asker --role producer --token-file tokens
      consentry worker
      consentry serve --token-file tokens
      consentry check account:42 --operation collect --purpose delivery --data address

    Results go to stdout, all else to stderr. Exit codes: 0 done or ALLOW, 1 DENY or a check failed,
    2 wrong use, 3 it could not be found out. Every setting is a CONSENTRY_ variable too: `consentry settings`.
    """
