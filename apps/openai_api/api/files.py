"""`/v1/files`: what batches read and write."""

from django.http import HttpResponseBase, StreamingHttpResponse
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import Endpoint
from apps.accounts.selectors import endpoint_check
from apps.openai_api import selectors
from apps.openai_api.api.door import SyncDoor
from apps.openai_api.errors import InvalidRequest, unsupported
from apps.openai_api.schema import stored
from apps.openai_api.schema.describe import described
from apps.openai_api.services import files
from apps.openai_api.stored_shapes import file_object, list_object

PAGE = 100


class FileDoor(SyncDoor):
    """For keys that may be used for files."""

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        endpoint_check(self.actor, Endpoint.FILES)


class FileList(FileDoor):
    """`GET` and `POST /v1/files`"""

    parser_classes = [MultiPartParser]

    @described("List your files", name="files_list", tag="Batches", response=stored.FILES, query=stored.FILE_PAGE)
    def get(self, request: Request) -> Response:
        page, has_more = selectors.files_page(
            self.actor,
            after=request.GET.get("after"),
            limit=selectors.page_limit(request.GET.get("limit"), PAGE),
            purpose=request.GET.get("purpose"),
        )
        return Response(list_object([file_object(file) for file in page], has_more=has_more))

    @described(
        "Upload a file",
        name="files_create",
        tag="Batches",
        request=stored.FILE_REQUEST,
        content_type="multipart/form-data",
        response=stored.FILE,
    )
    def post(self, request: Request) -> Response:
        form = request.POST
        if any(name.startswith("expires_after") for name in form):
            raise unsupported("expires_after", "files stay until they are deleted")
        sent = request.FILES.get("file")
        if sent is None:
            raise InvalidRequest(reason="'file' is missing", param="file", api_code="missing_required_parameter")
        file = files.file_upload(
            actor=self.actor,
            name=sent.name or "",
            purpose=form.get("purpose", ""),
            pieces=sent.chunks(files.CHUNK_BYTES),
        )
        return Response(file_object(file))


class FileDetail(FileDoor):
    """`GET` and `DELETE /v1/files/{file_id}`"""

    @described("Tell about a file", name="files_retrieve", tag="Batches", response=stored.FILE, path=stored.FILE_PATH)
    def get(self, request: Request, file_id: str) -> Response:
        return Response(file_object(selectors.file_get(self.actor, file_id)))

    @described("Delete a file", name="files_delete", tag="Batches", response=stored.DELETED, path=stored.FILE_PATH)
    def delete(self, request: Request, file_id: str) -> Response:
        files.file_delete(selectors.file_get(self.actor, file_id))
        return Response({"id": file_id, "object": "file", "deleted": True})


class FileContent(FileDoor):
    """`GET /v1/files/{file_id}/content`"""

    @described(
        "Download a file",
        name="files_content",
        tag="Batches",
        response={"type": "string", "format": "binary"},
        response_type="application/octet-stream",
        path=stored.FILE_PATH,
    )
    def get(self, request: Request, file_id: str) -> HttpResponseBase:
        file = selectors.file_get(self.actor, file_id)
        response = StreamingHttpResponse(files.file_stream(file.pk), content_type="application/octet-stream")
        response["Content-Length"] = str(file.n_bytes)
        return response
