"""Static files from the folders they are written in, for a site without a web server in front.

In production nginx serves what `collectstatic` gathered; this is not used there.
"""

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.http import HttpRequest, HttpResponseBase


class StaticFiles(ASGIStaticFilesHandler):
    """Django's own handler, with an answer that browsers check before they reuse it.

    Without a hash in their names, files may change under the same address at any update.
    """

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        response = await super().get_response_async(request)
        response["Cache-Control"] = "no-cache"
        response["X-Content-Type-Options"] = "nosniff"
        return response
