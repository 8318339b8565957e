"""`/api/schema` and `/api/docs`: the API's description, for programs and for people. Both are public."""

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.renderers import StaticHTMLRenderer, TemplateHTMLRenderer


class Schema(SpectacularAPIView):
    """OpenAPI 3, as YAML, or as JSON with `?format=json`."""


class DocsPage(SpectacularSwaggerSplitView):
    """Swagger UI from a Python package. Its script is a request of its own, because no page here has inline code."""

    template_name = "openai_api/docs.html"
    url_name = "openai_api:schema"
    renderer_classes = [TemplateHTMLRenderer, StaticHTMLRenderer]
    schema = None
