"""Roles in words: stock roles in the reader's language, others as they were named."""

from django import template

from hypervisors.models import Role
from hypervisors.models.stock_roles import STOCK_ROLES

register = template.Library()


@register.filter
def role_name(role: Role) -> str:
    return str(STOCK_ROLES[role.key].label) if role.key in STOCK_ROLES else role.name


@register.filter
def role_description(role: Role) -> str:
    return str(STOCK_ROLES[role.key].description) if role.key in STOCK_ROLES else role.description
