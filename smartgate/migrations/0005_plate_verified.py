from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("smartgate", "0004_receipt_disowned"),
    ]

    operations = [
        migrations.AddField(
            model_name="filing",
            name="plate_verified",
            field=models.BooleanField(db_default=False, default=False, verbose_name="车牌号已核实"),
        ),
    ]
