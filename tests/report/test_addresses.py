"""E-mail addresses in names."""

import pytest

from mindpics.report.addresses import hide_addresses


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("ann@home.org", "ann@…"),
        ("Jakob [a.b-c@mail.example.com]", "Jakob [a.b-c@…]"),
        ("Zoë (zoë@epita.fr)", "Zoë (zoë@…)"),
        ("a@b.org and c@d.org", "a@… and c@…"),
        ("@handle", "@handle"),
        ("five @ noon", "five @ noon"),
        ("package@12", "package@12"),
        ("", ""),
    ],
)
def test_what_follows_the_at_of_an_address_is_not_shown(name, shown):
    assert hide_addresses(name) == shown
