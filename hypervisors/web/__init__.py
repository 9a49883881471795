from django.urls import register_converter

from hypervisors.web.paths import RowConverter, TokenConverter

# Before any module that names them in its `urlpatterns`.
register_converter(RowConverter, "row")
register_converter(TokenConverter, "token")
