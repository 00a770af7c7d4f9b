"""The serials in 数据中心统一编码 and 车次确认编号."""

from django.db import migrations

from core.numbering import create_sequence


class Migration(migrations.Migration):
    dependencies = [("smartgate", "0001_filings")]
    operations = [create_sequence("smartgate_data_center_no"), create_sequence("smartgate_trip_no")]
