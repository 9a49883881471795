"""A storage pool's XML: built from a spec, read back into one, and edited in place.

https://libvirt.org/formatstorage.html#storage-pool-xml. What a spec does not know survives an edit.
"""

from lxml import etree

from hypervisors.libvirtxml.definitions import DefinitionXml, digest_of, indented, root_of, set_text
from hypervisors.libvirtxml.documents import attribute_at, child_at, number, text_at
from hypervisors.libvirtxml.storage_pool_specs import SourceHost, StoragePoolSpec, name_problem, spec_problems

# What libvirt tells of an active storage pool, and nobody defines.
_TOLD = ("capacity", "allocation", "available")


def build_storage_pool(spec: StoragePoolSpec) -> str:
    """The XML for virStoragePoolDefineXML. The spec has no problems (storage_pool_specs.spec_problems)."""
    root = etree.Element("pool", type=spec.pool_type)
    etree.SubElement(root, "name").text = spec.name
    if spec.uuid:
        etree.SubElement(root, "uuid").text = spec.uuid
    _write(root, spec)
    return indented(root)


def read_storage_pool_spec(xml: str) -> StoragePoolSpec:
    """What a spec knows of it. Raises: ValueError when it is not a storage pool's."""
    root = _pool(xml)
    source, auth = child_at(root, "source"), child_at(root, "source/auth")
    return StoragePoolSpec(
        pool_type=root.get("type", ""),
        name=text_at(root, "name"),
        uuid=text_at(root, "uuid"),
        target_path=text_at(root, "target/path"),
        hosts=() if source is None else tuple(_host(host) for host in source.iterchildren("host")),
        devices=() if source is None else tuple(device.get("path", "") for device in source.iterchildren("device")),
        directory=attribute_at(source, "dir", "path"),
        source_name=text_at(source, "name"),
        format=attribute_at(source, "format", "type"),
        protocol_version=attribute_at(source, "protocol", "ver"),
        initiator=attribute_at(source, "initiator/iqn", "name"),
        adapter=attribute_at(source, "adapter", "name"),
        auth_username=attribute_at(auth, "", "username"),
        secret_uuid=attribute_at(auth, "secret", "uuid"),
        secret_usage=attribute_at(auth, "secret", "usage"),
    )


def edit_storage_pool(xml: str, spec: StoragePoolSpec) -> str:
    """The XML with what the spec says differently. Name, UUID and type stay.

    Raises: ValueError when one of those differs, or it is not a storage pool's XML.
    """
    root, before = _pool(xml), read_storage_pool_spec(xml)
    if (spec.pool_type, spec.name) != (before.pool_type, before.name) or spec.uuid not in ("", before.uuid):
        raise ValueError("A storage pool's name, UUID and type stay as they are.")
    _write(root, spec, before)
    return indented(root)


def definition_of(xml: str) -> str:
    """The XML without what only an active storage pool tells. Raises: ValueError."""
    root = _pool(xml)
    for child in [child for child in root if child.tag in _TOLD]:
        root.remove(child)
    return indented(root)


def definition_digest(xml: str) -> str:
    """The same for the same definition, whatever the spaces between its elements; SHA-256. Raises: ValueError."""
    return digest_of(_pool(definition_of(xml)))


def with_identity(xml: str, *, name: str, uuid: str) -> str:
    """The same storage pool under this name and UUID. Raises: ValueError."""
    root = _pool(xml)
    set_text(root, "name", name)
    set_text(root, "uuid", uuid)
    return indented(root)


def _pool(xml: str) -> etree._Element:
    return root_of(xml, "pool", "storage pool")


def _write(root: etree._Element, spec: StoragePoolSpec, before: StoragePoolSpec | None = None) -> None:
    """Where `before` is None or differs."""

    def is_new(*names: str) -> bool:
        return before is None or any(getattr(spec, name) != getattr(before, name) for name in names)

    source = child_at(root, "source")
    if source is None:
        source = etree.SubElement(root, "source")
    if is_new("hosts"):
        _set_hosts(source, spec.hosts)
    if is_new("devices"):
        _set_devices(source, spec.devices)
    for name, tag, attribute in _ATTRIBUTES:
        if is_new(name):
            _set_attribute(source, tag, attribute, str(getattr(spec, name)))
    if is_new("source_name"):
        set_text(source, "name", spec.source_name)
    if is_new("initiator"):
        _set_initiator(source, spec.initiator)
    if is_new("auth_username", "secret_uuid", "secret_usage"):
        _set_auth(source, spec)
    if len(source) == 0 and not source.attrib:
        root.remove(source)
    if is_new("target_path"):
        _set_target(root, spec.target_path)


_ATTRIBUTES = (
    ("directory", "dir", "path"),
    ("format", "format", "type"),
    ("protocol_version", "protocol", "ver"),
    ("adapter", "adapter", "name"),
)


def _host(element: etree._Element) -> SourceHost:
    return SourceHost(name=element.get("name", ""), port=number(element.get("port", "")))


def _set_hosts(source: etree._Element, hosts: tuple[SourceHost, ...]) -> None:
    """Those that stay keep their elements."""
    old = {_host(element): element for element in source.iterchildren("host")}
    for element in old.values():
        source.remove(element)
    for position, host in enumerate(hosts):
        source.insert(position, old[host] if host in old else _new_host(host))


def _new_host(host: SourceHost) -> etree._Element:
    element = etree.Element("host", name=host.name)
    if host.port is not None:
        element.set("port", str(host.port))
    return element


def _set_devices(source: etree._Element, devices: tuple[str, ...]) -> None:
    """Those that stay keep their elements, and with them what libvirt knows of their extents."""
    old = {element.get("path", ""): element for element in source.iterchildren("device")}
    for element in old.values():
        source.remove(element)
    for path in devices:
        source.append(old.get(path, etree.Element("device", path=path)))


def _set_attribute(source: etree._Element, tag: str, attribute: str, value: str) -> None:
    element = child_at(source, tag)
    if not value:
        if element is not None:
            source.remove(element)
        return
    if element is None:
        element = etree.SubElement(source, tag)
    element.set(attribute, value)


def _set_initiator(source: etree._Element, name: str) -> None:
    element = child_at(source, "initiator")
    if element is not None:
        source.remove(element)
    if name:
        etree.SubElement(etree.SubElement(source, "initiator"), "iqn", name=name)


def _set_auth(source: etree._Element, spec: StoragePoolSpec) -> None:
    element = child_at(source, "auth")
    if not spec.auth_username:
        if element is not None:
            source.remove(element)
        return
    if element is None:
        element = etree.SubElement(source, "auth", type="" if spec.type is None else spec.type.auth_type)
    element.set("username", spec.auth_username)
    secret = child_at(element, "secret")
    if secret is None:
        secret = etree.SubElement(element, "secret")
    for name, value in (("uuid", spec.secret_uuid), ("usage", spec.secret_usage)):
        if value:
            secret.set(name, value)
        elif name in secret.attrib:
            del secret.attrib[name]


def _set_target(root: etree._Element, path: str) -> None:
    target = child_at(root, "target")
    if target is None:
        if not path:
            return
        target = etree.SubElement(root, "target")
    set_text(target, "path", path)
    if len(target) == 0:
        root.remove(target)


STORAGE_POOL_XML = DefinitionXml(
    root="pool",
    read=read_storage_pool_spec,
    build=build_storage_pool,
    edit=edit_storage_pool,
    with_identity=with_identity,
    digest=definition_digest,
    from_json=StoragePoolSpec.from_json,
    problems=spec_problems,
    name_problem=name_problem,
)
