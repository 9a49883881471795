"""Roles and their bindings in place of account flags and grants on domains; and the audit.

Forwards, everybody keeps what they may do: a superuser becomes administrator and staff operator on everything, a grant
to operate becomes VM user and one to view becomes viewer on that domain. One thing is meant to change: VM users do not
migrate, as SECURITY.md has always said. Backwards, nobody gains anything: what flags and grants cannot say becomes the
next smaller of what they can.
"""

import django.db.models.deletion
import django.db.models.functions.comparison
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

DOMAIN_USE = ["domain.configure", "domain.console", "domain.operate", "domain.view"]
OPERATOR = [
    *DOMAIN_USE,
    "domain.grant",
    "domain.migrate",
    "hypervisor.manage",
    "hypervisor.view",
    "network.manage",
    "network.view",
    "storage.manage",
    "storage.view",
]
# As they were at this version; after each `migrate` they are brought up to date.
ROLES = {
    "administrator": ("Administrator", [*OPERATOR, "audit.view", "people.manage"]),
    "operator": ("Operator", OPERATOR),
    "vm-user": ("VM user", DOMAIN_USE),
    "viewer": ("Viewer", ["domain.view"]),
}


def give_roles(apps, schema_editor):
    database = schema_editor.connection.alias
    Role = apps.get_model("hypervisors", "Role")
    RoleBinding = apps.get_model("hypervisors", "RoleBinding").objects.using(database)
    User = apps.get_model("auth", "User")
    roles = {
        key: Role.objects.using(database).create(key=key, name=name, is_stock=True, privileges=sorted(privileges))
        for key, (name, privileges) in ROLES.items()
    }
    for user in User.objects.using(database).filter(models.Q(is_superuser=True) | models.Q(is_staff=True)):
        role = roles["administrator" if user.is_superuser else "operator"]
        RoleBinding.create(user=user, role=role, scope="everything")
    for grant in apps.get_model("hypervisors", "DomainGrant").objects.using(database).iterator():
        RoleBinding.create(
            user_id=grant.user_id,
            role=roles["vm-user" if grant.right == "operate" else "viewer"],
            scope="domain",
            domain_id=grant.domain_id,
            granted_by_id=grant.granted_by_id,
            granted_at=grant.granted_at,
        )


def give_flags_and_grants(apps, schema_editor):
    database = schema_editor.connection.alias
    User = apps.get_model("auth", "User").objects.using(database)
    User.update(is_superuser=False, is_staff=False)
    bindings = apps.get_model("hypervisors", "RoleBinding").objects.using(database).select_related("role")
    for binding in bindings.order_by("pk"):
        holders = [binding.user_id] if binding.user_id else User.filter(groups=binding.group_id).values_list("pk", flat=True)
        for user_id in holders:
            _take_back(apps, database, binding, user_id)


