"""Which official parameter file fills which code table: one entry per file, nothing else to change for a new one.

File and column names are those of the national single window's public parameter query. The table of all of them, with what each
is for, is in `docs/operations/code-tables.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reference.models import Content


@dataclass(frozen=True, slots=True)
class FileSpec:
    """How the rows of one file become codes.

    `name_columns` are tried in turn until one has a text. `extra` and `aliases` are read where a row has them. The remaining
    switches are for defects that a file is known to have; without them such a row makes the load fail.
    """

    file: str
    key: str
    name: str
    code_column: str
    name_columns: tuple[str, ...]
    #: Column → key under which its text is kept in `Code.extra`.
    extra: Mapping[str, str] = field(default_factory=dict)
    #: Columns by whose texts people look a code up, too.
    aliases: tuple[str, ...] = ()
    content: Content = Content.CODES
    #: Rows without a code are no codes of this table: set them aside.
    rows_without_code: bool = False
    #: A code without a name is shown by its code.
    rows_without_name: bool = False
    #: Where two rows have one code, the row with a text in this column stands and the other is set aside.
    preferred_by: str = ""


#: CIQ codes are an HS code and three digits; the HS codes are read from them, the national file of tariff lines is not public.
CIQ_CODES = "ciq_code"
HS_CODES = "hs_code"
HS_CODES_NAME = "商品编码"
ELEMENTS = "declaration_element"

FILES: tuple[FileSpec, ...] = (
    FileSpec("BankCurrencyCode.json", "bank_currency", "银行币制", "CURRENCY_CODE_T", ("CURRENCY_NAME_CN",)),
    FileSpec("CiqCiqCode.json", CIQ_CODES, "CIQ编码", "STATCODE", ("CIQNAME",)),
    FileSpec("CiqCurrUnit.json", "ciq_currency", "检验检疫币制", "ITEMCODE", ("ITEMNAME",)),
    FileSpec("CiqCusOrganization.json", "ciq_organization", "检验检疫机关", "ORG_CODE", ("ORG_NAME_C",)),
    FileSpec("CiqGoodsAttr.json", "goods_attribute", "货物属性", "ITEMCODE", ("ITEMNAME",)),
    FileSpec("CiqLicenseE.json", "ciq_licence_export", "出口检验检疫许可证件", "ITEMCODE", ("ITEMNAME",)),
    FileSpec("CiqLicenseI.json", "ciq_licence_import", "进口检验检疫许可证件", "ITEMCODE", ("ITEMNAME",)),
    FileSpec(
        "CiqOriginPlace.json",
        "origin_place",
        "原产地区",
        "DIST_CODE",
        ("NAME_CN",),
        {"NAME_EN": "name_en", "CLASS_CODE": "class_code", "ISO2": "iso_alpha_2", "ISO3": "iso_alpha_3"},
        ("NAME_EN", "ISO3"),
    ),
    FileSpec(
        "CusCds8ParaTransportType.json",
        "cds_transport_type",
        "舱单运输方式",
        "TRANSPORT_TYPE_CODE",
        ("TRANSPORT_TYPE_NAME_CN",),
        {"TRANSPORT_TYPE_NAME_EN": "name_en"},
        ("TRANSPORT_TYPE_NAME_EN",),
    ),
    FileSpec("CusCoType.json", "company_type", "企业性质", "CO_OWNER", ("CO_OWNERSHIP",)),
    FileSpec("CusContaModel.json", "container_model_customs", "集装箱规格（海关）", "CONTA_MODEL_CODE", ("CONTA_MODEL_NAME",)),
    FileSpec(
        "CusCountry.json",
        "country_customs",
        "国别（海关三位代码）",
        "COUNTRY_CODE",
        ("COUN_C_NAME",),
        {"ISO_E": "alpha_3", "COUN_E_NAME": "name_en", "HIGH_LOW": "high_low", "TDS_HIGH_LOW": "tds_high_low"},
        ("ISO_E", "COUN_E_NAME"),
    ),
    FileSpec("CusCustoms.json", "customs", "关区代码", "CUSTOMS_CODE", ("ABBR_CUST",), {"CUSTOMS_NAME": "full_name"}, ("CUSTOMS_NAME",)),
    FileSpec(
        "CusDistrict.json",
        "domestic_district",
        "境内目的地/货源地",
        "DISTRICT_CODE",
        ("DISTRICT_NAME",),
        {"ABBR_DIST": "short_name", "DISTRICT_TYPE": "district_type"},
    ),
    FileSpec("CusLevymode.json", "duty_mode", "征减免税方式", "DUTY_MODE", ("DUTY_SPEC",)),
    FileSpec("CusLevytype.json", "levy_type", "征免性质", "CUT_MODE", ("ABBR_CUT",), {"FULL_CUT": "full_name"}),
    FileSpec("CusLicensedocu.json", "supervision_document", "监管证件", "DOCU_CODE", ("DOCU_NAME",)),
    FileSpec(
        "CusMappingCountryCode.json",
        "country_mapping",
        "国别对照",
        "COUNTRY_CODE",
        ("COUNTRY_NAME_CN",),
        {"CUSTOMS_COUNTRY_CODE": "customs_code", "ECIQ_COUNTRY_CODE": "ciq_code", "COUNTRY_NAME_EN": "name_en"},
        ("CUSTOMS_COUNTRY_CODE", "COUNTRY_NAME_EN"),
    ),
    FileSpec(
        "CusMappingCurrencyCode.json",
        "currency",
        "币制",
        "CUSTOMS_CURRENCY_CODE",
        ("CURRENCY_NAME_CN",),
        {"CURRENCY_CODE": "alpha_3", "ECIQ_CURRENCY_CODE": "ciq_code", "CURRENCY_NAME_EN": "name_en"},
        ("CURRENCY_CODE",),
    ),
    FileSpec(
        "CusMappingNormsCode.json",
        "container_size_mapping",
        "集装箱规格对照",
        "NORMS_CODE",
        ("NORMS_NAME_CN",),
        {"CUSTOMS_NORMS_CODE": "customs_code", "ECIQ_NORMS_CODE": "ciq_code"},
    ),
    FileSpec(
        "CusMappingPackagekindCode.json",
        "package_type_mapping",
        "包装种类对照",
        "PACKAGEKIND_CODE",
        ("PACKAGEKIND_NAME_CN",),
        {"CUSTOMS_PACKAGEKIND_CODE": "customs_code", "ECIQ_PACKAGEKIND_CODE": "ciq_code"},
    ),
    FileSpec(
        "CusMappingPortCode.json",
        "port",
        "港口",
        "PORT_CODE",
        ("PORT_NAME_CN",),
        {"CUSTOMS_PORT_CODE": "customs_code", "ECIQ_PORT_CODE": "ciq_code", "PORT_NAME_EN": "name_en"},
        ("PORT_NAME_EN",),
    ),
    FileSpec(
        "CusMappingTradeCode.json",
        "trade_mode_mapping",
        "监管方式对照",
        "TRADE_CODE",
        ("TRADE_NAME_CN",),
        {"CUSTOMS_TRADE_CODE": "customs_code", "ECIQ_TRADE_CODE": "ciq_code"},
    ),
    FileSpec(
        "CusMappingTransportCode.json",
        "transport_mode_mapping",
        "运输方式对照",
        "TRANSPORT_CODE",
        ("TRANSPORT_NAME_CN",),
        {"CUSTOMS_TRANSPORT_CODE": "customs_code", "ECIQ_TRANSPORT_CODE": "ciq_code"},
    ),
    FileSpec("CusMerchElement.json", ELEMENTS, "申报要素", "CODE_TS", ("ELEMENT",), content=Content.ELEMENTS),
    FileSpec(
        "CusPort.json",
        "port_customs",
        "港口（海关四位代码）",
        "PORT_CODE",
        ("PORT_C_NAME", "PORT_E_NAME"),
        {"PORT_E_NAME": "name_en", "COUNTRY_CODE": "country_customs_code"},
        ("PORT_E_NAME",),
        rows_without_name=True,
    ),
    FileSpec(
        "CusQualAdDivCode.json",
        "administrative_division",
        "行政区划",
        "AD_DIV_CD",
        ("AD_DIV_NM_CN",),
        {"AD_DIV_NM_EN": "name_en", "DOM_REGION_CD": "domestic_region_code", "DOM_REGION_NM": "domestic_region_name", "FLAG": "flag"},
        ("AD_DIV_NM_EN",),
    ),
    FileSpec("CusTrade.json", "trade_mode", "监管方式", "TRADE_MODE", ("ABBR_TRADE",), {"FULL_TRADE": "full_name"}),
    FileSpec("CusTransac.json", "transaction_mode", "成交方式", "TRANS_MODE", ("TRANS_SPEC",)),
    FileSpec("CusTransf.json", "transport_mode", "运输方式", "TRAF_CODE", ("TRAF_SPEC",)),
    FileSpec("CusUnit.json", "unit", "计量单位", "UNIT_CODE", ("UNIT_NAME",)),
    FileSpec("CusUsedTo.json", "usage", "用途", "USEDT_CODE", ("USEDT_NAME",)),
    FileSpec("CusWrap.json", "package_type_customs", "包装种类（海关）", "WRAP_CODE", ("WRAP_NAME",)),
    FileSpec(
        "SwCertificateType.json",
        "identity_document_type",
        "证件类型",
        "GB_CODE",
        ("GB_NAME",),
        {"MSS_ZJJC": "short_name", "MSA_CODE": "msa_code", "MSA_NAME": "msa_name"},
    ),
    FileSpec(
        "SwContaModel.json",
        "container_size",
        "集装箱规格",
        "GB_CODE",
        ("GB_ENAME",),
        {"MSA_CODE": "msa_code", "MSA_ENAME": "msa_name", "MSA_TEU": "teu"},
        # The two that have none are size classes of the maritime authority (10 and 35 feet).
        rows_without_code=True,
    ),
    FileSpec(
        "SwCountry.json",
        "country",
        "国别（地区）",
        "GB_CODE_V3",
        # Not MSS_CNAME: it calls Sint Maarten (SXM) Sikkim.
        ("GB_CNAME", "CUS_ENAME"),
        {
            "GB_CODE_V2": "alpha_2",
            "GB_CODE_N3": "numeric",
            "GB_ENAME": "name_en",
            "CUS_CODE": "customs_code",
            "CIQ_CODE": "ciq_code",
            "MSA_CODE": "msa_code",
        },
        ("GB_CODE_V2", "CUS_CODE", "GB_ENAME"),
    ),
    FileSpec(
        "SwGoodsType.json",
        "goods_type",
        "货物类型",
        "GB_GOODS_TYPE_CODE",
        ("GB_GOODS_TYPE_NAME",),
        {"CUS_GOODS_TYPE_CODE": "customs_code", "CUS_GOODS_TYPE_NAME": "customs_name", "MSA_GOODS_TYPE_CODE": "msa_code"},
    ),
    FileSpec(
        "SwPackType.json",
        "package_type",
        "包装种类",
        "GB_CODE",
        ("GB_NAME",),
        {"CUS_CODE": "customs_code", "CUS_NAME": "customs_name", "CUS_ENAME": "name_en", "CIQ_CODE": "ciq_code", "MSA_CODE": "msa_code"},
    ),
    FileSpec(
        "SwQuantityUnit.json",
        "quantity_unit",
        "计量单位对照",
        "GB_CODE",
        ("GB_NAME",),
        {"CUS_CODE": "customs_code", "CUS_NAME": "customs_name", "CIQ_CODE": "ciq_code", "CIQ_NAME": "ciq_name", "CIQ_TYPE": "ciq_type"},
        # 149 stands for 百万贝可 (customs) and for 舱, which customs does not know.
        preferred_by="CUS_CODE",
    ),
)

FILES_BY_NAME = {spec.file: spec for spec in FILES}
#: Every table of codes that the portal knows of, loaded or not.
TABLE_KEYS = frozenset({HS_CODES, *(spec.key for spec in FILES if spec.content == Content.CODES)})
