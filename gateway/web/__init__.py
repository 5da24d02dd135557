"""The HTTP views and the page. Import it only when HTTP is enabled: it costs 10 MB and 0.15 s."""

from gateway.web.lean import lean

with lean():
    from gateway.web.api import Source, build
    from gateway.web.server import Server, Unavailable, serve

__all__ = ["Server", "Source", "Unavailable", "build", "serve"]
