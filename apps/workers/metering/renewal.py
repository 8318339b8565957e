"""Keeps this process's open reservations from expiring, four times a lease."""

from apps.accounts.ledger import CALL_LEASE_S, reservations_renew
from apps.core.renewal import Renewal

_reservations = Renewal(reservations_renew, every_s=CALL_LEASE_S / 4, what="reservations")

keep = _reservations.keep
let_go = _reservations.let_go
