"""Pages of datasets, for those of the staff who may see them."""

from django.urls import include, path

from apps.datasets import views

dataset_patterns = (
    [
        path("datasets", views.datasets, name="all"),
        path("datasets/<slug:name>/<int:number>", views.version, name="version"),
        path("datasets/<slug:name>/<int:number>/<slug:set_name>", views.find, name="find"),
        path("datasets/<slug:name>/<int:number>/<slug:set_name>/<int:position>", views.row, name="row"),
    ],
    "datasets",
)

urlpatterns = [path("", include(dataset_patterns))]
