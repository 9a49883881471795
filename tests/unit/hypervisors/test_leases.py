"""What DHCP servers gave: addresses by MAC, whatever else a lease says."""

from hypervisors.gateway.networks.leases import addresses_by_mac


def test_addresses_are_sorted_by_card_and_nonsense_is_left_out() -> None:
    leases = [
        {"mac": "52:54:00:AA:00:01", "ipaddr": "192.168.122.9", "hostname": "<b>"},
        {"mac": "52:54:00:aa:00:01", "ipaddr": "fd00:0::9"},
        {"mac": "52:54:00:aa:00:01", "ipaddr": "192.168.122.9"},
        {"mac": "52:54:00:aa:00:02", "ipaddr": "<script>"},
        {"mac": None, "ipaddr": "192.168.122.10"},
        {},
    ]
    assert addresses_by_mac(leases) == {"52:54:00:aa:00:01": ["192.168.122.9", "fd00::9"]}


def test_one_card_cannot_fill_the_table() -> None:
    leases = [{"mac": "52:54:00:aa:00:01", "ipaddr": f"10.0.0.{n}"} for n in range(200)]
    assert len(addresses_by_mac(leases)["52:54:00:aa:00:01"]) == 4
