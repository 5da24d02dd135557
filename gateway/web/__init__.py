"""The HTTP views and the page. Import it only when HTTP is enabled: FastAPI alone costs 8 MB and 0.2 s."""

from gateway.web.api import Source, build
from gateway.web.server import Server, Unavailable, serve

__all__ = ["Server", "Source", "Unavailable", "build", "serve"]
