"""Views: each parses a request, calls one service, and renders what came of it. `routes.py` says which address is whose."""
