"""`manage.py register_hypervisor`: make, or bring up to date, a hypervisor's row from the command line."""

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from hypervisors.access import audit
from hypervisors.administration.secret_destinations import misdirected_secrets
from hypervisors.errors import InvalidUri
from hypervisors.gateway.known_hosts import bind_known_hosts
from hypervisors.gateway.uris import HypervisorUri, parse_uri
from hypervisors.inventory.refresh_requests import request_hypervisors_refresh
from hypervisors.models import Hypervisor, HypervisorCredentials, HypervisorPool
from hypervisors.models.hypervisor_credentials import CREDENTIALS, readable_credentials_of

# Option -> column: credentials come from files, for a command line is seen by everybody.
_FILES = {
    "sasl_password_file": "sasl_password",
    "ssh_private_key_file": "ssh_private_key",
    "ssh_known_hosts_file": "ssh_known_hosts",
    "tls_ca_certificate_file": "tls_ca_certificate",
    "tls_client_certificate_file": "tls_client_certificate",
    "tls_client_key_file": "tls_client_key",
}


class Command(BaseCommand):
    help = "Register a hypervisor; one of that name is brought up to date. The watcher picks it up by itself."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--pool", required=True, help="name of the hypervisor pool; made when it is missing")
        parser.add_argument("--name", required=True)
        parser.add_argument("--uri", required=True, help="for example qemu:///system or qemu+ssh://root@host/system")
        parser.add_argument("--migration-uri", default="", help="how other hypervisors reach it; empty: as --uri")
        parser.add_argument("--sasl-username", default="")
        for option in _FILES:
            parser.add_argument(f"--{option.replace('_', '-')}", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        uri = _checked(options["uri"])
        values = {"uri": uri.text, "migration_uri": ""}
        if options.get("migration_uri"):
            values["migration_uri"] = _checked(options["migration_uri"]).text
        credentials = {"sasl_username": options["sasl_username"]} if options.get("sasl_username") else {}
        credentials |= {column: _read(options[name]) for name, column in _FILES.items() if options.get(name)}
        if credentials.get("ssh_known_hosts"):
            credentials["ssh_known_hosts"] = _bound(credentials["ssh_known_hosts"], uri)
        said = _register(options["pool"], options["name"], values, credentials)
        if not said.endswith("already."):
            audit.record(
                None,
                "add a host",
                subject_type="hypervisor",
                subject_name=options["name"],
                after={"uri": values["uri"], "pool": options["pool"]},
                detail="by the command line",
            )
        request_hypervisors_refresh()
        if options["verbosity"]:
            self.stdout.write(said)


@transaction.atomic
def _register(pool_name: str, name: str, values: dict[str, str], credentials: dict[str, str]) -> str:
    pool, _created = HypervisorPool.objects.get_or_create(name=pool_name)
    hypervisor, created = Hypervisor.objects.select_for_update().get_or_create(
        name=name, defaults={"hypervisor_pool": pool, **values}
    )
    if created:
        HypervisorCredentials.objects.create(hypervisor=hypervisor, **credentials)
        return f"Registered {name}."
    stored, _readable = readable_credentials_of(hypervisor)
    wanted = {column: getattr(stored, column) for column in CREDENTIALS} | credentials
    is_same = all(getattr(hypervisor, k) == v for k, v in values.items())
    if hypervisor.hypervisor_pool_id == pool.pk and is_same and all(getattr(stored, k) == v for k, v in wanted.items()):
        return f"{name} is registered already."
    former = {column: getattr(stored, column) for column in CREDENTIALS}
    elsewhere = misdirected_secrets(hypervisor.uri, former, values["uri"], wanted, typed=frozenset(credentials))
    if elsewhere:
        options = ", ".join(f"--{column.replace('_', '-')}-file" for column in elsewhere)
        raise CommandError(
            f"What is stored for {name} to sign in with was stored for {next(iter(elsewhere.values()))} and goes "
            f"nowhere else. Give it again with {options}."
        )
    if hypervisor.uri != values["uri"]:
        # It may be another machine now: the watcher finds out which.
        hypervisor.host_uuid = None
    for column, value in values.items():
        setattr(hypervisor, column, value)
    hypervisor.hypervisor_pool = pool
    hypervisor.revision += 1
    hypervisor.save(update_fields=[*values, "hypervisor_pool", "revision", "host_uuid"])
    HypervisorCredentials(hypervisor=hypervisor, **wanted).save()
    return f"Brought {name} up to date."


def _checked(uri: str) -> HypervisorUri:
    try:
        return parse_uri(uri, allow_test_driver=settings.ALLOW_TEST_DRIVER)
    except InvalidUri as error:
        raise CommandError(str(error)) from error


def _bound(known_hosts: str, uri: HypervisorUri) -> str:
    try:
        return bind_known_hosts(known_hosts, uri.host, uri.port or 0)
    except ValueError as error:
        raise CommandError(f"--ssh-known-hosts-file: {error}") from error


def _read(path: Path) -> str:
    # `./run manage` changes to its own directory before this runs.
    path = Path(os.environ.get("VMPORTAL_CALLED_FROM", ".")) / path
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error
