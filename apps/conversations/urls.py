"""Pages of the chat. `home` leads to a new conversation."""

from django.urls import include, path
from django.views.generic import RedirectView

from apps.conversations.views import changes, exchange, feedback, images, order, pages, settings, shares

chat_patterns = (
    [
        path("chat", pages.chat_new, name="new"),
        path("chat/history", pages.history, name="history"),
        path("chat/models", pages.models, name="models"),
        path("chats", order.chats, name="all"),
        path("chats/change", order.change, name="change"),
        path("chats/export", exchange.export_all, name="export_all"),
        path("chats/import", exchange.import_chats, name="import"),
        path("chats/shared", shares.shares, name="shares"),
        path("chats/shared/<int:share_id>/revoke", shares.revoke, name="share_revoke"),
        path("shared/<str:token>", shares.shared, name="shared"),
        path("chats/search", order.search, name="search"),
        path("chat/images", images.attach, name="attach"),
        path("chat/images/<uuid:image_id>", images.image, name="image"),
        path("shared/<str:token>/images/<uuid:image_id>", images.shared_image, name="shared_image"),
        path("chat/settings", settings.panel, name="settings_new"),
        path("chat/settings/save", settings.save, name="settings_check"),
        path("chat/presets/save", settings.keep_preset, name="preset_save"),
        path("chat/presets/<uuid:preset_id>/delete", settings.forget_preset, name="preset_delete"),
        path("chat/<uuid:conversation_id>", pages.chat_conversation, name="conversation"),
        path("chat/<uuid:conversation_id>/messages", pages.messages, name="messages"),
        path("chat/<uuid:conversation_id>/messages/<uuid:message_id>/text", pages.message_text, name="message_text"),
        path("chat/<uuid:conversation_id>/export", exchange.export_one, name="export"),
        path("chat/<uuid:conversation_id>/links", shares.links, name="links"),
        path("chat/<uuid:conversation_id>/links/create", shares.create, name="share_create"),
        path("chat/<uuid:conversation_id>/settings", settings.panel, name="settings"),
        path("chat/<uuid:conversation_id>/settings/save", settings.save, name="settings_save"),
        path("chat/<uuid:conversation_id>/messages/<uuid:message_id>/feedback", feedback.feedback, name="feedback"),
        path("chat/<uuid:conversation_id>/branch", changes.branch, name="branch"),
        path("chat/<uuid:conversation_id>/fork", changes.fork, name="fork"),
        path("chat/<uuid:conversation_id>/rename", changes.rename, name="rename"),
        path("chat/<uuid:conversation_id>/delete", changes.delete, name="delete"),
    ],
    "chat",
)

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="chat:new"), name="home"),
    path("", include(chat_patterns)),
]
