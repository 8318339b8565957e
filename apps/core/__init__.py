"""Shared kernel: errors, request ids, health, the one door for outgoing HTTP. It knows no other app."""