def _take_back(apps, database, binding, user_id):
    privileges = set(binding.role.privileges)
    users = apps.get_model("auth", "User").objects.using(database).filter(pk=user_id)
    if binding.scope == "everything" and privileges >= set(OPERATOR):
        users.update(is_staff=True)
        if "people.manage" in privileges:
            users.update(is_superuser=True)
        return
    right = "operate" if privileges >= set(DOMAIN_USE) else "view" if "domain.view" in privileges else ""
    if not right:
        return
    domains = apps.get_model("hypervisors", "Domain").objects.using(database)
    if binding.scope == "domain":
        domains = domains.filter(pk=binding.domain_id)
    elif binding.scope == "hypervisor_pool":
        domains = domains.filter(hypervisor__hypervisor_pool=binding.hypervisor_pool_id)
    grants = apps.get_model("hypervisors", "DomainGrant").objects.using(database)
    for domain in domains.order_by().only("pk"):
        grant, created = grants.get_or_create(
            domain_id=domain.pk,
            user_id=user_id,
            defaults={"right": right, "granted_by_id": binding.granted_by_id},
        )
        if created:
            grants.filter(pk=grant.pk).update(granted_at=binding.granted_at)
        elif right == "operate":
            grants.filter(pk=grant.pk).update(right=right)


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('hypervisors', '0005_operation_subjects'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Role',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.SlugField(unique=True)),
                ('name', models.CharField(max_length=100, verbose_name='name')),
                ('description', models.CharField(blank=True, max_length=500, verbose_name='description')),
                ('is_stock', models.BooleanField(default=False)),
                ('privileges', models.JSONField(blank=True, default=list)),
            ],
            options={
                'verbose_name': 'role',
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='AuditRecord',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('actor_name', models.CharField(blank=True, max_length=150)),
                ('address', models.CharField(blank=True, max_length=100)),
                ('action', models.CharField(max_length=100)),
                ('subject_type', models.CharField(blank=True, max_length=30)),
                ('subject_key', models.CharField(blank=True, max_length=255)),
                ('subject_name', models.CharField(blank=True, max_length=255)),
                ('before', models.JSONField(blank=True, null=True)),
                ('after', models.JSONField(blank=True, null=True)),
                ('outcome', models.CharField(choices=[('done', 'Done'), ('refused', 'Refused'), ('failed', 'Failed')], default='done', max_length=20)),
                ('detail', models.TextField(blank=True)),
                ('actor', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='audit_records', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'audit record',
                'ordering': ['-at', '-pk'],
            },
        ),
        migrations.CreateModel(
            name='RoleBinding',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(choices=[('everything', 'everything'), ('hypervisor_pool', 'a pool'), ('domain', 'a virtual machine')], default='everything', max_length=20)),
                ('granted_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('domain', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='role_bindings', to='hypervisors.domain')),
                ('granted_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('group', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='role_bindings', to='auth.group')),
                ('hypervisor_pool', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='role_bindings', to='hypervisors.hypervisorpool')),
                ('role', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='bindings', to='hypervisors.role')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='role_bindings', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'role binding',
                'ordering': ['pk'],
            },
        ),
        migrations.AddIndex(
            model_name='auditrecord',
            index=models.Index(fields=['-at', '-id'], name='audit_by_time'),
        ),
        migrations.AddIndex(
            model_name='auditrecord',
            index=models.Index(fields=['actor_name', '-at'], name='audit_by_actor'),
        ),
        migrations.AddIndex(
            model_name='auditrecord',
            index=models.Index(fields=['action', '-at'], name='audit_by_action'),
        ),
        migrations.AddIndex(
            model_name='auditrecord',
            index=models.Index(fields=['outcome', '-at'], name='audit_by_outcome'),
        ),
        migrations.AddIndex(
            model_name='auditrecord',
            index=models.Index(fields=['subject_type', 'subject_key', '-at'], name='audit_by_subject'),
        ),
        migrations.AddConstraint(
            model_name='rolebinding',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('group__isnull', True), ('user__isnull', False)), models.Q(('group__isnull', False), ('user__isnull', True)), _connector='OR'), name='role_binding_of_a_user_or_a_group'),
        ),
        migrations.AddConstraint(
            model_name='rolebinding',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('domain__isnull', True), ('hypervisor_pool__isnull', True), ('scope', 'everything')), models.Q(('domain__isnull', True), ('hypervisor_pool__isnull', False), ('scope', 'hypervisor_pool')), models.Q(('domain__isnull', False), ('hypervisor_pool__isnull', True), ('scope', 'domain')), _connector='OR'), name='role_binding_scope_names_its_object'),
        ),
        migrations.AddConstraint(
            model_name='rolebinding',
            constraint=models.UniqueConstraint(models.F('role'), models.F('scope'), django.db.models.functions.comparison.Coalesce('user', 0), django.db.models.functions.comparison.Coalesce('group', 0), django.db.models.functions.comparison.Coalesce('hypervisor_pool', 0), django.db.models.functions.comparison.Coalesce('domain', 0), name='each_role_binding_once'),
        ),
        migrations.RunPython(give_roles, give_flags_and_grants),
        migrations.DeleteModel(
            name='DomainGrant',
        ),
    ]
