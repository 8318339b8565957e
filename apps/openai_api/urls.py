"""The OpenAI-compatible endpoints, and FastChat's own beside them."""

from django.urls import path, re_path

from apps.openai_api.api.batches import BatchCancel, BatchDetail, BatchList
from apps.openai_api.api.battles import BattleDetail, BattleList, BattleMessages, ContestantList, VoteList
from apps.openai_api.api.chats import chat
from apps.openai_api.api.files import FileContent, FileDetail, FileList
from apps.openai_api.api.generation import ChatCompletions, Completions, Embeddings, EngineEmbeddings
from apps.openai_api.api.models import ModelDetail, ModelList
from apps.openai_api.api.moderations import Moderations
from apps.openai_api.api.refused import RefusedEndpoint
from apps.openai_api.api.responses import ResponseCancel, ResponseDetail, ResponseInputItems, ResponseList
from apps.openai_api.api.schema import DocsPage, Schema
from apps.openai_api.api.tokens import TokenCheckDoor, Tokenize

app_name = "openai_api"

urlpatterns = [
    path("chat", chat, name="chat"),
    path("v1/models", ModelList.as_view(), name="models"),
    path("v1/models/<path:name>", ModelDetail.as_view(), name="model"),
    path("v1/chat/completions", ChatCompletions.as_view(), name="chat-completions"),
    path("v1/completions", Completions.as_view(), name="completions"),
    path("v1/embeddings", Embeddings.as_view(), name="embeddings"),
    path("v1/engines/<path:engine>/embeddings", EngineEmbeddings.as_view(), name="engine-embeddings"),
    path("v1/moderations", Moderations.as_view(), name="moderations"),
    path("v1/responses", ResponseList.as_view(), name="responses"),
    re_path(r"^v1/responses/(compact|input_tokens)$", RefusedEndpoint.as_view(), name="refused-response"),
    path("v1/responses/<str:response_id>", ResponseDetail.as_view(), name="response"),
    path("v1/responses/<str:response_id>/cancel", ResponseCancel.as_view(), name="response-cancel"),
    path("v1/responses/<str:response_id>/input_items", ResponseInputItems.as_view(), name="response-input-items"),
    path("v1/files", FileList.as_view(), name="files"),
    path("v1/files/<str:file_id>", FileDetail.as_view(), name="file"),
    path("v1/files/<str:file_id>/content", FileContent.as_view(), name="file-content"),
    path("v1/batches", BatchList.as_view(), name="batches"),
    path("v1/batches/<str:batch_id>", BatchDetail.as_view(), name="batch"),
    path("v1/batches/<str:batch_id>/cancel", BatchCancel.as_view(), name="batch-cancel"),
    path("v1/battles", BattleList.as_view(), name="battles"),
    path("v1/battles/<str:battle_id>", BattleDetail.as_view(), name="battle"),
    path("v1/battles/<str:battle_id>/messages", BattleMessages.as_view(), name="battle-messages"),
    path("v1/votes", VoteList.as_view(), name="votes"),
    path("v1/arenas/<str:slug>/contestants", ContestantList.as_view(), name="contestants"),
    path("v1/tokenize", Tokenize.as_view(), name="tokenize"),
    path("api/v1/token_check", TokenCheckDoor.as_view(), name="token-check"),
    path("api/schema", Schema.as_view(), name="schema"),
    path("api/docs", DocsPage.as_view(), name="docs"),
    re_path(r"^(v1|api/v1)/.*$", RefusedEndpoint.as_view(), name="refused"),
]
